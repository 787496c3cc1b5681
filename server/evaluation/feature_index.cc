#include "server/evaluation/feature_index.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/evaluation/corpus_scan.h"

namespace lifescope {
namespace {

// An example while documents are still coming: `index` orders ties.
struct Candidate {
  float activation = 0;
  int64_t index = 0;
  int32_t position = 0;
};

// Total over the candidates of one feature: a document gives at most one.
bool Stronger(const Candidate& a, const Candidate& b) {
  return a.activation != b.activation ? a.activation > b.activation : a.index < b.index;
}

class IndexBuilder {
 public:
  IndexBuilder(int64_t feature_count, const FeatureIndexOptions& options)
      : options_(options), statistics_(feature_count), strongest_(feature_count), best_in_document_(feature_count) {
    for (FeatureStatistics& feature : statistics_) feature.histogram.resize(options.histogram_bins);
    for (int64_t bin = 0; bin + 1 < options.histogram_bins; ++bin) {
      inner_edges_.push_back(HistogramEdge(bin, options.histogram_bins));
    }
  }

  void Add(int64_t index, const SparseActivations& activations) {
    const at::Tensor values = activations.values.to(at::kFloat).contiguous();
    const at::Tensor features = activations.features.contiguous();
    const int64_t* offsets = activations.row_offsets.data_ptr<int64_t>();
    for (int64_t row = 0; row < activations.rows(); ++row) {
      for (int64_t i = offsets[row]; i < offsets[row + 1]; ++i) {
        AddToken(features.data_ptr<int32_t>()[i], {values.data_ptr<float>()[i], index, static_cast<int32_t>(row)});
      }
    }
    for (const int32_t feature : active_in_document_) AddDocument(feature);
    active_in_document_.clear();
  }

  std::vector<FeatureStatistics> Finish(const Corpus& corpus) {
    for (size_t feature = 0; feature < statistics_.size(); ++feature) {
      std::sort(strongest_[feature].begin(), strongest_[feature].end(), Stronger);
      for (const Candidate& c : strongest_[feature]) {
        statistics_[feature].examples.push_back({corpus.person_id(c.index), c.position, c.activation});
      }
    }
    return std::move(statistics_);
  }

 private:
  void AddToken(int32_t feature, const Candidate& token) {
    if (!(token.activation > 0)) return;
    FeatureStatistics& s = statistics_[feature];
    s.max_activation = std::max(s.max_activation, static_cast<double>(token.activation));
    s.activation_sum += token.activation;
    ++s.active_token_count;
    const auto edge = std::lower_bound(inner_edges_.begin(), inner_edges_.end(), static_cast<double>(token.activation));
    ++s.histogram[edge - inner_edges_.begin()];
    Candidate& best = best_in_document_[feature];
    if (best.activation == 0) active_in_document_.push_back(feature);
    if (token.activation > best.activation) best = token;
  }

  // A heap with the weakest kept example on top.
  void AddDocument(int32_t feature) {
    ++statistics_[feature].active_person_count;
    const Candidate best = best_in_document_[feature];
    best_in_document_[feature] = {};
    std::vector<Candidate>& heap = strongest_[feature];
    if (static_cast<int64_t>(heap.size()) == options_.examples_per_feature) {
      if (heap.empty() || !Stronger(best, heap.front())) return;
      std::pop_heap(heap.begin(), heap.end(), Stronger);
      heap.pop_back();
    }
    heap.push_back(best);
    std::push_heap(heap.begin(), heap.end(), Stronger);
  }

  const FeatureIndexOptions& options_;
  std::vector<double> inner_edges_;
  std::vector<FeatureStatistics> statistics_;
  std::vector<std::vector<Candidate>> strongest_;
  // Of the document that is being added, per feature; activation 0: not active.
  std::vector<Candidate> best_in_document_;
  std::vector<int32_t> active_in_document_;
};

}  // namespace

double HistogramEdge(int64_t bin, int64_t bins) { return std::exp2(static_cast<double>(bin + 1 - bins / 2) / 2); }

FeatureIndexResult BuildFeatureIndex(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                                     const FeatureIndexOptions& options,
                                     const std::function<bool(int64_t done, int64_t total)>& on_progress) {
  TORCH_CHECK_VALUE(options.examples_per_feature >= 0, "examples_per_feature: ", options.examples_per_feature,
                    ", expected 0 or more");
  TORCH_CHECK_VALUE(options.histogram_bins >= 1, "histogram_bins: ", options.histogram_bins, ", expected 1 or more");
  const CorpusScanOptions scan{options.hook_point, options.n_slots, options.batch_tokens};
  CheckScan(model, dictionary, corpus, scan);
  FeatureIndexResult result;
  result.n_slots = options.n_slots == 0 ? model.hyperparameters().max_length : options.n_slots;
  IndexBuilder builder(dictionary.feature_count(), options);
  std::vector<int64_t> indices(corpus.size());
  std::iota(indices.begin(), indices.end(), 0);
  ScanCorpus(
      model, dictionary, corpus, indices, scan,
      [&](int64_t index, const Document& document, const SparseActivations& activations) {
        builder.Add(index, activations);
        result.token_count += document.length();
        ++result.person_count;
      },
      [&](int64_t done) { return !on_progress || on_progress(done, corpus.size()); });
  result.features = builder.Finish(corpus);
  return result;
}

}  // namespace lifescope
