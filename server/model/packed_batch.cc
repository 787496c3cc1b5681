#include "server/model/packed_batch.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>

namespace lifescope {
namespace {

using Column = const int32_t* DocumentRows::*;

at::Tensor PackColumn(const std::vector<DocumentRows>& documents, int64_t tokens, Column column, at::Device device) {
  at::Tensor packed = at::empty({tokens}, at::kLong);
  int64_t* out = packed.data_ptr<int64_t>();
  for (const DocumentRows& document : documents) out = std::copy_n(document.*column, document.length, out);
  return packed.to(device);
}

at::Tensor PackPositions(const std::vector<DocumentRows>& documents, int64_t tokens, at::Device device) {
  at::Tensor packed = at::empty({tokens}, at::kLong);
  int64_t* out = packed.data_ptr<int64_t>();
  for (const DocumentRows& document : documents) {
    if (document.position == nullptr) {
      std::iota(out, out + document.length, int64_t{0});
    } else {
      std::copy_n(document.position, document.length, out);
    }
    out += document.length;
  }
  return packed.to(device);
}

void CheckPositions(const DocumentRows& document, size_t d) {
  int64_t next = 0;
  for (int64_t row = 0; row < document.length; ++row) {
    const int64_t position = document.position[row];
    TORCH_CHECK_VALUE(next <= position && position < document.n_slots, "document ", d, " of the batch: row ", row,
                      " is at position ", position, ", expected ", next, " <= position < ", document.n_slots);
    next = position + 1;
  }
}

}  // namespace

PackedBatch MakePackedBatch(const std::vector<DocumentRows>& documents, at::Device device) {
  TORCH_CHECK_VALUE(!documents.empty(), "a batch needs at least one document");
  PackedBatch batch;
  batch.offsets = {0};
  for (size_t d = 0; d < documents.size(); ++d) {
    const DocumentRows& document = documents[d];
    TORCH_CHECK_VALUE(document.length > 0, "document ", d, " of the batch is empty");
    TORCH_CHECK_VALUE(document.length <= document.n_slots, "document ", d, " of the batch has ", document.length,
                      " tokens, more than its n_slots ", document.n_slots);
    if (document.position != nullptr) CheckPositions(document, d);
    batch.offsets.push_back(batch.offsets.back() + document.length);
    batch.n_slots.push_back(document.n_slots);
  }
  const int64_t tokens = batch.token_count();
  batch.token = PackColumn(documents, tokens, &DocumentRows::token, device);
  batch.abspos = PackColumn(documents, tokens, &DocumentRows::abspos, device);
  batch.age = PackColumn(documents, tokens, &DocumentRows::age, device);
  batch.segment = PackColumn(documents, tokens, &DocumentRows::segment, device);
  batch.position = PackPositions(documents, tokens, device);
  return batch;
}

}  // namespace lifescope
