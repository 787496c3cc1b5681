#include "server/evaluation/trait_coverage.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "server/evaluation/concept_coverage.h"
#include "server/evaluation/corpus_concepts.h"
#include "server/evaluation/corpus_scan.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double Ratio(double part, double whole) { return whole == 0 ? 0 : part / whole; }
double F1Of(double hits, double fired, double positives) { return Ratio(2 * hits, fired + positives); }

// The event tokens of one document and the concepts that hold of them.
struct EventTokens {
  SparseActivations codes;
  HeldConcepts concepts;
};

EventTokens ToEventTokens(const CorpusConcepts& concepts, int64_t index, const Document& document,
                          const SparseActivations& all) {
  const at::Tensor offsets = all.row_offsets.contiguous();
  const int64_t* offset = offsets.data_ptr<int64_t>();
  std::vector<int64_t> row_offsets{0}, entries;
  HeldConcepts held;
  held.concept_count = concepts.size();
  for (int64_t row = 0; row < all.rows(); ++row) {
    const int32_t event = document.event[static_cast<size_t>(row)];
    if (event == 0) continue;
    for (int64_t i = offset[row]; i < offset[row + 1]; ++i) entries.push_back(i);
    row_offsets.push_back(static_cast<int64_t>(entries.size()));
    concepts.AppendHeldAt(index, event, row, &held.concepts);
    held.row_offsets.push_back(static_cast<int64_t>(held.concepts.size()));
  }
  const at::Tensor kept = at::tensor(entries, at::kLong);
  return {{at::tensor(row_offsets, at::kLong), all.features.index_select(0, kept), all.values.index_select(0, kept),
           all.feature_count},
          std::move(held)};
}

// What was chosen on the validation persons. Entry c is of concept c.
struct Choices {
  std::vector<ConceptChoice> own, shared;
  int64_t shared_level = 0;

  explicit Choices(const ConceptCounts& counts) {
    if (counts.concept_count() > 0) shared_level = MeasureCoverage(counts).shared_level;
    for (int64_t c = 0; c < counts.concept_count(); ++c) {
      own.push_back(BestAtAnyLevel(counts, c));
      shared.push_back(BestAtLevel(counts, c, shared_level));
    }
  }
};

// Where the counts of one person are in a row of sums: per concept five numbers, per slot of the reconstruction three,
// then tokens and active features.
class SumLayout {
 public:
  SumLayout(int64_t concepts, int64_t slots) : concepts_(concepts), slots_(slots) {}

  int64_t OwnHits(int64_t c) const { return 5 * c; }
  int64_t OwnFired(int64_t c) const { return 5 * c + 1; }
  int64_t SharedHits(int64_t c) const { return 5 * c + 2; }
  int64_t SharedFired(int64_t c) const { return 5 * c + 3; }
  int64_t Holds(int64_t c) const { return 5 * c + 4; }
  int64_t TruePositives(int64_t slot) const { return 5 * concepts_ + 3 * slot; }
  int64_t FalsePositives(int64_t slot) const { return TruePositives(slot) + 1; }
  int64_t FalseNegatives(int64_t slot) const { return TruePositives(slot) + 2; }
  int64_t Tokens() const { return 5 * concepts_ + 3 * slots_; }
  int64_t Active() const { return Tokens() + 1; }

  int64_t concepts() const { return concepts_; }
  int64_t slots() const { return slots_; }
  int64_t size() const { return Active() + 1; }

 private:
  int64_t concepts_, slots_;
};

// Measures choices and detectors on the test persons, one by one.
class TestCounts {
 public:
  TestCounts(const ConceptCounts& validation, const CorpusConcepts& concepts, const DetectorOptions& options)
      : grid_(validation.grid()),
        choices_(validation),
        detectors_(validation, options),
        concepts_(concepts),
        layout_(concepts.size(), grid_.level_count() + 1),
        own_of_feature_(grid_.feature_count()),
        shared_of_feature_(grid_.feature_count()) {
    for (const ConceptChoice& choice : choices_.own) {
      if (choice.feature != kNoFeature) own_of_feature_[choice.feature].push_back(choice);
    }
    for (const ConceptChoice& choice : choices_.shared) {
      if (choice.feature != kNoFeature) shared_of_feature_[choice.feature].push_back(choice);
    }
  }

