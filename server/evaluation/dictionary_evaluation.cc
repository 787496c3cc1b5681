#include "server/evaluation/dictionary_evaluation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "server/evaluation/crosscoder_metrics.h"
#include "server/evaluation/dictionary_similarity.h"
#include "server/evaluation/downstream_metrics.h"
#include "server/evaluation/feature_density.h"
#include "server/evaluation/peer_metrics.h"
#include "server/evaluation/reconstruction_metrics.h"
#include "server/evaluation/term_sums.h"
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

// Documents that run together: [begin, end) of the evaluated persons.
using Batch = std::pair<size_t, size_t>;

// What is measured at one of the hook points that are predicted.
struct MeasuredSite {
  const DictionarySite& site;
  TermSums reconstruction, downstream;
  PeerMetrics peers;
  at::Tensor mean;  // DOUBLE [width]
};

class Evaluation {
 public:
  Evaluation(const DictionarySites& sites, const Dictionary& dictionary, const Corpus& corpus,
             const DictionaryEvaluationOptions& options)
      : sites_(sites),
        dictionary_(dictionary),
        corpus_(corpus),
        options_(options),
        widths_(WidthsOf(sites.predicts)),
        indices_(EvaluatedPersons(corpus, options)),
        counts_(dictionary.feature_count()) {
    for (const DictionarySite& site : sites.predicts) {
      measured_.push_back({site, {person_count(), GroupCount()}, {person_count(), GroupCount()}, {}, {}});
    }
  }

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

  // The lives as they are, up to the hook points.
  void Reconstruct(const Batch& batch) {
    std::vector<PretrainExample> examples;
    for (size_t i = batch.first; i < batch.second; ++i) {
      examples.push_back({corpus_.DocumentAt(indices_[i]), {}, SentenceOrder::kOriginal});
    }
    const PackedBatch packed = PackExamples(examples, options_.scan.n_slots, device()).documents;
    const SiteActivations activations = RunModels(sites_, packed, /*to_the_end=*/false);
    std::vector<std::vector<at::Tensor>> x(measured_.size()), reconstruction(measured_.size());
    for (size_t d = 0; d < examples.size(); ++d) {
      const std::vector<int64_t> positions = Chosen(examples[d].document);
      if (positions.empty()) continue;
      const at::Tensor rows = (Index(positions) + packed.offsets[d]).to(device());
      const at::Tensor read = activations.read.index_select(0, rows), features = dictionary_.Encode(read);
      const std::vector<at::Tensor> decoded = BySite(dictionary_.Decode(features, read));
      counts_.AddDocument(features);
      const std::vector<int64_t> person(positions.size(), static_cast<int64_t>(batch.first + d));
      const auto groups = GroupsOf(indices_[batch.first + d], examples[d].document, positions);
      for (size_t s = 0; s < measured_.size(); ++s) {
        x[s].push_back(activations.predicted[s].index_select(0, rows));
        reconstruction[s].push_back(decoded[s]);
        measured_[s].reconstruction.Add(ReconstructionTerms(x[s].back(), decoded[s], features), person, groups);
      }
    }
    for (size_t s = 0; s < measured_.size(); ++s) {
      if (!x[s].empty()) measured_[s].peers.AddBatch(at::cat(x[s]), at::cat(reconstruction[s]));
    }
  }

  // Ends the first pass.
  void FixMeans() {
    TORCH_CHECK_VALUE(counts_.rows() > 0, "corpus: the split has no position to evaluate, expected at least one");
    for (MeasuredSite& measured : measured_) {
      measured.mean = MeanActivation(measured.reconstruction.by_person().sum(0));
    }
  }

