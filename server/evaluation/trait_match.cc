#include "server/evaluation/trait_match.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <utility>

#include "server/evaluation/corpus_scan.h"
#include "server/intervention/engine.h"

namespace lifescope {
namespace {

constexpr int kThresholds = 10;  // 0, .1, ..., .9 times the maximum

double F1(int64_t hits, int64_t fired, int64_t positives) {
  return fired + positives == 0 ? 0 : 2.0 * static_cast<double>(hits) / static_cast<double>(fired + positives);
}

double Ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// The values of a corpus' traits, or of a label table, numbered: a "concept" is one of them.
class Concepts {
 public:
  explicit Concepts(const Corpus& corpus) {
    for (size_t t = 0; t < corpus.person_traits().size(); ++t) {
      const Trait& trait = corpus.person_traits()[t];
      Add("person." + trait.name, trait.values,
          [&corpus, t](int64_t document, int32_t, int64_t) { return corpus.PersonTrait(document, t); });
    }
    for (size_t t = 0; t < corpus.event_traits().size(); ++t) {
      const Trait& trait = corpus.event_traits()[t];
      Add("event." + trait.name, trait.values,
          [&corpus, t](int64_t document, int32_t event, int64_t) { return corpus.EventTrait(document, event, t); });
    }
  }

  explicit Concepts(const LabelTable& labels) {
    for (size_t c = 0; c < labels.columns().size(); ++c) {
      const LabelColumn& column = labels.columns()[c];
      if (column.kind == LabelKind::kNumber) continue;
      const bool is_boolean = column.kind == LabelKind::kBoolean;
      Add(column.name, is_boolean ? std::vector<std::string>{"false", "true"} : column.values,
          [&labels, c, scope = column.scope](int64_t document, int32_t event, int64_t row) {
            if (scope == LabelScope::kPerson) return labels.Person(c, document);
            return scope == LabelScope::kEvent ? labels.Event(c, document, event) : labels.Token(c, document, row);
          });
    }
  }

  size_t size() const { return names_.size(); }
  const std::pair<std::string, std::string>& name(size_t index) const { return names_[index]; }

  // The concepts that hold of a token of an event.
  void HoldAt(int64_t document, int32_t event, int64_t row, std::vector<size_t>* concepts) const {
    concepts->clear();
    for (const auto& [first, value_at] : columns_) {
      const double value = value_at(document, event, row);
      if (value >= 0) concepts->push_back(first + static_cast<size_t>(value));  // not where it is missing: -1, NaN
    }
  }

 private:
  // Index of the value that holds there.
  using ValueAt = std::function<double(int64_t document, int32_t event, int64_t row)>;

  void Add(const std::string& name, const std::vector<std::string>& values, ValueAt value_at) {
    columns_.emplace_back(names_.size(), std::move(value_at));
    for (const std::string& value : values) names_.emplace_back(name, value);
  }

  std::vector<std::pair<std::string, std::string>> names_;
  std::vector<std::pair<size_t, ValueAt>> columns_;  // with the number of its first concept
};

// Calls `token(concepts)` for every token of the document's events, and `active(concepts, feature, value)` for every
// feature that is active there.
template <typename TokenFn, typename ActiveFn>
void VisitEventTokens(const Concepts& concepts, int64_t index, const Document& document,
                      const SparseActivations& activations, TokenFn token, ActiveFn active) {
  const at::Tensor values = activations.values.to(at::kDouble).contiguous();
  const at::Tensor features = activations.features.contiguous();
  const int64_t* offsets = activations.row_offsets.data_ptr<int64_t>();
  std::vector<size_t> here;
  for (int64_t row = 0; row < activations.rows(); ++row) {
    if (document.event[row] == 0) continue;
    concepts.HoldAt(index, document.event[row], row, &here);
    token(here);
    for (int64_t i = offsets[row]; i < offsets[row + 1]; ++i) {
      active(here, static_cast<size_t>(features.data_ptr<int32_t>()[i]), values.data_ptr<double>()[i]);
    }
  }
}

// Feature and threshold that a concept is matched with.
struct Choice {
  size_t concept_index = 0;
  size_t feature = 0;
  double threshold = 0;
  double f1 = 0;
  int64_t hits = 0, fired = 0;  // on the test split
};

// Counts of the validation split, by feature and by the highest of the ten thresholds that an activation exceeds.
class ValidationCounts {
 public:
  ValidationCounts(size_t features, const Concepts& concepts)
      : concepts_(concepts),
        maximum_(features, 0),
        fired_(features),
        hits_(features * concepts.size()),
        holds_(concepts.size(), 0) {}

  void AddMaxima(int64_t index, const Document& document, const SparseActivations& activations) {
    VisitEventTokens(
        concepts_, index, document, activations, [](const std::vector<size_t>&) {},
        [&](const std::vector<size_t>&, size_t feature, double value) {
          maximum_[feature] = std::max(maximum_[feature], value);
        });
  }

  void AddCounts(int64_t index, const Document& document, const SparseActivations& activations) {
    VisitEventTokens(
        concepts_, index, document, activations,
        [&](const std::vector<size_t>& here) {
          ++tokens_;
          for (const size_t c : here) ++holds_[c];
        },
        [&](const std::vector<size_t>& here, size_t feature, double value) {
          const int level = LevelOf(feature, value);
          ++fired_[feature][level];
          for (const size_t c : here) ++hits_[feature * concepts_.size() + c][level];
        });
  }

  int64_t tokens() const { return tokens_; }
  double Share(size_t c) const { return Ratio(holds_[c], tokens_); }

