// Attribution: what each node of one hook point contributes to a metric when it goes from its value to a baseline, to
// first order. The nodes are positions, heads, channels (MLP neurons), or a dictionary's features and its
// reconstruction error.
//
// Attribution patching (Nanda 2023; Syed et al. 2023) takes the gradient at one end, integrated gradients (Sundararajan
// et al. 2017) its mean along the straight line. Features and error are nodes as in sparse feature circuits (Marks et
// al. 2024): x = decode(f) + error, all of one hook point together.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "server/intervention/attribution/baseline.h"
#include "server/intervention/attribution/gradient.h"
#include "server/intervention/run.h"

namespace lifescope {

// How a hook point's activation [positions, channels] is cut into nodes.
enum class ActivationUnit {
  kPosition,  // the whole vector of a position: [positions]
  kHead,      // hook_q, k, v, z: [positions, heads]
  kChannel,   // every channel, such as the MLP's neurons at mlp.hook_post: [positions, channels]
};

struct ActivationNodes {
  HookPoint hook_point;
  ActivationUnit unit = ActivationUnit::kPosition;
};
// Nodes [positions, features], and [positions] for the errors.
struct FeatureNodes {
  RunDictionary dictionary;
};
using AttributionNodes = std::variant<ActivationNodes, FeatureNodes>;

enum class GradientRule {
  kAtValue,     // attribution patching: the gradient in the document's own run
  kAtBaseline,  // the gradient where all nodes are at the baseline
  // Integrated gradients. Points of the line, 0 being the document's value: k / steps from k = 0 (left), its middles,
  // or with half weights at both ends.
  kIntegratedLeft,
  kIntegratedMidpoint,
  kIntegratedTrapezoid,
};

struct AttributionRequest {
  Document document;
  Metric metric;
  AttributionNodes nodes;
  Baseline baseline;
  GradientRule rule = GradientRule::kAtValue;
  // Of integrated gradients; feature circuits use 10.
  int64_t steps = 10;
  // Nodes that are patched one by one, drawn by `seed` from those that change. 0: none.
  int64_t exact_count = 0;
  uint64_t seed = 1;
  GradientOptions options = {};
};

// Predicted and true effect of some nodes.
struct ExactCheck {
  std::vector<int64_t> nodes;  // flat index into `effects`; effects.numel() + position for an error node
  std::vector<double> predicted;
  std::vector<double> exact;
  // Pearson's; absent when fewer than three nodes were patched or one side does not vary.
  std::optional<double> correlation;
};

struct Attribution {
  // The metric with all nodes as they are, and with all at the baseline.
  double metric_value = 0;
  double metric_baseline = 0;
  // First-order estimate of metric(node at baseline) - metric(document), FLOAT64 on the CPU, as the nodes.
  at::Tensor effects;
  // Of the reconstruction errors, [positions]; undefined unless the nodes are features.
  at::Tensor error_effects;
  // The rule's gradient at the hook point, [positions, channels].
  at::Tensor gradient;
  // Sum of all effects - (metric_baseline - metric_value): what the rule missed. 0 for integrated gradients in the
  // limit.
  double completeness_residual = 0;
  ExactCheck check;
};

// Throws c10::ValueError or c10::IndexError naming the field; Cancelled. Thread-safe.
Attribution Attribute(const AttributionRequest& request, const Transformer& model);

// Pearson's correlation; absent when fewer than three pairs were given or one side does not vary.
std::optional<double> Correlation(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace lifescope
