#include "server/intervention/attribution/attribution.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/corpus/random.h"
#include "server/intervention/attribution/feature_space.h"

namespace lifescope {
namespace {

// Points of the line from the value (0) to the baseline (1), and their weights.
struct Quadrature {
  std::vector<double> points, weights;
};

Quadrature MakeQuadrature(GradientRule rule, int64_t steps) {
  if (rule == GradientRule::kAtValue) return {{0}, {1}};
  if (rule == GradientRule::kAtBaseline) return {{1}, {1}};
  TORCH_CHECK_VALUE(steps > 0, "steps: ", steps, ", expected a positive number");
  const bool trapezoid = rule == GradientRule::kIntegratedTrapezoid;
  const double n = static_cast<double>(steps), shift = rule == GradientRule::kIntegratedMidpoint ? 0.5 : 0;
  Quadrature quadrature;
  for (int64_t k = 0; k < steps + (trapezoid ? 1 : 0); ++k) {
    quadrature.points.push_back((static_cast<double>(k) + shift) / n);
    quadrature.weights.push_back((trapezoid && (k == 0 || k == steps) ? 0.5 : 1) / n);
  }
  return quadrature;
}

class Attributor {
 public:
  Attributor(const AttributionRequest& request, const Transformer& model)
      : request_(request),
        point_(PointOf(request.nodes)),
        runs_(request.document, point_, request.metric, model, request.options) {
    TORCH_CHECK_VALUE(request.exact_count >= 0, "exact_count: ", request.exact_count, ", expected 0 or more");
    value_ = runs_.ActivationOf(request.document);
    if (const auto* nodes = std::get_if<FeatureNodes>(&request.nodes)) {
      CheckDictionary(nodes->dictionary, value_);
      features_.emplace(*nodes->dictionary.dictionary, value_);
      const FeatureBaseline baseline = FeaturesAtBaseline(request.baseline, *features_, runs_);
      change_ = baseline.values - features_->values();
      error_change_ = baseline.errors - features_->errors();
    } else {
      groups_ = GroupsOf(std::get<ActivationNodes>(request.nodes), model.hyperparameters());
      change_ = ActivationBaseline(request.baseline, value_, runs_) - value_;
    }
  }

  Attribution Run() {
    Attribution result;
    const at::Tensor gradient = result.gradient = MeanGradient(&result);
    if (features_) {
      result.effects = (change_ * features_->Project(gradient)).to(at::kCPU, at::kDouble);
      result.error_effects = (error_change_ * gradient).sum(1).to(at::kCPU, at::kDouble);
    } else {
      result.effects = Grouped(change_ * gradient).to(at::kCPU, at::kDouble);
    }
    double sum = result.effects.sum().item<double>();
    if (features_) sum += result.error_effects.sum().item<double>();
    result.completeness_residual = sum - (result.metric_baseline - result.metric_value);
    CheckExactly(&result);
    return result;
  }

 private:
  static HookPoint PointOf(const AttributionNodes& nodes) {
    const auto* activation = std::get_if<ActivationNodes>(&nodes);
    return activation != nullptr ? activation->hook_point : std::get<FeatureNodes>(nodes).dictionary.hook_point;
  }

  // Nodes of a position; 0: every channel is one.
  static int64_t GroupsOf(const ActivationNodes& nodes, const Hyperparameters& hyperparameters) {
    if (nodes.unit == ActivationUnit::kPosition) return 1;
    if (nodes.unit == ActivationUnit::kChannel) return 0;
    const std::vector<int64_t> shape = ShapeAt(nodes.hook_point, hyperparameters);
    TORCH_CHECK_VALUE(shape.size() == 2, "nodes: ", nodes.hook_point.ToString(), " has no heads, expected hook_q, ",
                      "hook_k, hook_v or hook_z");
    return shape[0];
  }

  // From the value to the baseline of all nodes, in the activation's own space.
  at::Tensor ActivationChange() const { return features_ ? features_->DecodeChange(change_) + error_change_ : change_; }

