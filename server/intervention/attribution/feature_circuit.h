// A sparse feature circuit between two layers (Marks et al. 2024): which features of an earlier dictionary act on the
// metric through which features of a later one.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/intervention/attribution/attribution.h"

namespace lifescope {

struct FeatureCircuitRequest {
  Document document;
  Metric metric;
  // Neither a transcoder; the upstream hook point comes before the downstream one in the forward pass.
  RunDictionary upstream, downstream;
  Baseline baseline;
  // Of the nodes' effects. Edges take the gradient in the document's own run.
  GradientRule rule = GradientRule::kIntegratedTrapezoid;
  int64_t steps = 10;
  // Nodes that are kept of each dictionary, of the largest |effect|; errors among them.
  int64_t upstream_count = 20;
  int64_t downstream_count = 20;
  GradientOptions options = {};
};

struct CircuitNode {
  int64_t position = 0;
  int64_t feature = -1;  // -1: the reconstruction error
  // As Attribution::effects.
  double effect = 0;
};

struct CircuitEdge {
  // Indices into FeatureCircuit::upstream and downstream.
  int64_t from = 0;
  int64_t to = 0;
  // First-order change of the metric through `to` when `from` goes to its baseline.
  double weight = 0;
};

struct FeatureCircuit {
  std::vector<CircuitNode> upstream, downstream;  // largest |effect| first
  std::vector<CircuitEdge> edges;                 // every pair; largest |weight| first
  // The metric of the document; with every node of both dictionaries at its baseline; with only the circuit's nodes as
  // the run computes them; with only the others.
  double metric_full = 0, metric_empty = 0, metric_circuit = 0, metric_complement = 0;
  // (circuit - empty) / (full - empty): 1 when the circuit is enough.
  std::optional<double> faithfulness;
  // (complement - empty) / (full - empty): 0 when nothing is left without the circuit.
  std::optional<double> completeness;  // both absent where |full - empty| < 1e-4
};

// Throws as Attribute.
FeatureCircuit FindFeatureCircuit(const FeatureCircuitRequest& request, const Transformer& model);

}  // namespace lifescope
