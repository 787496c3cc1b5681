// A metric and its gradient where one hook point of a document holds given values: what every attribution is made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "server/intervention/attribution/metric.h"
#include "server/model/hook_point.h"

namespace lifescope {

struct GradientOptions {
  // As of a Run. 0: the model's max_length.
  int64_t n_slots = 0;
  // Packed tokens of one forward pass.
  int64_t batch_tokens = 16384;
  // Asked before every layer; true ends the call with Cancelled (engine.h).
  std::function<bool()> cancelled;
};

// The activation and the metric's gradient at hook points of one document's unchanged run. The FAVOR+ stabilisers take
// no part in gradients, as in the reference.
struct ActivationGradients {
  double metric = 0;
  // As the points, each as the hook point has it: [positions, ...].
  std::vector<at::Tensor> activations;
  std::vector<at::Tensor> gradients;
};
ActivationGradients GradientsAt(const Document& document, const Metric& metric, const Transformer& model,
                                const std::vector<HookPoint>& points, const GradientOptions& options = {});

// Runs of copies of one document that differ at one hook point with a row per position. Const and thread-safe; refers
// to its arguments.
class SubstitutedRuns {
 public:
  // Throws c10::ValueError for a hook point that has no row per position, and as CheckMetric.
  SubstitutedRuns(const Document& document, const HookPoint& point, const Metric& metric, const Transformer& model,
                  const GradientOptions& options);

  // What a document holds at the hook point, [positions, channels]. Another document may have another length.
  at::Tensor ActivationOf(const Document& document) const;

  // `values(i)`: what copy i holds at the hook point, [positions, channels]. Metrics FLOAT64 [copies].
  at::Tensor Metrics(int64_t copies, const std::function<at::Tensor(int64_t copy)>& values) const;

  // The metric's gradients at the values, one copy per weight, summed with the weights: [positions, channels].
  at::Tensor MetricGradient(const std::vector<double>& weights,
                            const std::function<at::Tensor(int64_t copy)>& values) const;

  // Visits the gradients at `value` of scalars of a later hook point's rows, [positions, channels]: one copy per
  // scalar, in order. 0 where the scalar does not depend on the value.
  void ScalarGradients(int64_t copies, const at::Tensor& value, const HookPoint& later,
                       const std::function<at::Tensor(int64_t copy, const at::Tensor& rows)>& scalar,
                       const std::function<void(int64_t copy, const at::Tensor& gradient)>& visit) const;

  // The metric with `value` at the hook point and `change` of the rows that then come at a later one.
  double MetricWith(const at::Tensor& value, const HookPoint& later,
                    const std::function<at::Tensor(const at::Tensor& rows)>& change) const;

 private:
  // Visits batches of copies: (first copy, final residual stream, its offsets, the values that they held).
  using Visit = std::function<void(int64_t first, const at::Tensor& final, const std::vector<int64_t>& offsets,
                                   const at::Tensor& held)>;
  // `later`: another hook, null for none. Runs layers up to `layer_count` (-1: all).
  void Run(int64_t copies, const std::function<at::Tensor(int64_t copy)>& values, bool differentiate,
           const HookPoint* later_point, const Hooks::Hook& later, int64_t layer_count, const Visit& visit) const;
  // [copies, positions, channels].
  at::Tensor GradientPerCopy(const at::Tensor& scalar, const at::Tensor& held) const;

  const Document& document_;
  const HookPoint point_;
  const Metric& metric_;
  const Transformer& model_;
  const GradientOptions& options_;
};

}  // namespace lifescope