  at::Tensor MeanGradient(Attribution* result) const {
    const Quadrature quadrature = MakeQuadrature(request_.rule, request_.steps);
    const at::Tensor change = ActivationChange();
    const at::Tensor ends = runs_.Metrics(2, [&](int64_t copy) { return copy == 0 ? value_ : value_ + change; });
    result->metric_value = ends[0].item<double>();
    result->metric_baseline = ends[1].item<double>();
    return runs_.MetricGradient(quadrature.weights,
                                [&](int64_t k) { return value_ + quadrature.points[static_cast<size_t>(k)] * change; });
  }

  at::Tensor Grouped(const at::Tensor& effects) const {
    if (groups_ == 0) return effects;
    const at::Tensor grouped = effects.view({effects.size(0), groups_, -1}).sum(2);
    return groups_ == 1 ? grouped.squeeze(1) : grouped;
  }

  void CheckExactly(Attribution* result) const {
    if (request_.exact_count == 0) return;
    ExactCheck& check = result->check;
    check.nodes = DrawNodes();
    const int64_t first_error = result->effects.numel();
    const at::Tensor metrics = runs_.Metrics(static_cast<int64_t>(check.nodes.size()), [&](int64_t copy) {
      return Patched(check.nodes[static_cast<size_t>(copy)], first_error);
    });
    const at::Tensor flat = result->effects.flatten();
    for (size_t i = 0; i < check.nodes.size(); ++i) {
      const int64_t node = check.nodes[i];
      const at::Tensor effect = node < first_error ? flat[node] : result->error_effects[node - first_error];
      check.predicted.push_back(effect.item<double>());
      check.exact.push_back(metrics[static_cast<int64_t>(i)].item<double>() - result->metric_value);
    }
    check.correlation = Correlation(check.predicted, check.exact);
  }

  // The activation with one node at its baseline.
  at::Tensor Patched(int64_t node, int64_t first_error) const {
    const at::Tensor patched = value_.clone();
    if (!features_) {
      const int64_t per_position = groups_ == 0 ? value_.size(1) : groups_;
      const int64_t width = value_.size(1) / per_position;
      const int64_t begin = node % per_position * width;
      patched[node / per_position].narrow(0, begin, width).add_(change_[node / per_position].narrow(0, begin, width));
    } else if (node >= first_error) {
      patched[node - first_error].add_(error_change_[node - first_error]);
    } else {
      const int64_t position = node / change_.size(1), feature = node % change_.size(1);
      patched[position].add_(features_->DecodeOne(position, feature, change_[position][feature]));
    }
    return patched;
  }

  // A random subset of the nodes that change.
  std::vector<int64_t> DrawNodes() const {
    const at::Tensor changes =
        features_ ? at::cat({change_.flatten(), error_change_.abs().sum(1)}) : Grouped(change_.abs()).flatten();
    const at::Tensor indices = changes.nonzero().flatten().to(at::kCPU).contiguous();
    std::vector<int64_t> nodes(indices.data_ptr<int64_t>(), indices.data_ptr<int64_t>() + indices.numel());
    Random random(request_.seed);
    const size_t count = std::min(nodes.size(), static_cast<size_t>(request_.exact_count));
    for (size_t i = 0; i < count; ++i)
      std::swap(nodes[i], nodes[i + static_cast<size_t>(random.Below(static_cast<int64_t>(nodes.size() - i)))]);
    nodes.resize(count);
    return nodes;
  }

  const AttributionRequest& request_;
  const HookPoint point_;
  const SubstitutedRuns runs_;
  at::Tensor value_;  // [positions, channels]
  std::optional<FeatureSpace> features_;
  int64_t groups_ = 1;
  at::Tensor change_;        // [positions, channels], or [positions, features]
  at::Tensor error_change_;  // [positions, channels]
};

}  // namespace

Attribution Attribute(const AttributionRequest& request, const Transformer& model) {
  const c10::NoGradGuard no_grad;
  return Attributor(request, model).Run();
}

std::optional<double> Correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double n = static_cast<double>(a.size());
  double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    mean_a += a[i] / n;
    mean_b += b[i] / n;
  }
  for (size_t i = 0; i < a.size(); ++i) {
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
    ab += (a[i] - mean_a) * (b[i] - mean_b);
  }
  if (a.size() < 3 || aa == 0 || bb == 0) return std::nullopt;
  return ab / std::sqrt(aa * bb);
}

}  // namespace lifescope