  void Add(const EventTokens& tokens) {
    std::vector<double> sums(layout_.size(), 0);
    sums[layout_.Tokens()] = static_cast<double>(tokens.codes.rows());
    sums[layout_.Active()] = static_cast<double>(tokens.codes.values.numel());
    for (const int32_t c : tokens.concepts.concepts) sums[layout_.Holds(c)] += 1;
    AddChoices(tokens, sums);
    const auto found = ReconstructConcepts(detectors_, tokens.codes, tokens.concepts, concepts_.traits());
    for (int64_t slot = 0; slot < layout_.slots(); ++slot) {
      const BinaryCounts& counts = found[slot].predictions;
      sums[layout_.TruePositives(slot)] = static_cast<double>(counts.true_positives);
      sums[layout_.FalsePositives(slot)] = static_cast<double>(counts.false_positives);
      sums[layout_.FalseNegatives(slot)] = static_cast<double>(counts.false_negatives);
    }
    persons_.push_back(at::tensor(sums, at::kDouble));
  }

  const SumLayout& layout() const { return layout_; }
  const Choices& choices() const { return choices_; }
  const ThresholdGrid& grid() const { return grid_; }
  // [persons, layout().size()].
  at::Tensor PerPerson() const {
    return persons_.empty() ? at::zeros({0, layout_.size()}, at::kDouble) : at::stack(persons_);
  }

 private:
  void AddChoices(const EventTokens& tokens, std::vector<double>& sums) const {
    const at::Tensor values = tokens.codes.values.to(at::kDouble).contiguous();
    const int32_t* features = tokens.codes.features.data_ptr<int32_t>();
    const int64_t* offsets = tokens.codes.row_offsets.data_ptr<int64_t>();
    for (int64_t row = 0; row < tokens.codes.rows(); ++row) {
      const auto held = tokens.concepts.concepts.begin() + tokens.concepts.row_offsets[row];
      const auto held_end = tokens.concepts.concepts.begin() + tokens.concepts.row_offsets[row + 1];
      const auto is_held = [&](int64_t c) { return std::find(held, held_end, c) != held_end; };
      for (int64_t i = offsets[row]; i < offsets[row + 1]; ++i) {
        const int32_t feature = features[i];
        const int64_t level = grid_.LevelOf(feature, values.data_ptr<double>()[i]);
        for (const ConceptChoice& choice : own_of_feature_[feature]) {
          if (level < choice.level) continue;
          sums[layout_.OwnFired(choice.concept_index)] += 1;
          sums[layout_.OwnHits(choice.concept_index)] += is_held(choice.concept_index);
        }
        for (const ConceptChoice& choice : shared_of_feature_[feature]) {
          if (level < choice.level) continue;
          sums[layout_.SharedFired(choice.concept_index)] += 1;
          sums[layout_.SharedHits(choice.concept_index)] += is_held(choice.concept_index);
        }
      }
    }
  }

  ThresholdGrid grid_;
  Choices choices_;
  ConceptDetectors detectors_;
  const CorpusConcepts& concepts_;
  SumLayout layout_;
  std::vector<std::vector<ConceptChoice>> own_of_feature_, shared_of_feature_;
  std::vector<at::Tensor> persons_;
};

const char* const kFigures[] = {kCoverageOwnThreshold, kCoverageSharedThreshold, kReconstruction, kReconstructionBest,
                                kAlwaysOn};

// The figures, in the order of kFigures, of one row of sums.
std::vector<double> FiguresOf(const double* sums, const SumLayout& layout) {
  if (layout.concepts() == 0) {
    return std::vector<double>(std::size(kFigures), kNan);
  }
  double own = 0, shared = 0, always = 0;
  for (int64_t c = 0; c < layout.concepts(); ++c) {
    const double holds = sums[layout.Holds(c)], tokens = sums[layout.Tokens()];
    own += F1Of(sums[layout.OwnHits(c)], sums[layout.OwnFired(c)], holds);
    shared += F1Of(sums[layout.SharedHits(c)], sums[layout.SharedFired(c)], holds);
    always += F1Of(holds, tokens, holds);
  }
  double reconstruction = 0, best = 0;
  for (int64_t slot = 0; slot < layout.slots(); ++slot) {
    const double hits = sums[layout.TruePositives(slot)];
    reconstruction = F1Of(hits, hits + sums[layout.FalsePositives(slot)], hits + sums[layout.FalseNegatives(slot)]);
    best = std::max(best, reconstruction);
  }
  const auto concepts = static_cast<double>(layout.concepts());
  return {own / concepts, shared / concepts, reconstruction, best, always / concepts};
}

