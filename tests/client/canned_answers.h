// Parts of answers that tests make up.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "lifescope/v1/document.pb.h"
#include "lifescope/v1/tensor.pb.h"

namespace lifescope {

// The text of person 17.
v1::DocumentText FakeText();
// FLOAT32 tensor.
v1::Tensor FloatTensor(const std::vector<int64_t>& shape, const std::vector<float>& values);
// Rows of (feature, activation) at positions 0, 1, 2, ...
v1::SparseFeatures FakeFeatures(const std::vector<std::vector<std::pair<int32_t, float>>>& rows);

}  // namespace lifescope
