// Tensors and sparse features of the wire as plain numbers.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lifescope/v1/tensor.pb.h"

namespace lifescope {

// Bytes of one element; 0 for a type that this client does not know.
int ElementSize(v1::DataType type);

// "[143, 96]"; "scalar" where there are no sizes.
std::string FormatShape(const v1::Tensor& tensor);

// All elements, in order. DATA_LOSS where type, shape and data do not agree.
absl::StatusOr<std::vector<double>> ToDoubles(const v1::Tensor& tensor);
absl::StatusOr<std::vector<int64_t>> ToIntegers(const v1::Tensor& tensor);

// The active features of one position.
struct FeatureRow {
  int32_t position = 0;
  // Feature and activation.
  std::vector<std::pair<int32_t, double>> active;
};

// DATA_LOSS where the parts do not fit together.
absl::StatusOr<std::vector<FeatureRow>> ToRows(const v1::SparseFeatures& features);

}  // namespace lifescope