std::vector<TraitMatch> MatchesOf(const TestCounts& counts, const CorpusConcepts& concepts, const double* sums) {
  const SumLayout& layout = counts.layout();
  std::vector<TraitMatch> matches;
  for (int64_t c = 0; c < layout.concepts(); ++c) {
    const ConceptChoice& choice = counts.choices().own[c];
    const double hits = sums[layout.OwnHits(c)], fired = sums[layout.OwnFired(c)], holds = sums[layout.Holds(c)];
    matches.push_back({concepts.name(c).trait, concepts.name(c).value, choice.feature,
                       choice.feature == kNoFeature ? kNan : counts.grid().Threshold(choice.feature, choice.level),
                       F1Of(hits, fired, holds), Ratio(hits, fired), Ratio(hits, holds),
                       Ratio(holds, sums[layout.Tokens()])});
  }
  return matches;
}

TraitCoverage ToCoverage(const TestCounts& counts, const CorpusConcepts& concepts, const BootstrapOptions& bootstrap) {
  const SumLayout& layout = counts.layout();
  const at::Tensor per_person = counts.PerPerson();
  const at::Tensor total = per_person.sum(0);
  const double* sums = total.data_ptr<double>();
  TORCH_CHECK_VALUE(sums[layout.Tokens()] > 0, "corpus: no event in the test split, expected at least one");
  TraitCoverage coverage;
  coverage.matches = MatchesOf(counts, concepts, sums);
  coverage.shared_fraction = counts.grid().fraction(counts.choices().shared_level);
  coverage.l0 = sums[layout.Active()] / sums[layout.Tokens()];
  coverage.test_token_count = static_cast<int64_t>(sums[layout.Tokens()]);
  coverage.test_person_count = per_person.size(0);
  coverage.draws.resize(std::size(kFigures));
  if (bootstrap.resamples > 0) {
    const at::Tensor drawn = BootstrapSums(per_person, bootstrap);
    for (int64_t draw = 0; draw < drawn.size(0); ++draw) {
      const std::vector<double> figures = FiguresOf(drawn.data_ptr<double>() + draw * layout.size(), layout);
      for (size_t i = 0; i < figures.size(); ++i) coverage.draws[i].push_back(figures[i]);
    }
  }
  const std::vector<double> figures = FiguresOf(sums, layout);
  for (size_t i = 0; i < figures.size(); ++i) {
    Measurement figure{kFigures[i], figures[i]};
    if (std::isnan(figures[i])) figure.note = "every trait value holds of too few or too many tokens";
    coverage.figures.push_back(WithInterval(std::move(figure), coverage.draws[i], coverage.test_person_count));
  }
  return coverage;
}

}  // namespace

TraitCoverage CoverTraits(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                          const TraitCoverageOptions& options,
                          const std::function<bool(int64_t done, int64_t total)>& on_progress) {
  const TraitMatchOptions& match = options.match;
  const CorpusConcepts all = CorpusConcepts::Of(corpus, match.labels.get(), match.traits);
  const CorpusScanOptions scan{match.hook_point, match.n_slots, match.batch_tokens};
  CheckScan(model, dictionary, corpus, scan);
  const std::vector<int64_t> validation = corpus.DocumentsOf(Split::kValidation);
  const std::vector<int64_t> test = corpus.DocumentsOf(Split::kTest);
  const auto total = static_cast<int64_t>(2 * validation.size() + test.size());
  int64_t before = 0;
  const auto pass = [&](const std::vector<int64_t>& indices, const CorpusConcepts& concepts, const auto& visit) {
    ScanCorpus(
        model, dictionary, corpus, indices, scan,
        [&](int64_t index, const Document& document, const SparseActivations& codes) {
          visit(ToEventTokens(concepts, index, document, codes));
        },
        [&](int64_t done) { return !on_progress || on_progress(before + done, total); });
    before += static_cast<int64_t>(indices.size());
  };

  at::Tensor maxima = at::zeros({dictionary.feature_count()}, at::kDouble);
  std::vector<int64_t> holds(all.size(), 0);
  int64_t tokens = 0;
  pass(validation, all, [&](const EventTokens& t) {
    maxima = at::maximum(maxima, MaxActivations(t.codes));
    for (const int32_t c : t.concepts.concepts) ++holds[c];
    tokens += t.codes.rows();
  });
  TORCH_CHECK_VALUE(tokens > 0, "corpus: no event in the validation split, expected at least one");
  const CorpusConcepts concepts = all.Select(ConceptsWithin(holds, tokens, match.min_share, match.max_share));
  ConceptCounts counts(ThresholdGrid(maxima, TenthsBelowOne()), concepts.size());
  pass(validation, concepts, [&](const EventTokens& t) { counts.Add(t.codes, t.concepts); });
  TestCounts measured(counts, concepts, options.detectors);
  pass(test, concepts, [&](const EventTokens& t) { measured.Add(t); });
  TraitCoverage coverage = ToCoverage(measured, concepts, options.bootstrap);
  coverage.left_out_count = all.size() - concepts.size();
  return coverage;
}

}  // namespace lifescope
