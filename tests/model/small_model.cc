#include "tests/model/small_model.h"

#include <ATen/ATen.h>

#include <random>

namespace lifescope {

Hyperparameters SmallHyperparameters() {
  Hyperparameters h;
  h.hidden_size = 20;
  h.hidden_ff = 32;
  h.n_encoders = 3;
  h.n_heads = 5;
  h.n_local = 2;
  h.local_window_size = 5;
  h.num_random_features = 11;
  h.max_length = 64;
  h.vocab_size = 50;
  return h;
}

Weights SmallWeights(const Hyperparameters& hyperparameters, uint64_t seed, at::ScalarType dtype) {
  Weights weights = InitializeWeights(hyperparameters, seed, /*gate=*/0.7);
  for (const auto& [name, tensor] : TrainableTensors(weights)) *tensor = tensor->to(dtype);
  for (BlockWeights& block : weights.blocks) block.projection = block.projection.to(dtype);
  if (hyperparameters.weight_tying) weights.mlm.decoder = weights.embedding.token;
  return weights;
}

PackedBatch RandomBatch(const Hyperparameters& hyperparameters, const std::vector<int64_t>& lengths, int64_t n_slots,
                        uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto draw = [&](int64_t below) { return static_cast<int32_t>(random() % static_cast<uint64_t>(below)); };
  std::vector<std::vector<int32_t>> columns;
  columns.reserve(4 * lengths.size());
  std::vector<DocumentRows> documents;
  for (const int64_t length : lengths) {
    for (const int64_t below : {hyperparameters.vocab_size, int64_t{3000}, int64_t{90}, int64_t{4}}) {
      std::vector<int32_t> column(static_cast<size_t>(length));
      for (int32_t& value : column) value = draw(below);
      columns.push_back(std::move(column));
    }
    const std::vector<int32_t>* last = &columns.back();
    documents.push_back({last[-3].data(), last[-2].data(), last[-1].data(), last[0].data(), length, n_slots});
  }
  return MakePackedBatch(documents, at::kCPU);
}

PackedBatch OneDocument(const PackedBatch& batch, int64_t d) {
  const auto rows = [&](const at::Tensor& column) { return column.slice(0, batch.offsets[d], batch.offsets[d + 1]); };
  return {rows(batch.token),    rows(batch.abspos),   rows(batch.age),   rows(batch.segment),
          rows(batch.position), {0, batch.length(d)}, {batch.n_slots[d]}};
}

}  // namespace lifescope
