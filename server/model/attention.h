// life2vec's attention over packed documents: FAVOR+ global heads and bucketed local heads. Private to server/model.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/model/forward_pass.h"
#include "server/model/packed_batch.h"
#include "server/model/weights.h"

namespace lifescope {

// Where the documents of a batch lie, as attention needs it: made once for a forward pass, used by every layer.
struct AttentionLayout {
  std::vector<int64_t> offsets;  // document d is rows offsets[d] .. offsets[d + 1)
  at::Tensor document;           // INT64 [tokens]: which document a row belongs to
  at::Tensor padding;            // [documents, 1]: padded slots, holes included
  at::Tensor key_max_floor;      // [documents, 1]: 0 where a document has padding, whose keys are zero; else -inf

  // Every document is cut into windows of w slots by position; those without a row are left out. Window t attends to
  // t - 1, t, t + 1.
  int64_t window = 0;     // w: local_window_size, or where the last document to end does so, when that is less
  at::Tensor query_row;   // INT64 [windows * w]: row of each slot; of a slot without one, any row of the document
  at::Tensor key_row;     // INT64 [windows * 3w]: rows of the window before, the window and the one after
  at::Tensor key_valid;   // BOOL [windows, 1, 1, 3w]: false where there is no row
  at::Tensor token_slot;  // INT64 [tokens]: slot of each row
};

AttentionLayout MakeAttentionLayout(const PackedBatch& batch, const Hyperparameters& hyperparameters,
                                    at::ScalarType dtype);

// The attention sublayer before its ReZero gate, [tokens, hidden] -> [tokens, hidden].
at::Tensor Attention(const BlockWeights& weights, const Hyperparameters& hyperparameters, const at::Tensor& x,
                     const AttentionLayout& layout, const ForwardPass& pass);

}  // namespace lifescope
