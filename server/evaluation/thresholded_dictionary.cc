#include "server/evaluation/thresholded_dictionary.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace lifescope {
namespace {

at::Tensor DirectionNorms(const Dictionary& dictionary) { return dictionary.DecoderDirections().norm(2, {1}); }

}  // namespace

ThresholdedDictionary::ThresholdedDictionary(std::shared_ptr<const Dictionary> base, double threshold)
    : base_(std::move(base)), norms_(DirectionNorms(*base_)), threshold_(threshold) {}

at::Tensor ThresholdedDictionary::Encode(const at::Tensor& x) const {
  const at::Tensor features = base_->Encode(x);
  return features * (features.abs() * norms_).gt(threshold_);
}

double ThresholdForL0(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                      const DictionaryEvaluationOptions& options, double l0,
                      const std::function<bool(int64_t done, int64_t total)>& on_progress) {
  TORCH_CHECK_VALUE(l0 > 0, "l0: ", l0, ", expected more than 0");
  CheckScan(model, dictionary, corpus, options.scan);
  const std::vector<int64_t> persons = EvaluatedPersons(corpus, options);
  const at::Tensor norms = DirectionNorms(dictionary).to(at::kCPU, at::kDouble);
  const double* norm = norms.data_ptr<double>();
  std::vector<double> strengths;
  int64_t rows = 0;
  const auto visit = [&](int64_t, const Document& document, const SparseActivations& all) {
    const at::Tensor offsets = all.row_offsets.contiguous(), features = all.features.contiguous();
    const at::Tensor values = all.values.to(at::kDouble).abs().contiguous();
    const int64_t* offset = offsets.data_ptr<int64_t>();
    for (int64_t row = 0; row < all.rows(); ++row) {
      if (!options.positions.Has(document, row)) continue;
      ++rows;
      for (int64_t i = offset[row]; i < offset[row + 1]; ++i) {
        strengths.push_back(values.data_ptr<double>()[i] * norm[features.data_ptr<int32_t>()[i]]);
      }
    }
  };
  const auto total = static_cast<int64_t>(persons.size());
  ScanCorpus(model, dictionary, corpus, persons, options.scan, visit,
             [&](int64_t done) { return !on_progress || on_progress(done, total); });
  const auto kept = static_cast<size_t>(l0 * static_cast<double>(rows));
  if (strengths.size() <= kept) return 0;
  // The strongest that is dropped.
  const auto dropped = strengths.begin() + static_cast<std::ptrdiff_t>(kept);
  std::nth_element(strengths.begin(), dropped, strengths.end(), std::greater<>());
  return *dropped;
}

}  // namespace lifescope
