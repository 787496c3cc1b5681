#include "server/intervention/attribution/gradient.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "server/intervention/engine.h"

namespace lifescope {
namespace {

int64_t SlotsOf(const GradientOptions& options, const Transformer& model) {
  return options.n_slots == 0 ? model.hyperparameters().max_length : options.n_slots;
}

PackedBatch PackCopies(const Document& document, int64_t copies, const Transformer& model,
                       const GradientOptions& options) {
  const DocumentRows rows{document.token.data(),   document.abspos.data(), document.age.data(),
                          document.segment.data(), document.length(),      SlotsOf(options, model)};
  return MakePackedBatch(std::vector<DocumentRows>(static_cast<size_t>(copies), rows), model.device());
}

ForwardOptions MakeForwardOptions(const Hooks& hooks, const GradientOptions& options) {
  ForwardOptions forward;
  forward.hooks = &hooks;
  forward.before_layer = [&options] {
    if (options.cancelled && options.cancelled()) throw Cancelled();
  };
  return forward;
}

}  // namespace

ActivationGradients GradientsAt(const Document& document, const Metric& metric, const Transformer& model,
                                const std::vector<HookPoint>& points, const GradientOptions& options) {
  CheckMetric(metric, model, document);
  const c10::AutoGradMode with_gradients(true);
  std::vector<at::Tensor> activations(points.size());
  Hooks hooks;
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i].head.empty()) points[i].CheckLayer(model.hyperparameters());
    hooks.Add(points[i], [&activation = activations[i]](const at::Tensor& present) {
      activation = present.requires_grad() ? present : present.detach().requires_grad_(true);
      return activation;
    });
  }
  const PackedBatch batch = PackCopies(document, 1, model, options);
  const at::Tensor final = model.Forward(batch, MakeForwardOptions(hooks, options));
  const at::Tensor value = MetricValues(metric, model, final, batch.offsets, hooks);
  for (size_t i = 0; i < points.size(); ++i) {
    TORCH_CHECK_VALUE(activations[i].defined(), points[i].ToString(), " is not passed by the run of the metric");
  }
  ActivationGradients result;
  result.metric = value.item<double>();
  const auto gradients = torch::autograd::grad({value.sum()}, activations, /*grad_outputs=*/{}, /*retain_graph=*/false,
                                               /*create_graph=*/false, /*allow_unused=*/true);
  for (size_t i = 0; i < points.size(); ++i) {
    result.activations.push_back(activations[i].detach());
    result.gradients.push_back(gradients[i].defined() ? gradients[i] : at::zeros_like(result.activations[i]));
  }
  return result;
}

SubstitutedRuns::SubstitutedRuns(const Document& document, const HookPoint& point, const Metric& metric,
                                 const Transformer& model, const GradientOptions& options)
    : document_(document), point_(point), metric_(metric), model_(model), options_(options) {
  TORCH_CHECK_VALUE(RowKindOf(point.site) == RowKind::kToken && point.head.empty(), point.ToString(),
                    " has no row per position, expected a hook point of the model with one");
  point.CheckLayer(model.hyperparameters());
  CheckMetric(metric, model, document);
}

at::Tensor SubstitutedRuns::ActivationOf(const Document& document) const {
  const c10::NoGradGuard no_grad;
  at::Tensor activation;
  Hooks hooks;
  hooks.Capture(point_, &activation);
  ForwardOptions forward = MakeForwardOptions(hooks, options_);
  forward.layer_count = point_.layer + 1;
  model_.Forward(PackCopies(document, 1, model_, options_), forward);
  return activation.flatten(1);
}

void SubstitutedRuns::Run(int64_t copies, const std::function<at::Tensor(int64_t copy)>& values, bool differentiate,
                          const HookPoint* later_point, const Hooks::Hook& later, int64_t layer_count,
                          const Visit& visit) const {
  const c10::AutoGradMode gradients(differentiate);
  const int64_t at_once = std::max<int64_t>(1, options_.batch_tokens / document_.length());
  for (int64_t first = 0; first < copies; first += at_once) {
    const int64_t count = std::min(at_once, copies - first);
    std::vector<at::Tensor> parts;
    for (int64_t copy = 0; copy < count; ++copy) parts.push_back(values(first + copy));
    const at::Tensor held = at::cat(parts).detach().requires_grad_(differentiate);
    Hooks hooks;
    ForwardOptions forward = MakeForwardOptions(hooks, options_);
    if (point_.site == Site::kResidPost) {
      // What comes before is not needed.
      forward.first_layer = point_.layer + 1;
      forward.residual = held;
    } else {
      hooks.Add(point_, [&held](const at::Tensor& present) { return held.view(present.sizes()); });
    }
    if (later_point != nullptr) hooks.Add(*later_point, later);
    const PackedBatch batch = PackCopies(document_, count, model_, options_);
    forward.layer_count = layer_count;
    visit(first, model_.Forward(batch, forward), batch.offsets, held);
  }
}

