// From tokens and times to the first residual stream. Private to server/model.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/model/forward_pass.h"
#include "server/model/packed_batch.h"
#include "server/model/weights.h"

namespace lifescope {

// The token matrix as it is used: centred, the rows of `ignore_index` zero, rows of unit length if asked for.
at::Tensor CenterTokens(const at::Tensor& token, const Center& center);

// E'[token] + g_age T2V(age) + g_abs T2V(abspos) + g_seg S[segment], [tokens, hidden].
at::Tensor Embed(const EmbeddingWeights& weights, const at::Tensor& token_embedding, const PackedBatch& batch,
                 const ForwardPass& pass);

}  // namespace lifescope