  Choice Best(size_t c) const {
    Choice best;
    best.concept_index = c;
    for (size_t feature = 0; feature < fired_.size(); ++feature) {
      int64_t hits = 0, fired = 0;
      for (int level = kThresholds - 1; level >= 0; --level) {
        hits += hits_[feature * concepts_.size() + c][level];
        fired += fired_[feature][level];
        const double f1 = F1(hits, fired, holds_[c]);
        if (f1 > best.f1) best = {c, feature, Threshold(feature, level), f1, 0, 0};
      }
    }
    return best;
  }

 private:
  double Threshold(size_t feature, int level) const { return maximum_[feature] * level / kThresholds; }

  int LevelOf(size_t feature, double value) const {
    int level = kThresholds - 1;
    while (level > 0 && value <= Threshold(feature, level)) --level;
    return level;
  }

  using Levels = std::array<int64_t, kThresholds>;
  const Concepts& concepts_;
  std::vector<double> maximum_;
  std::vector<Levels> fired_;
  std::vector<Levels> hits_;  // [feature][concept]
  std::vector<int64_t> holds_;
  int64_t tokens_ = 0;
};

// Measures the choices on the test split.
class TestCounts {
 public:
  TestCounts(size_t features, const Concepts& concepts, std::vector<Choice> choices)
      : concepts_(concepts), choices_(std::move(choices)), by_feature_(features), holds_(concepts.size(), 0) {
    for (size_t i = 0; i < choices_.size(); ++i) by_feature_[choices_[i].feature].push_back(i);
  }

  void Add(int64_t index, const Document& document, const SparseActivations& activations) {
    VisitEventTokens(
        concepts_, index, document, activations,
        [&](const std::vector<size_t>& here) {
          ++tokens_;
          for (const size_t c : here) ++holds_[c];
        },
        [&](const std::vector<size_t>& here, size_t feature, double value) {
          for (const size_t i : by_feature_[feature]) {
            Choice& choice = choices_[i];
            if (value <= choice.threshold) continue;
            ++choice.fired;
            if (std::find(here.begin(), here.end(), choice.concept_index) != here.end()) ++choice.hits;
          }
        });
  }

  int64_t tokens() const { return tokens_; }

  std::vector<TraitMatch> Matches() const {
    std::vector<TraitMatch> matches;
    for (const Choice& choice : choices_) {
      const int64_t holds = holds_[choice.concept_index];
      const auto& [trait, value] = concepts_.name(choice.concept_index);
      matches.push_back({trait, value, static_cast<int64_t>(choice.feature), choice.threshold,
                         F1(choice.hits, choice.fired, holds), Ratio(choice.hits, choice.fired),
                         Ratio(choice.hits, holds), Ratio(holds, tokens_)});
    }
    std::stable_sort(matches.begin(), matches.end(),
                     [](const TraitMatch& a, const TraitMatch& b) { return a.f1 > b.f1; });
    return matches;
  }

 private:
  const Concepts& concepts_;
  std::vector<Choice> choices_;
  std::vector<std::vector<size_t>> by_feature_;
  std::vector<int64_t> holds_;
  int64_t tokens_ = 0;
};

}  // namespace

std::vector<TraitMatch> MatchTraits(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                                    const TraitMatchOptions& options,
                                    const std::function<bool(int64_t done, int64_t total)>& on_progress) {
  const Concepts concepts = options.labels ? Concepts(*options.labels) : Concepts(corpus);
  TORCH_CHECK_VALUE(!options.labels || options.labels->corpus_digest() == corpus.digest(), "labels: of the corpus ",
                    options.labels->corpus_digest(), ", expected ", corpus.digest());
  TORCH_CHECK_VALUE(concepts.size() > 0, options.labels
                                             ? "labels: no boolean or category, expected at least one"
                                             : "corpus: no traits, expected a corpus whose traits are known");
  const CorpusScanOptions scan{options.hook_point, options.n_slots, options.batch_tokens};
  CheckScan(model, dictionary, corpus, scan);
  const std::vector<int64_t> validation = corpus.DocumentsOf(Split::kValidation);
  const std::vector<int64_t> test = corpus.DocumentsOf(Split::kTest);
  const int64_t total = static_cast<int64_t>(2 * validation.size() + test.size());
  int64_t before = 0;
  const auto pass = [&](const std::vector<int64_t>& indices, const DocumentVisitor& visit) {
    ScanCorpus(model, dictionary, corpus, indices, scan, visit,
               [&](int64_t done) { return !on_progress || on_progress(before + done, total); });
    before += static_cast<int64_t>(indices.size());
  };

  const size_t features = static_cast<size_t>(dictionary.feature_count());
  ValidationCounts counts(features, concepts);
  pass(validation, [&](int64_t i, const Document& d, const SparseActivations& a) { counts.AddMaxima(i, d, a); });
  pass(validation, [&](int64_t i, const Document& d, const SparseActivations& a) { counts.AddCounts(i, d, a); });
  TORCH_CHECK_VALUE(counts.tokens() > 0, "corpus: no event in the validation split, expected at least one");
  std::vector<Choice> choices;
  for (size_t c = 0; c < concepts.size(); ++c) {
    const double share = counts.Share(c);
    if (share >= options.min_share && share <= options.max_share) choices.push_back(counts.Best(c));
  }
  TestCounts measured(features, concepts, std::move(choices));
  pass(test, [&](int64_t i, const Document& d, const SparseActivations& a) { measured.Add(i, d, a); });
  TORCH_CHECK_VALUE(measured.tokens() > 0, "corpus: no event in the test split, expected at least one");
  return measured.Matches();
}

}  // namespace lifescope
