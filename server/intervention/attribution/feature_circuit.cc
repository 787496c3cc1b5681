#include "server/intervention/attribution/feature_circuit.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace lifescope {
namespace {

constexpr double kSmallestDifference = 1e-4;

// One dictionary's nodes: where they are, where they go, which are in the circuit.
class Side {
 public:
  Side(const FeatureCircuitRequest& request, const RunDictionary& dictionary, int64_t count, const Transformer& model)
      : dictionary_(dictionary),
        runs_(request.document, dictionary.hook_point, request.metric, model, request.options),
        value_(runs_.ActivationOf(request.document)) {
    CheckDictionary(dictionary, value_);
    const FeatureSpace features(*dictionary.dictionary, value_);
    baseline_ = FeaturesAtBaseline(request.baseline, features, runs_);
    AttributionRequest attribution;
    attribution.document = request.document;
    attribution.metric = request.metric;
    attribution.nodes = FeatureNodes{dictionary};
    attribution.baseline = request.baseline;
    attribution.rule = request.rule;
    attribution.steps = request.steps;
    attribution.options = request.options;
    const Attribution found = Attribute(attribution, model);
    metric_ = found.metric_value;
    Choose(found, count);
  }

  const SubstitutedRuns& runs() const { return runs_; }
  const at::Tensor& value() const { return value_; }
  const std::vector<CircuitNode>& nodes() const { return nodes_; }
  double metric() const { return metric_; }
  const HookPoint& point() const { return dictionary_.hook_point; }

  // Rows [positions, channels] with every node at its baseline but those of the circuit (or, `inside` false, but the
  // others).
  at::Tensor Keep(const at::Tensor& rows, bool inside) const {
    const FeatureSpace present(*dictionary_.dictionary, rows);
    return present.Decode(at::where(feature_mask_.eq(inside), present.values(), baseline_.values)) +
           at::where(error_mask_.eq(inside), present.errors(), baseline_.errors);
  }
  at::Tensor Empty(const at::Tensor& rows) const {
    return FeatureSpace(*dictionary_.dictionary, rows).Decode(baseline_.values) + baseline_.errors;
  }

  // What each node's way to its baseline adds to its row, [nodes, channels].
  at::Tensor NodeChanges() const {
    const FeatureSpace features(*dictionary_.dictionary, value_);
    std::vector<at::Tensor> changes;
    for (const CircuitNode& node : nodes_) {
      if (node.feature < 0) {
        changes.push_back(baseline_.errors[node.position] - features.errors()[node.position]);
      } else {
        const at::Tensor change =
            baseline_.values[node.position][node.feature] - features.values()[node.position][node.feature];
        changes.push_back(features.DecodeOne(node.position, node.feature, change));
      }
    }
    return at::stack(changes);
  }

  // A node's value of rows [positions, channels], times `gradient` [positions, channels] of the metric: differentiable.
  at::Tensor Weighted(const CircuitNode& node, const at::Tensor& rows, const at::Tensor& gradient) const {
    const at::Tensor x = rows.narrow(0, node.position, 1);
    const at::Tensor values = dictionary_.dictionary->Encode(x);
    const at::Tensor g = gradient[node.position];
    if (node.feature < 0) return ((x - dictionary_.dictionary->Decode(values, x))[0] * g).sum();
    const FeatureSpace features(*dictionary_.dictionary, x.detach());
    const at::Tensor one = at::ones({}, x.options());
    return values[0][node.feature] * features.DecodeOne(0, node.feature, one).detach().dot(g);
  }

 private:
  void Choose(const Attribution& found, int64_t count) {
    const int64_t features = found.effects.size(1);
    const at::Tensor all = at::cat({found.effects.flatten(), found.error_effects});
    const at::Tensor chosen = std::get<1>(all.abs().topk(std::min(count, all.numel())));
    feature_mask_ = at::zeros({found.effects.size(0), features}, at::kBool);
    error_mask_ = at::zeros({found.effects.size(0), 1}, at::kBool);
    for (int64_t i = 0; i < chosen.numel(); ++i) {
      const int64_t node = chosen[i].item<int64_t>();
      const double effect = all[node].item<double>();
      if (effect == 0) break;
      if (node < found.effects.numel()) {
        nodes_.push_back({node / features, node % features, effect});
        feature_mask_[node / features][node % features] = true;
      } else {
        nodes_.push_back({node - found.effects.numel(), -1, effect});
        error_mask_[node - found.effects.numel()][0] = true;
      }
    }
    feature_mask_ = feature_mask_.to(value_.device());
    error_mask_ = error_mask_.to(value_.device());
  }