  // The lives with tokens masked: clean, and three times for each hook point.
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
    const PretrainBatch masked = PackExamples(examples, options_.scan.n_slots, device());
    const at::Tensor replaced = Index(rows).to(device());
    const SiteActivations clean = RunModels(sites_, masked.documents, /*to_the_end=*/true);
    const std::vector<at::Tensor> decoded = BySite(Reconstructed(clean.read.index_select(0, replaced)));
    for (size_t s = 0; s < measured_.size(); ++s) {
      MeasuredSite& measured = measured_[s];
      if (!Predicts(measured.site)) continue;
      const auto logits = [&](const at::Tensor& by) { return PatchedLogitsOf(measured.site, masked, replaced, by); };
      const at::Tensor mean = measured.mean.to(decoded[s].options());
      const PatchedLogits patched{TargetLogits(*measured.site.model, clean.residual[s], masked), logits(decoded[s]),
                                  logits(at::zeros_like(decoded[s])), logits(mean.expand_as(decoded[s]))};
      measured.downstream.Add(Terms(patched, masked.target_tokens), person, groups);
    }
  }

  // Whether the model can be asked for masked tokens.
  static bool Predicts(const DictionarySite& site) { return site.model->hyperparameters().pretraining_heads; }

  DictionaryEvaluation Result() const {
    DictionaryEvaluation result;
    result.person_count = person_count();
    result.row_count = counts_.rows();
    result.n_slots = options_.scan.n_slots;
    result.densities = counts_.Densities();
    for (const MeasuredSite& measured : measured_) {
      result.sites.push_back(SiteResult(measured));
      const at::Tensor& predictions = measured.downstream.by_person();
      if (predictions.defined()) result.prediction_count = predictions.select(1, 0).sum().item<int64_t>();
      AddSubgroups(measured, result.groups);
    }
    SiteEvaluation& first = result.sites.front();
    result.reconstruction = first.reconstruction;
    at::Tensor directions = dictionary_.DecoderDirections();
    if (measured_.size() == 1) {
      result.downstream = first.downstream;
      result.peers = first.peers;
      result.sites.clear();
    } else {
      result.reconstruction.resize(2);  // l0 and l1, which are the same at every hook point
      directions = ToUnitScale(directions);
      AddComparison(directions, result);
    }
    result.features = DensityMetrics(result.densities);
    const at::Tensor consistent = counts_.ConsistentActivation();
    AddFeatureMetric("consistent_activation", consistent.masked_select(~consistent.isnan()), result);
    if (dictionary_.feature_count() > 1) {
      AddFeatureMetric("max_decoder_cosine", MaxCosinesWithin(directions), result);
    }
    std::stable_sort(result.groups.begin(), result.groups.end(),
                     [](const auto& a, const auto& b) { return a.row_count > b.row_count; });
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

  at::Device device() const { return sites_.reads.front().model->device(); }

  // The columns of each hook point that is predicted.
  std::vector<at::Tensor> BySite(const at::Tensor& columns) const { return columns.split_with_sizes(widths_, 1); }

  at::Tensor Reconstructed(const at::Tensor& x) const {
    at::Tensor reconstruction = at::empty({x.size(0), dictionary_.output_dim()}, x.options());
    ForEachChunk(x.size(0), dictionary_.feature_count(), [&](int64_t begin, int64_t size) {
      const at::Tensor rows = x.narrow(0, begin, size);
      reconstruction.narrow(0, begin, size).copy_(dictionary_.Decode(dictionary_.Encode(rows), rows));
    });
    return reconstruction;
  }

  static at::Tensor TargetLogits(const Transformer& model, const at::Tensor& residual, const PretrainBatch& batch) {
    return model.MlmLogits(residual.index_select(0, batch.target_rows));
  }

  // Masked-token logits of the targets where `replaced` rows of the hook point become `by`.
  static at::Tensor PatchedLogitsOf(const DictionarySite& site, const PretrainBatch& batch, const at::Tensor& replaced,
                                    const at::Tensor& by) {
    Hooks hooks;
    hooks.Add(site.hook_point, [&](const at::Tensor& activation) {
      return activation.flatten(1).index_copy(0, replaced, by).view_as(activation);
    });
    ForwardOptions forward;
    forward.hooks = &hooks;
    return TargetLogits(*site.model, site.model->Forward(batch.documents, forward), batch);
  }

  static at::Tensor Terms(const PatchedLogits& logits, const at::Tensor& targets) {
    std::vector<at::Tensor> terms;
    for (int64_t begin = 0; begin < targets.size(0); begin += kPredictionsAtOnce) {
      const int64_t size = std::min(kPredictionsAtOnce, targets.size(0) - begin);
      const auto part = [&](const at::Tensor& all) { return all.narrow(0, begin, size); };
      terms.push_back(DownstreamTerms(
          {part(logits.clean), part(logits.spliced), part(logits.zero_ablated), part(logits.mean_ablated)},
          part(targets)));
    }
    return at::cat(terms);
  }

  SiteEvaluation SiteResult(const MeasuredSite& measured) const {
    SiteEvaluation result;
    result.name = measured.site.name;
    result.reconstruction = MeasureOverPersons(
        measured.reconstruction.by_person(), [](const at::Tensor& sums) { return ReconstructionMetrics(sums); },
        options_.bootstrap);
    if (measured.downstream.by_person().defined()) {
      result.downstream = MeasureOverPersons(measured.downstream.by_person(), DownstreamMetrics, options_.bootstrap);
    }
    result.peers = measured.peers.Values();
    return result;
  }

  // Directions where the activations of each hook point are brought to mean squared norm 1.
  at::Tensor ToUnitScale(const at::Tensor& directions) const {
    std::vector<at::Tensor> sites = directions.to(at::kCPU, at::kDouble).split_with_sizes(widths_, 1);
    for (size_t s = 0; s < sites.size(); ++s) {
      const at::Tensor sums = measured_[s].reconstruction.by_person().sum(0);
      const at::Tensor squared_norm = sums[static_cast<int64_t>(ReconstructionTerm::kSquaredNorm)];
      sites[s] = sites[s] / (squared_norm / static_cast<double>(counts_.rows())).sqrt();
    }
    return at::cat(sites, 1);
  }

  void AddComparison(const at::Tensor& directions, DictionaryEvaluation& result) const {
    const at::Tensor firing = directions.index_select(0, result.densities.gt(0).nonzero().squeeze(1));
    std::vector<std::string> names;
    for (const SiteEvaluation& site : result.sites) names.push_back(site.name);
    result.across_sites = CrosscoderMetrics(firing, widths_, names);
    const at::Tensor relative = RelativeDecoderNorms(firing, widths_);
    for (size_t s = 0; s < result.sites.size(); ++s) {
      result.sites[s].relative_norms = relative.select(1, static_cast<int64_t>(s)).contiguous();
    }
  }

  static void AddFeatureMetric(const char* name, const at::Tensor& by_feature, DictionaryEvaluation& result) {
    const char* note = by_feature.numel() == 0 ? "no feature fires" : "";
    result.features.push_back({name, by_feature.mean().item<double>(), kNan, kNan, note});
  }

  void AddSubgroups(const MeasuredSite& measured, std::vector<SubgroupEvaluation>& groups) const {
    for (int64_t g = 0; g < GroupCount(); ++g) {
      const at::Tensor sums = measured.reconstruction.by_group()[g];
      SubgroupEvaluation group;
      group.name = options_.groups.names[static_cast<size_t>(g)];
      if (measured_.size() > 1) group.name += " at " + measured.site.name;
      group.row_count = static_cast<int64_t>(sums[0].item<double>());
      if (group.row_count == 0) continue;
      group.reconstruction = ReconstructionMetrics(sums, measured.mean);
      if (measured.downstream.by_group().defined()) {
        const at::Tensor downstream = measured.downstream.by_group()[g];
        group.prediction_count = static_cast<int64_t>(downstream[0].item<double>());
        if (group.prediction_count > 0) group.downstream = DownstreamMetrics(downstream);
      }
      groups.push_back(std::move(group));
    }
  }

  const DictionarySites& sites_;
  const Dictionary& dictionary_;
  const Corpus& corpus_;
  const DictionaryEvaluationOptions& options_;
  const std::vector<int64_t> widths_;  // of the hook points that are predicted
  const std::vector<int64_t> indices_;
  FeatureCounts counts_;
  std::vector<MeasuredSite> measured_;
};

}  // namespace

