#include "server/model/embedding.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {
namespace {

// The published code gives no time to the first positions of a document, by index.
constexpr int64_t kTimelessPositions = 5;
constexpr double kMinimumNorm = 1e-12;

using Periodic = at::Tensor (*)(const at::Tensor&);

// Time2Vec (Kazemi et al. 2019): a periodic part and one linear component, which is last.
at::Tensor Time2Vec(const Time2VecWeights& weights, const at::Tensor& time, Periodic f) {
  const at::Tensor t = time.to(weights.w.scalar_type()).unsqueeze(1);
  return at::cat({f(t * weights.w + weights.b), t * weights.w0 + weights.b0}, 1);
}

void CheckRange(const char* what, const at::Tensor& ids, int64_t size, const PackedBatch& batch) {
  const at::Tensor outside = ids.lt(0).logical_or(ids.ge(size));
  if (!outside.any().item<bool>()) return;
  const int64_t row = outside.to(at::kLong).argmax().item<int64_t>();
  const auto next = std::upper_bound(batch.offsets.begin(), batch.offsets.end(), row);
  const int64_t document = next - batch.offsets.begin() - 1;
  TORCH_CHECK_INDEX(false, what, " ", ids[row].item<int64_t>(), " at position ", batch.position[row].item<int64_t>(),
                    " of document ", document, " of the batch is outside [0, ", size, ")");
}

}  // namespace

at::Tensor CenterTokens(const at::Tensor& token, const Center& center) {
  if (!center.enabled) return token;
  at::Tensor kept = at::ones({token.size(0), 1}, token.options().requires_grad(false));
  if (center.ignore_index.defined()) kept.index_fill_(0, center.ignore_index.to(token.device()), 0);
  const at::Tensor mean = (token * kept).sum(0, true) / kept.sum();
  const at::Tensor centred = (token - mean) * kept;
  return center.norm ? centred / RowNorm(centred).clamp_min(kMinimumNorm) : centred;
}

at::Tensor Embed(const EmbeddingWeights& weights, const at::Tensor& token_embedding, const PackedBatch& batch,
                 const ForwardPass& pass) {
  CheckRange("token", batch.token, token_embedding.size(0), batch);
  CheckRange("segment", batch.segment, weights.segment.size(0), batch);
  const at::Tensor has_time = batch.position.ge(kTimelessPositions).to(weights.segment.scalar_type()).unsqueeze(1);

  const at::Tensor token = pass.Hooked(Site::kEmbedToken, token_embedding.index_select(0, batch.token));
  const at::Tensor age =
      pass.Hooked(Site::kEmbedAge, weights.gate_age * (Time2Vec(weights.age, batch.age, at::cos) * has_time));
  const at::Tensor abspos = pass.Hooked(
      Site::kEmbedAbspos, weights.gate_abspos * (Time2Vec(weights.abspos, batch.abspos, at::sin) * has_time));
  const at::Tensor segment =
      pass.Hooked(Site::kEmbedSegment, weights.gate_segment * weights.segment.index_select(0, batch.segment));
  const at::Tensor sum = pass.Hooked(Site::kEmbed, token + age + abspos + segment);
  return pass.Dropped(sum, &Dropout::embedding);
}

}  // namespace lifescope
