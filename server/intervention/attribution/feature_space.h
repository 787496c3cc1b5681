// A document's activation at a dictionary's hook point, as the dictionary sees it: features, and what they do not
// explain.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "server/dictionary/dictionary.h"
#include "server/intervention/run.h"

namespace lifescope {

// Throws c10::ValueError: null, a transcoder, another width, dtype or device than the rows.
void CheckDictionary(const RunDictionary& dictionary, const at::Tensor& rows);

// x = Decode(values) + errors for every row. Per-row normalisations are those of `x`. Refers to the dictionary.
class FeatureSpace {
 public:
  FeatureSpace(const Dictionary& dictionary, at::Tensor x);

  const Dictionary& dictionary() const { return dictionary_; }
  const at::Tensor& values() const { return values_; }  // [rows, features]
  const at::Tensor& errors() const { return errors_; }  // [rows, channels]

  // [rows, features] -> [rows, channels].
  at::Tensor Decode(const at::Tensor& values) const { return dictionary_.Decode(values, x_); }
  // What a change of all features adds: the decoder is linear.
  at::Tensor DecodeChange(const at::Tensor& change) const;
  // The same of one feature of one row, [channels].
  at::Tensor DecodeOne(int64_t row, int64_t feature, const at::Tensor& change) const;

  // A gradient at the activation [rows, channels] brought to the features: [rows, features].
  at::Tensor Project(const at::Tensor& gradient) const;

 private:
  const Dictionary& dictionary_;
  at::Tensor x_, values_, errors_;
};

}  // namespace lifescope