at::Tensor SubstitutedRuns::Metrics(int64_t copies, const std::function<at::Tensor(int64_t copy)>& values) const {
  std::vector<at::Tensor> metrics = {at::empty({0}, at::kDouble)};
  Run(copies, values, false, nullptr, {}, -1,
      [&](int64_t, const at::Tensor& final, const std::vector<int64_t>& offsets, const at::Tensor&) {
        metrics.push_back(MetricValues(metric_, model_, final, offsets).to(at::kCPU, at::kDouble));
      });
  return at::cat(metrics);
}

at::Tensor SubstitutedRuns::MetricGradient(const std::vector<double>& weights,
                                           const std::function<at::Tensor(int64_t copy)>& values) const {
  at::Tensor sum;
  Run(static_cast<int64_t>(weights.size()), values, true, nullptr, {}, -1,
      [&](int64_t first, const at::Tensor& final, const std::vector<int64_t>& offsets, const at::Tensor& held) {
        // Copies do not see each other: the gradient of the sum is every copy's own.
        const at::Tensor gradients = GradientPerCopy(MetricValues(metric_, model_, final, offsets).sum(), held);
        const std::vector<double> mine(weights.begin() + first, weights.begin() + first + gradients.size(0));
        const at::Tensor scale = at::tensor(mine, at::kDouble).to(held.device(), held.scalar_type()).view({-1, 1, 1});
        const at::Tensor part = (gradients * scale).sum(0);
        sum = sum.defined() ? sum + part : part;
      });
  return sum;
}

void SubstitutedRuns::ScalarGradients(
    int64_t copies, const at::Tensor& value, const HookPoint& later,
    const std::function<at::Tensor(int64_t copy, const at::Tensor& rows)>& scalar,
    const std::function<void(int64_t copy, const at::Tensor& gradient)>& visit) const {
  at::Tensor rows;
  const auto capture = [&rows](const at::Tensor& present) { return rows = present; };
  Run(
      copies, [&](int64_t) { return value; }, true, &later, capture, later.layer + 1,
      [&](int64_t first, const at::Tensor&, const std::vector<int64_t>& offsets, const at::Tensor& held) {
        at::Tensor sum = at::zeros({}, held.options());
        for (size_t copy = 0; copy + 1 < offsets.size(); ++copy) {
          const at::Tensor mine = rows.flatten(1).slice(0, offsets[copy], offsets[copy + 1]);
          sum = sum + scalar(first + static_cast<int64_t>(copy), mine);
        }
        const at::Tensor gradients = GradientPerCopy(sum, held);
        for (int64_t copy = 0; copy < gradients.size(0); ++copy) visit(first + copy, gradients[copy]);
      });
}

double SubstitutedRuns::MetricWith(const at::Tensor& value, const HookPoint& later,
                                   const std::function<at::Tensor(const at::Tensor& rows)>& change) const {
  double metric = 0;
  const auto hook = [&change](const at::Tensor& present) { return change(present.flatten(1)).view(present.sizes()); };
  Run(
      1, [&](int64_t) { return value; }, false, &later, hook, -1,
      [&](int64_t, const at::Tensor& final, const std::vector<int64_t>& offsets, const at::Tensor&) {
        metric = MetricValues(metric_, model_, final, offsets).item<double>();
      });
  return metric;
}

at::Tensor SubstitutedRuns::GradientPerCopy(const at::Tensor& scalar, const at::Tensor& held) const {
  at::Tensor gradient;
  if (scalar.requires_grad()) {
    gradient = torch::autograd::grad({scalar}, {held}, /*grad_outputs=*/{}, /*retain_graph=*/false,
                                     /*create_graph=*/false, /*allow_unused=*/true)[0];
  }
  // The scalar need not depend on what is held.
  if (!gradient.defined()) gradient = at::zeros_like(held);
  return gradient.detach().view({-1, document_.length(), held.size(1)});
}

}  // namespace lifescope
