#include "server/evaluation/dictionary_evaluation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "server/evaluation/dictionary_similarity.h"
#include "server/evaluation/downstream_metrics.h"
#include "server/evaluation/feature_density.h"
#include "server/evaluation/peer_metrics.h"
#include "server/evaluation/reconstruction_metrics.h"
#include "server/intervention/engine.h"
#include "server/intervention/feature_edit.h"
#include "server/training/masking.h"
#include "server/training/pretrain_loss.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// Predictions whose probabilities over the vocabulary are held at once.
constexpr int64_t kPredictionsAtOnce = 1024;

at::Tensor Index(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

// Sums of terms by person and by group.
class TermSums {
 public:
  TermSums(int64_t persons, int64_t groups) : persons_(persons), groups_(groups) {}

  // `person` and `groups` of each row of `terms`.
  void Add(const at::Tensor& terms, const std::vector<int64_t>& person,
           const std::vector<std::vector<int64_t>>& groups) {
    if (!by_person.defined()) {
      by_person = at::zeros({persons_, terms.size(1)}, at::kDouble);
      by_group = at::zeros({groups_, terms.size(1)}, at::kDouble);
    }
    by_person.index_add_(0, Index(person), terms);
    std::vector<int64_t> rows, of;
    for (size_t row = 0; row < groups.size(); ++row) {
      for (const int64_t group : groups[row]) {
        rows.push_back(static_cast<int64_t>(row));
        of.push_back(group);
      }
    }
    if (!rows.empty()) by_group.index_add_(0, Index(of), terms.index_select(0, Index(rows)));
  }

  at::Tensor by_person, by_group;  // DOUBLE [persons or groups, terms]; undefined before the first Add

 private:
  int64_t persons_, groups_;
};

// Documents that run together: [begin, end) of the evaluated persons.
using Batch = std::pair<size_t, size_t>;

class Evaluation {
 public:
  Evaluation(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
             const DictionaryEvaluationOptions& options)
      : model_(model),
        dictionary_(dictionary),
        corpus_(corpus),
        options_(options),
        n_slots_(options.scan.n_slots == 0 ? model.hyperparameters().max_length : options.scan.n_slots),
        indices_(EvaluatedPersons(corpus, options)),
        counts_(dictionary.feature_count()),
        reconstruction_(person_count(), GroupCount()),
        downstream_(person_count(), GroupCount()) {}

  int64_t person_count() const { return static_cast<int64_t>(indices_.size()); }

  std::vector<Batch> Batches() const {
    std::vector<Batch> batches;
    int64_t tokens = 0;
    for (size_t i = 0; i < indices_.size(); ++i) {
      const int64_t length = corpus_.length(indices_[i]);
      if (batches.empty() || tokens + length > options_.scan.batch_tokens) {
        batches.emplace_back(i, i);
        tokens = 0;
      }
      batches.back().second = i + 1;
      tokens += length;
    }
    return batches;
  }

  // The lives as they are, up to the hook point.
  void Reconstruct(const Batch& batch) {
    std::vector<PretrainExample> examples;
    for (size_t i = batch.first; i < batch.second; ++i) {
      examples.push_back({corpus_.DocumentAt(indices_[i]), {}, SentenceOrder::kOriginal});
    }
    at::Tensor activation;
    Hooks hooks;
    hooks.Capture(options_.scan.hook_point, &activation);
    ForwardOptions forward;
    forward.hooks = &hooks;
    forward.layer_count = options_.scan.hook_point.layer + 1;
    const PackedBatch packed = PackExamples(examples, n_slots_, model_.device()).documents;
    model_.Forward(packed, forward);
    activation = activation.flatten(1);
    std::vector<at::Tensor> x, reconstruction;
    for (size_t d = 0; d < examples.size(); ++d) {
      const std::vector<int64_t> positions = Chosen(examples[d].document);
      if (positions.empty()) continue;
      x.push_back(activation.index_select(0, (Index(positions) + packed.offsets[d]).to(model_.device())));
      const at::Tensor features = dictionary_.Encode(x.back());
      reconstruction.push_back(dictionary_.Decode(features, x.back()));
      counts_.AddDocument(features);
      const auto person = static_cast<int64_t>(batch.first + d);
      reconstruction_.Add(ReconstructionTerms(x.back(), reconstruction.back(), features),
                          std::vector<int64_t>(positions.size(), person),
                          GroupsOf(indices_[batch.first + d], examples[d].document, positions));
    }
    if (!x.empty()) peers_.AddBatch(at::cat(x), at::cat(reconstruction));
  }

  // Ends the first pass.
  void FixMean() {
    TORCH_CHECK_VALUE(counts_.rows() > 0, "corpus: the split has no position to evaluate, expected at least one");
    mean_ = MeanActivation(reconstruction_.by_person.sum(0));
  }

  // The lives with tokens masked, four times.
  void Predict(const Batch& batch) {
    std::vector<PretrainExample> examples;
    std::vector<int64_t> rows, person;
    std::vector<std::vector<int64_t>> groups;
    int64_t offset = 0;
    for (size_t i = batch.first; i < batch.second; ++i) {
      const Document document = corpus_.DocumentAt(indices_[i]);
      for (const int64_t position : Chosen(document)) rows.push_back(offset + position);
      offset += document.length();
      PretrainExample example{document, {}, SentenceOrder::kOriginal};
      Random random(options_.mask_seed + static_cast<uint64_t>(document.person_id));
      example.targets = MaskTokens(options_.mask_ratio, corpus_.vocabulary().size(), example.document, random);
      person.insert(person.end(), example.targets.positions.size(), static_cast<int64_t>(i));
      for (auto& of : GroupsOf(indices_[i], document, example.targets.positions)) groups.push_back(std::move(of));
      examples.push_back(std::move(example));
    }
    if (person.empty()) return;
    const PretrainBatch masked = PackExamples(examples, n_slots_, model_.device());
    const at::Tensor replaced = Index(rows).to(model_.device());
    const PatchedLogits logits{
        Logits(masked, {}, {}), Logits(masked, replaced, [this](const at::Tensor& x) { return Spliced(x); }),
        Logits(masked, replaced, [](const at::Tensor& x) { return at::zeros_like(x); }),
        Logits(masked, replaced, [this](const at::Tensor& x) { return mean_.to(x.options()).expand_as(x); })};
    std::vector<at::Tensor> terms;
    for (int64_t begin = 0; begin < masked.target_tokens.size(0); begin += kPredictionsAtOnce) {
      const int64_t size = std::min(kPredictionsAtOnce, masked.target_tokens.size(0) - begin);
      const auto part = [&](const at::Tensor& all) { return all.narrow(0, begin, size); };
      terms.push_back(DownstreamTerms(
          {part(logits.clean), part(logits.spliced), part(logits.zero_ablated), part(logits.mean_ablated)},
          part(masked.target_tokens)));
    }
    downstream_.Add(at::cat(terms), person, groups);
  }

  DictionaryEvaluation Result() const {
    DictionaryEvaluation result;
    result.person_count = person_count();
    result.row_count = counts_.rows();
    result.n_slots = n_slots_;
    result.reconstruction = MeasureOverPersons(
        reconstruction_.by_person, [](const at::Tensor& sums) { return ReconstructionMetrics(sums); },
        options_.bootstrap);
    if (downstream_.by_person.defined()) {
      result.prediction_count = downstream_.by_person.select(1, 0).sum().item<int64_t>();
      result.downstream = MeasureOverPersons(downstream_.by_person, DownstreamMetrics, options_.bootstrap);
    }
    result.densities = counts_.Densities();
    result.features = DensityMetrics(result.densities);
    const at::Tensor consistent = counts_.ConsistentActivation();
    AddFeatureMetric("consistent_activation", consistent.masked_select(~consistent.isnan()), result);
    if (dictionary_.feature_count() > 1) {
      AddFeatureMetric("max_decoder_cosine", MaxCosinesWithin(dictionary_.DecoderDirections()), result);
    }
    result.peers = peers_.Values();
    result.groups = Subgroups();
    return result;
  }

 private:
  int64_t GroupCount() const { return static_cast<int64_t>(options_.groups.names.size()); }

  std::vector<int64_t> Chosen(const Document& document) const {
    std::vector<int64_t> positions;
    for (int64_t position = 0; position < document.length(); ++position) {
      if (options_.positions.Has(document, position)) positions.push_back(position);
    }
    return positions;
  }

  std::vector<std::vector<int64_t>> GroupsOf(int64_t index, const Document& document,
                                             const std::vector<int64_t>& positions) const {
    std::vector<std::vector<int64_t>> groups(positions.size());
    if (!options_.groups.append) return groups;
    for (size_t i = 0; i < positions.size(); ++i) options_.groups.append(index, document, positions[i], &groups[i]);
    return groups;
  }

  at::Tensor Spliced(const at::Tensor& x) const {
    at::Tensor reconstruction = at::empty_like(x);
    ForEachChunk(x.size(0), dictionary_.feature_count(), [&](int64_t begin, int64_t size) {
      const at::Tensor rows = x.narrow(0, begin, size);
      reconstruction.narrow(0, begin, size).copy_(dictionary_.Decode(dictionary_.Encode(rows), rows));
    });
    return reconstruction;
  }

  // Masked-token logits of the targets where `replaced` rows of the hook point become `replace` of them.
  at::Tensor Logits(const PretrainBatch& batch, const at::Tensor& replaced,
                    const std::function<at::Tensor(const at::Tensor& x)>& replace) const {
    Hooks hooks;
    if (replace) {
      hooks.Add(options_.scan.hook_point, [&](const at::Tensor& activation) {
        const at::Tensor x = activation.flatten(1);
        return x.index_copy(0, replaced, replace(x.index_select(0, replaced))).view_as(activation);
      });
    }
    ForwardOptions forward;
    forward.hooks = &hooks;
    return model_.MlmLogits(model_.Forward(batch.documents, forward).index_select(0, batch.target_rows));
  }

  static void AddFeatureMetric(const char* name, const at::Tensor& by_feature, DictionaryEvaluation& result) {
    const char* note = by_feature.numel() == 0 ? "no feature fires" : "";
    result.features.push_back({name, by_feature.mean().item<double>(), kNan, kNan, note});
  }

  std::vector<SubgroupEvaluation> Subgroups() const {
    std::vector<SubgroupEvaluation> groups;
    for (int64_t g = 0; g < GroupCount(); ++g) {
      const at::Tensor sums = reconstruction_.by_group[g];
      SubgroupEvaluation group;
      group.name = options_.groups.names[static_cast<size_t>(g)];
      group.row_count = static_cast<int64_t>(sums[0].item<double>());
      if (group.row_count == 0) continue;
      group.reconstruction = ReconstructionMetrics(sums, mean_);
      if (downstream_.by_group.defined()) {
        group.prediction_count = static_cast<int64_t>(downstream_.by_group[g][0].item<double>());
        if (group.prediction_count > 0) group.downstream = DownstreamMetrics(downstream_.by_group[g]);
      }
      groups.push_back(std::move(group));
    }
    std::stable_sort(groups.begin(), groups.end(), [](const SubgroupEvaluation& a, const SubgroupEvaluation& b) {
      return a.row_count > b.row_count;
    });
    return groups;
  }

  const Transformer& model_;
  const Dictionary& dictionary_;
  const Corpus& corpus_;
  const DictionaryEvaluationOptions& options_;
  const int64_t n_slots_;
  const std::vector<int64_t> indices_;
  FeatureCounts counts_;
  PeerMetrics peers_;
  TermSums reconstruction_, downstream_;
  at::Tensor mean_;  // DOUBLE [width]
};

}  // namespace

