// One pass of a dictionary over a corpus: for every feature its strongest examples, densities, maximum and histogram.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/dictionary/dictionary.h"
#include "server/model/transformer.h"

namespace lifescope {

struct FeatureIndexOptions {
  HookPoint hook_point;
  int64_t examples_per_feature = 20;
  // Half an octave each: 40 bins resolve activations from 2^-10 to 2^10.
  int64_t histogram_bins = 40;
  int64_t n_slots = 0;  // 0: the model's max_length
  // Packed tokens per forward.
  int64_t batch_tokens = 16384;
};

// A place where a feature fires.
struct ExampleRef {
  int64_t person_id = 0;
  int32_t position = 0;
  float activation = 0;
};

struct FeatureStatistics {
  double max_activation = 0;
  double activation_sum = 0;
  int64_t active_token_count = 0;
  int64_t active_person_count = 0;
  // Active positions per bin; the bins' edges are HistogramEdge, the same for every feature and corpus.
  std::vector<int64_t> histogram;
  // At most one per person: its strongest position (the first on a tie), by (activation descending, person in corpus
  // order, position). The order is total: the same activations give the same examples in the same order, whatever the
  // batches. Activations themselves may differ in their last bits between batch sizes (matrix products of another
  // shape), so that examples closer than this rounding (about 1e-5 in float32) may change places.
  std::vector<ExampleRef> examples;
};

// Upper edge of bin b of n: 2^((b + 1 - floor(n / 2)) / 2). Bin b covers (edge of b - 1, edge of b]; the first starts
// at 0 and the last has no end. The edges do not depend on the maximum, so that one pass is exact and histograms of
// several corpora can be added and compared.
double HistogramEdge(int64_t bin, int64_t bins);

struct FeatureIndexResult {
  int64_t token_count = 0;  // real positions scanned, prefix included
  int64_t person_count = 0;
  int64_t n_slots = 0;
  std::vector<FeatureStatistics> features;
};

// Scans every document of the corpus. `on_progress(done, total)` in documents; it returns false to stop (Cancelled
// is thrown). One pass; memory is bounded by the batch and features * (examples + histogram bins), not by the corpus.
// Feature activations are positive. Throws c10::ValueError naming what does not fit: hook point, dictionary, corpus,
// options.
FeatureIndexResult BuildFeatureIndex(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                                     const FeatureIndexOptions& options,
                                     const std::function<bool(int64_t done, int64_t total)>& on_progress = {});

}  // namespace lifescope
