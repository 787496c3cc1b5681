#include "server/evaluation/corpus_concepts.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {

CorpusConcepts CorpusConcepts::OfTraits(const Corpus& corpus) {
  CorpusConcepts concepts;
  for (size_t t = 0; t < corpus.person_traits().size(); ++t) {
    const Trait& trait = corpus.person_traits()[t];
    concepts.Add("person." + trait.name, trait.values,
                 [&corpus, t](int64_t document, int32_t, int64_t) { return corpus.PersonTrait(document, t); });
  }
  for (size_t t = 0; t < corpus.event_traits().size(); ++t) {
    const Trait& trait = corpus.event_traits()[t];
    concepts.Add("event." + trait.name, trait.values, [&corpus, t](int64_t document, int32_t event, int64_t) {
      return corpus.EventTrait(document, event, t);
    });
  }
  TORCH_CHECK_VALUE(concepts.size() > 0, "corpus: no traits, expected a corpus whose traits are known");
  return concepts;
}

CorpusConcepts CorpusConcepts::OfLabels(const LabelTable& labels, const Corpus& corpus) {
  TORCH_CHECK_VALUE(labels.corpus_digest() == corpus.digest(), "labels: of the corpus ", labels.corpus_digest(),
                    ", expected ", corpus.digest());
  CorpusConcepts concepts;
  for (size_t c = 0; c < labels.columns().size(); ++c) {
    const LabelColumn& column = labels.columns()[c];
    if (column.kind == LabelKind::kNumber) continue;
    const bool is_boolean = column.kind == LabelKind::kBoolean;
    concepts.Add(column.name, is_boolean ? std::vector<std::string>{"false", "true"} : column.values,
                 [&labels, c, scope = column.scope](int64_t document, int32_t event, int64_t row) {
                   if (scope == LabelScope::kPerson) return labels.Person(c, document);
                   return scope == LabelScope::kEvent ? labels.Event(c, document, event)
                                                      : labels.Token(c, document, row);
                 });
  }
  TORCH_CHECK_VALUE(concepts.size() > 0, "labels: no boolean or category, expected at least one");
  return concepts;
}

CorpusConcepts CorpusConcepts::Of(const Corpus& corpus, const LabelTable* labels,
                                  const std::vector<std::string>& traits) {
  const CorpusConcepts all = labels ? OfLabels(*labels, corpus) : OfTraits(corpus);
  if (traits.empty()) return all;
  std::vector<int64_t> asked;
  for (const std::string& trait : traits) {
    const size_t before = asked.size();
    for (int64_t c = 0; c < all.size(); ++c) {
      if (all.name(c).trait == trait) asked.push_back(c);
    }
    TORCH_CHECK_VALUE(asked.size() > before, "traits: '", trait, "' is not there, expected one like '",
                      all.name(0).trait, "'");
  }
  std::sort(asked.begin(), asked.end());
  asked.erase(std::unique(asked.begin(), asked.end()), asked.end());
  return all.Select(asked);
}

void CorpusConcepts::Add(const std::string& trait, const std::vector<std::string>& values, ValueAt value_at) {
  Column column{std::move(value_at), {}};
  for (const std::string& value : values) {
    column.concepts.push_back(static_cast<int32_t>(names_.size()));
    traits_.push_back(static_cast<int64_t>(columns_.size()));
    names_.push_back({trait, value});
  }
  columns_.push_back(std::move(column));
}

void CorpusConcepts::AppendHeldAt(int64_t document, int32_t event, int64_t row, std::vector<int32_t>* concepts) const {
  for (const Column& column : columns_) {
    const double value = column.value_at(document, event, row);
    if (!(value >= 0)) continue;  // -1 or NaN: missing
    const int32_t c = column.concepts[static_cast<size_t>(value)];
    if (c >= 0) concepts->push_back(c);
  }
}

CorpusConcepts CorpusConcepts::Select(const std::vector<int64_t>& kept) const {
  CorpusConcepts selected;
  std::vector<int32_t> number(names_.size(), -1);
  for (const int64_t c : kept) {
    number[c] = static_cast<int32_t>(selected.names_.size());
    selected.names_.push_back(names_[c]);
    selected.traits_.push_back(traits_[c]);
  }
  selected.columns_ = columns_;
  for (Column& column : selected.columns_) {
    for (int32_t& c : column.concepts) c = c < 0 ? -1 : number[c];
  }
  return selected;
}

std::vector<int64_t> ConceptsWithin(const std::vector<int64_t>& holds, int64_t rows, double min_share,
                                    double max_share) {
  std::vector<int64_t> kept;
  for (size_t c = 0; c < holds.size(); ++c) {
    const double share = rows == 0 ? 0 : static_cast<double>(holds[c]) / static_cast<double>(rows);
    if (share >= min_share && share <= max_share) kept.push_back(static_cast<int64_t>(c));
  }
  return kept;
}

}  // namespace lifescope