  const RunDictionary& dictionary_;
  const SubstitutedRuns runs_;
  const at::Tensor value_;
  FeatureBaseline baseline_;
  double metric_ = 0;
  std::vector<CircuitNode> nodes_;
  at::Tensor feature_mask_;  // BOOL [positions, features]: in the circuit
  at::Tensor error_mask_;    // BOOL [positions, 1]
};

// Position of a hook point in the forward pass.
int64_t OrderOf(const HookPoint& point, const Hyperparameters& hyperparameters) {
  const std::vector<HookPoint> all = AllHookPoints(hyperparameters);
  return std::find(all.begin(), all.end(), point) - all.begin();
}

std::vector<CircuitEdge> FindEdges(const Side& upstream, const Side& downstream) {
  std::vector<CircuitEdge> edges;
  if (upstream.nodes().empty() || downstream.nodes().empty()) return edges;
  const at::Tensor gradient = downstream.runs().MetricGradient({1}, [&](int64_t) { return downstream.value(); });
  const at::Tensor changes = upstream.NodeChanges();
  std::vector<int64_t> positions;
  for (const CircuitNode& node : upstream.nodes()) positions.push_back(node.position);
  const at::Tensor rows_of_nodes = at::tensor(positions, at::kLong).to(changes.device());
  upstream.runs().ScalarGradients(
      static_cast<int64_t>(downstream.nodes().size()), upstream.value(), downstream.point(),
      [&](int64_t to, const at::Tensor& rows) {
        return downstream.Weighted(downstream.nodes()[static_cast<size_t>(to)], rows, gradient);
      },
      [&](int64_t to, const at::Tensor& through) {
        const at::Tensor weights =
            (through.index_select(0, rows_of_nodes) * changes).sum(1).to(at::kCPU, at::kDouble).contiguous();
        for (int64_t from = 0; from < weights.numel(); ++from) {
          edges.push_back({from, to, weights.data_ptr<double>()[from]});
        }
      });
  std::stable_sort(edges.begin(), edges.end(),
                   [](const CircuitEdge& a, const CircuitEdge& b) { return std::abs(a.weight) > std::abs(b.weight); });
  return edges;
}

}  // namespace

FeatureCircuit FindFeatureCircuit(const FeatureCircuitRequest& request, const Transformer& model) {
  const c10::NoGradGuard no_grad;
  const Hyperparameters& h = model.hyperparameters();
  TORCH_CHECK_VALUE(request.upstream_count > 0 && request.downstream_count > 0,
                    "upstream_count, downstream_count: ", request.upstream_count, " and ", request.downstream_count,
                    ", expected positive numbers");
  TORCH_CHECK_VALUE(OrderOf(request.upstream.hook_point, h) < OrderOf(request.downstream.hook_point, h),
                    "upstream: ", request.upstream.hook_point.ToString(),
                    ", expected a hook point before the downstream ", request.downstream.hook_point.ToString());
  const Side upstream(request, request.upstream, request.upstream_count, model);
  const Side downstream(request, request.downstream, request.downstream_count, model);

  FeatureCircuit circuit;
  circuit.upstream = upstream.nodes();
  circuit.downstream = downstream.nodes();
  circuit.edges = FindEdges(upstream, downstream);
  circuit.metric_full = upstream.metric();
  const auto metric = [&](const at::Tensor& rows, const std::function<at::Tensor(const at::Tensor&)>& later) {
    return upstream.runs().MetricWith(rows, downstream.point(), later);
  };
  circuit.metric_empty =
      metric(upstream.Empty(upstream.value()), [&](const at::Tensor& x) { return downstream.Empty(x); });
  circuit.metric_circuit =
      metric(upstream.Keep(upstream.value(), true), [&](const at::Tensor& x) { return downstream.Keep(x, true); });
  circuit.metric_complement =
      metric(upstream.Keep(upstream.value(), false), [&](const at::Tensor& x) { return downstream.Keep(x, false); });
  const double difference = circuit.metric_full - circuit.metric_empty;
  if (std::abs(difference) >= kSmallestDifference) {
    circuit.faithfulness = (circuit.metric_circuit - circuit.metric_empty) / difference;
    circuit.completeness = (circuit.metric_complement - circuit.metric_empty) / difference;
  }
  return circuit;
}

}  // namespace lifescope
