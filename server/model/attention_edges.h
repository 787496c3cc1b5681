// Attention of some rows of a document to others, changed in one head: an argument of a forward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

// What each key weighs for a query is multiplied by a factor before the weights are divided by their sum; 0: as if the
// key were not there. Padding keeps its weight in a global head; a query that no weight is left for gets zeros. This
// happens after hook_phi_q, hook_phi_k, hook_kv, hook_ksum and hook_pattern_local, which do not show it.
struct AttentionEdges {
  int64_t document = 0;  // of the batch
  int64_t layer = 0;
  int64_t head = 0;    // global heads first
  at::Tensor queries;  // INT64 [queries]: rows of the document, each once
  at::Tensor factors;  // [queries, rows of the document], not negative
};

}  // namespace lifescope
