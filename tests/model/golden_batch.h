// Models and batches of the golden data, as the packed model takes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "server/model/transformer.h"

namespace lifescope {

// life2vec/<name>; read once per dtype.
std::shared_ptr<const Transformer> GoldenModel(const std::string& name, at::ScalarType dtype);

// Packs documents padded to one length: `input_ids` INT64 [documents, 4, slots], `mask` BOOL [documents, slots].
// `n_slots` 0: the padded length.
PackedBatch PackGolden(const at::Tensor& input_ids, const at::Tensor& mask, int64_t n_slots = 0);

// "f32" or "f64": the suffix of the golden file to compare a result of this dtype with.
std::string GoldenSuffix(at::ScalarType dtype);

// How far a result may be from the reference, as the golden data's README says.
struct Tolerance {
  double absolute, relative;
};
Tolerance ActivationTolerance(at::ScalarType dtype);
Tolerance LogitTolerance(at::ScalarType dtype);
Tolerance TimeVectorTolerance(at::ScalarType dtype);

}  // namespace lifescope