std::vector<int64_t> EvaluatedPersons(const Corpus& corpus, const DictionaryEvaluationOptions& options) {
  TORCH_CHECK_VALUE(options.max_persons >= 0, "max_persons: ", options.max_persons, ", expected 0 (all) or more");
  std::vector<int64_t> persons = corpus.DocumentsOf(options.split);
  if (options.max_persons > 0) persons.resize(std::min(persons.size(), static_cast<size_t>(options.max_persons)));
  return persons;
}

DictionaryEvaluation EvaluateDictionary(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                                        const DictionaryEvaluationOptions& options,
                                        const std::function<bool(int64_t done, int64_t total)>& on_progress) {
  CheckScan(model, dictionary, corpus, options.scan);
  TORCH_CHECK_VALUE(dictionary.output_dim() == dictionary.activation_dim(), "dictionary: writes vectors of ",
                    dictionary.output_dim(), ", expected ", dictionary.activation_dim(), ", what it reads");
  TORCH_CHECK_VALUE(0 < options.mask_ratio && options.mask_ratio <= 1, "mask_ratio: ", options.mask_ratio,
                    ", expected more than 0 and at most 1");
  const c10::NoGradGuard no_grad;
  Evaluation evaluation(model, dictionary, corpus, options);
  const std::vector<Batch> batches = evaluation.Batches();
  const bool predicts = model.hyperparameters().pretraining_heads;
  const int64_t total = evaluation.person_count() * (predicts ? 2 : 1);
  int64_t done = 0;
  const auto pass = [&](auto&& run) {
    for (const Batch& batch : batches) {
      run(batch);
      done += static_cast<int64_t>(batch.second - batch.first);
      if (on_progress && !on_progress(done, total)) throw Cancelled();
    }
  };
  pass([&](const Batch& batch) { evaluation.Reconstruct(batch); });
  evaluation.FixMean();
  if (predicts) pass([&](const Batch& batch) { evaluation.Predict(batch); });
  return evaluation.Result();
}

}  // namespace lifescope