std::vector<int64_t> EvaluatedPersons(const Corpus& corpus, const DictionaryEvaluationOptions& options) {
  TORCH_CHECK_VALUE(options.max_persons >= 0, "max_persons: ", options.max_persons, ", expected 0 (all) or more");
  std::vector<int64_t> persons = corpus.DocumentsOf(options.split);
  if (options.max_persons > 0) persons.resize(std::min(persons.size(), static_cast<size_t>(options.max_persons)));
  return persons;
}

DictionaryEvaluation EvaluateDictionary(const DictionarySites& sites, const Dictionary& dictionary,
                                        const Corpus& corpus, const DictionaryEvaluationOptions& given,
                                        const std::function<bool(int64_t done, int64_t total)>& on_progress) {
  DictionaryEvaluationOptions options = given;
  if (options.scan.n_slots == 0) options.scan.n_slots = sites.reads.front().model->hyperparameters().max_length;
  CheckSites(sites, dictionary, corpus, options.scan);
  TORCH_CHECK_VALUE(0 < options.mask_ratio && options.mask_ratio <= 1, "mask_ratio: ", options.mask_ratio,
                    ", expected more than 0 and at most 1");
  const c10::NoGradGuard no_grad;
  Evaluation evaluation(sites, dictionary, corpus, options);
  const std::vector<Batch> batches = evaluation.Batches();
  const bool predicts = std::any_of(sites.predicts.begin(), sites.predicts.end(), Evaluation::Predicts);
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
  evaluation.FixMeans();
  if (predicts) pass([&](const Batch& batch) { evaluation.Predict(batch); });
  return evaluation.Result();
}

}  // namespace lifescope
