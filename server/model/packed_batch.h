// Documents as the model runs them: packed one after the other, without padding.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lifescope {

// The input of one forward pass. All tensors INT64 [tokens], on the model's device.
struct PackedBatch {
  at::Tensor token;
  at::Tensor abspos;   // days since the reference date plus one; 0 in the prefix
  at::Tensor age;      // years
  at::Tensor segment;  // in [0, 4)
  // 0-based slot in the document as it would be padded, ascending. A slot that no row has is a hole: padding in the
  // middle, as of an event that was masked out in place.
  at::Tensor position;
  // Document d is rows offsets[d] .. offsets[d + 1). On the host.
  std::vector<int64_t> offsets;
  // Padded length of each document, which the global heads count in their denominator; its rows are in [0, n_slots).
  std::vector<int64_t> n_slots;

  int64_t document_count() const { return static_cast<int64_t>(n_slots.size()); }
  int64_t token_count() const { return offsets.back(); }
  int64_t length(int64_t document) const { return offsets[document + 1] - offsets[document]; }
};

// One document's rows for MakePackedBatch; the vectors have equal lengths.
struct DocumentRows {
  const int32_t* token;
  const int32_t* abspos;
  const int32_t* age;
  const int32_t* segment;
  int64_t length;
  int64_t n_slots;
  // Slot of each row, ascending and below n_slots; null: 0, 1, 2... without holes.
  const int32_t* position = nullptr;
};

// Packs documents. Throws c10::ValueError naming the document's index: empty, longer than its n_slots, or positions
// that do not ascend within them.
PackedBatch MakePackedBatch(const std::vector<DocumentRows>& documents, at::Device device);

}  // namespace lifescope
