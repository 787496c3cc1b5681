// A dictionary whose weakest activations are dropped, so that dictionaries can be compared at one L0. Not a dictionary
// that anybody trained: say so wherever it is used.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/evaluation/dictionary_evaluation.h"

namespace lifescope {

// Keeps activations f of feature i where |f| |W_dec[i]| > threshold: what a feature adds decides, not the scale in
// which it is written. Everything else is that of `base`.
class ThresholdedDictionary final : public Dictionary {
 public:
  ThresholdedDictionary(std::shared_ptr<const Dictionary> base, double threshold);

  int64_t activation_dim() const override { return base_->activation_dim(); }
  int64_t output_dim() const override { return base_->output_dim(); }
  int64_t feature_count() const override { return base_->feature_count(); }
  std::string architecture() const override { return base_->architecture(); }
  at::Tensor Encode(const at::Tensor& x) const override;
  at::Tensor Decode(const at::Tensor& feature_activations, const at::Tensor& x) const override {
    return base_->Decode(feature_activations, x);
  }
  at::Tensor DecodeChange(const at::Tensor& change, const std::vector<int64_t>& features,
                          const at::Tensor& x) const override {
    return base_->DecodeChange(change, features, x);
  }
  at::Tensor DecoderDirections() const override { return base_->DecoderDirections(); }
  at::ScalarType dtype() const override { return base_->dtype(); }
  at::Device device() const override { return base_->device(); }

 private:
  std::shared_ptr<const Dictionary> base_;
  at::Tensor norms_;  // [feature_count]
  double threshold_;
};

// The threshold that leaves at most `l0` features per row on average over the rows that `options` choose, and no fewer
// than ties force (to float32); 0 where there are no more anyway. The persons are run twice, the second time only where
// there are more: `on_progress` counts both. Memory: a batch and two histograms, 1 MiB. Throws as EvaluateDictionary.
double ThresholdForL0(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                      const DictionaryEvaluationOptions& options, double l0,
                      const std::function<bool(int64_t done, int64_t total)>& on_progress = {});

}  // namespace lifescope
