#include "server/evaluation/thresholded_dictionary.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>

namespace lifescope {
namespace {

at::Tensor DirectionNorms(const Dictionary& dictionary) { return dictionary.DecoderDirections().norm(2, {1}); }

// |f| |W_dec[i]| of each activation as Encode compares it, in float32 and never smaller: FLOAT [active].
at::Tensor StrengthsRoundedUp(const SparseActivations& all, const at::Tensor& norms) {
  const at::Tensor strengths = all.values.abs() * norms.index_select(0, all.features);
  at::Tensor rounded = strengths.to(at::kFloat).contiguous();
  const at::Tensor exact = strengths.to(at::kDouble).contiguous();
  for (int64_t i = 0; i < rounded.numel(); ++i) {
    float& value = rounded.data_ptr<float>()[i];
    if (value < exact.data_ptr<double>()[i]) value = std::nextafter(value, std::numeric_limits<float>::infinity());
  }
  return rounded;
}

// Counts of one half of the bits of non-negative floats, which are in the order of these bits.
class KeyHistogram {
 public:
  struct Place {
    uint32_t half = 0;
    int64_t above = 0;  // how many are in larger halves
  };

  void Add(uint32_t half) { ++counts_[half]; }
  int64_t total() const { return std::accumulate(counts_.begin(), counts_.end(), int64_t{0}); }

  // Where the one is that `rank` others precede, largest first; rank < total().
  Place Find(int64_t rank) const {
    Place place{static_cast<uint32_t>(counts_.size()) - 1, 0};
    for (; place.above + counts_[place.half] <= rank; --place.half) place.above += counts_[place.half];
    return place;
  }

 private:
  std::vector<int64_t> counts_ = std::vector<int64_t>(1 << 16, 0);
};

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
  const auto total = static_cast<int64_t>(2 * persons.size());
  const at::Tensor norms = DirectionNorms(dictionary).to(at::kCPU);
  int64_t rows = 0, before = 0;
  const auto visit_keys = [&](const std::function<void(uint32_t key)>& visit) {
    rows = 0;
    ScanCorpus(
        model, dictionary, corpus, persons, options.scan,
        [&](int64_t, const Document& document, const SparseActivations& all) {
          const at::Tensor keys = StrengthsRoundedUp(all, norms), offsets = all.row_offsets.contiguous();
          for (int64_t row = 0; row < all.rows(); ++row) {
            if (!options.positions.Has(document, row)) continue;
            ++rows;
            for (int64_t i = offsets.data_ptr<int64_t>()[row]; i < offsets.data_ptr<int64_t>()[row + 1]; ++i) {
              visit(std::bit_cast<uint32_t>(keys.data_ptr<float>()[i]));
            }
          }
        },
        [&](int64_t done) { return !on_progress || on_progress(before + done, total); });
    before += static_cast<int64_t>(persons.size());
  };
  KeyHistogram upper, lower;
  visit_keys([&](uint32_t key) { upper.Add(key >> 16); });
  const auto kept = static_cast<int64_t>(l0 * static_cast<double>(rows));
  if (upper.total() <= kept) return 0;
  const KeyHistogram::Place place = upper.Find(kept);
  visit_keys([&](uint32_t key) {
    if (key >> 16 == place.half) lower.Add(key & 0xffff);
  });
  // The strongest that is dropped.
  return std::bit_cast<float>(place.half << 16 | lower.Find(kept - place.above).half);
}

}  // namespace lifescope
