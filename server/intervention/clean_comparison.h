// What an edit did to an activation: rows of a pass, [rows, channels], beside those of the clean run.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/intervention/read_kind.h"

namespace lifescope {

// As ShiftRead: [rows, 2].
at::Tensor Shift(const at::Tensor& rows, const at::Tensor& clean);

// As FeatureChangeRead; row r is position positions[r]. Both are encoded in the same chunks, so that equal rows have
// equal features to the bit.
FeatureChangeValue FeatureChanges(const Dictionary& dictionary, double threshold, const at::Tensor& rows,
                                  const at::Tensor& clean, std::vector<int64_t> positions);

// As ReconstructionErrorRead, with m the mean of `document`, all the rows of the document's clean run: [rows].
at::Tensor ReconstructionErrors(const Dictionary& dictionary, const at::Tensor& rows, const at::Tensor& document);

}  // namespace lifescope
