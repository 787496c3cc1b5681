#include "server/corpus/label_source.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <limits>
#include <utility>

namespace lifescope {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

class TokenConditionSource : public LabelSource {
 public:
  TokenConditionSource(const TokenLabel& label, const Corpus& corpus) : condition_(label.condition, corpus) {}
  LabelScope scope() const override { return LabelScope::kToken; }
  LabelKind kind() const override { return LabelKind::kBoolean; }
  void Append(int64_t, const LifeByEvent& life, std::vector<double>* values) const override {
    for (int64_t row = 0; row < life.document.length(); ++row) {
      values->push_back(condition_.Holds(life, {row, row + 1}));
    }
  }

 private:
  BoundCondition condition_;
};

class EventConditionSource : public LabelSource {
 public:
  EventConditionSource(const EventLabel& label, const Corpus& corpus) : condition_(label.condition, corpus) {}
  LabelScope scope() const override { return LabelScope::kEvent; }
  LabelKind kind() const override { return LabelKind::kBoolean; }
  void Append(int64_t, const LifeByEvent& life, std::vector<double>* values) const override {
    for (size_t e = 1; e < life.events.size(); ++e) values->push_back(condition_.Holds(life, life.events[e]));
  }

 private:
  BoundCondition condition_;
};

class EventNumberSource : public LabelSource {
 public:
  EventNumberSource(const EventNumberLabel& label, const Corpus& corpus) : number_(label.number, corpus.vocabulary()) {}
  LabelScope scope() const override { return LabelScope::kEvent; }
  LabelKind kind() const override { return LabelKind::kNumber; }
  void Append(int64_t, const LifeByEvent& life, std::vector<double>* values) const override {
    for (size_t e = 1; e < life.events.size(); ++e) values->push_back(number_.Of(life, life.events[e]));
  }

 private:
  BoundNumber number_;
};

class PersonSource : public LabelSource {
 public:
  PersonSource(const PersonLabel& label, const Corpus& corpus)
      : label_(label), condition_(label.events, corpus), number_(label.number, corpus.vocabulary()) {}
  LabelScope scope() const override { return LabelScope::kPerson; }
  LabelKind kind() const override {
    return label_.value == PersonLabel::Value::kExists ? LabelKind::kBoolean : LabelKind::kNumber;
  }

  void Append(int64_t, const LifeByEvent& life, std::vector<double>* values) const override {
    double matching = 0, numbers = 0, sum = 0, first = kMissing, last = kMissing;
    const size_t begin = label_.background ? 0 : 1, end = label_.background ? 1 : life.events.size();
    for (size_t e = begin; e < end; ++e) {
      if (!condition_.Holds(life, life.events[e])) continue;
      ++matching;
      const double number = number_.Of(life, life.events[e]);
      if (std::isnan(number)) continue;
      if (numbers++ == 0) first = number;
      last = number;
      sum += number;
    }
    switch (label_.value) {
      case PersonLabel::Value::kExists:
        return values->push_back(matching > 0);
      case PersonLabel::Value::kCount:
        return values->push_back(matching);
      case PersonLabel::Value::kFirst:
        return values->push_back(first);
      case PersonLabel::Value::kLast:
        return values->push_back(last);
      case PersonLabel::Value::kMean:
        return values->push_back(numbers == 0 ? kMissing : sum / numbers);
    }
  }

 private:
  PersonLabel label_;
  BoundCondition condition_;
  BoundNumber number_;
};

// Index of the trait; throws naming those there are.
int64_t TraitIndex(const std::vector<Trait>& traits, const std::string& name, const char* kind) {
  std::string names;
  for (size_t t = 0; t < traits.size(); ++t) {
    if (traits[t].name == name) return static_cast<int64_t>(t);
    names += (names.empty() ? "" : ", ") + traits[t].name;
  }
  TORCH_CHECK_VALUE(false, "the corpus has no ", kind, " trait '", name, "'; it has ", names.empty() ? "none" : names);
}

double TraitValue(int8_t value) { return value < 0 ? kMissing : value; }

class PersonTraitSource : public LabelSource {
 public:
  PersonTraitSource(const PersonTraitLabel& label, const Corpus& corpus)
      : corpus_(corpus), trait_(TraitIndex(corpus.person_traits(), label.trait, "person")) {}
  LabelScope scope() const override { return LabelScope::kPerson; }
  LabelKind kind() const override { return LabelKind::kCategory; }
  std::vector<std::string> values() const override { return corpus_.person_traits()[trait_].values; }
  void Append(int64_t index, const LifeByEvent&, std::vector<double>* values) const override {
    values->push_back(TraitValue(corpus_.PersonTrait(index, trait_)));
  }

 private:
  const Corpus& corpus_;
  int64_t trait_;
};

class EventTraitSource : public LabelSource {
 public:
  EventTraitSource(const EventTraitLabel& label, const Corpus& corpus)
      : corpus_(corpus), trait_(TraitIndex(corpus.event_traits(), label.trait, "event")) {}
  LabelScope scope() const override { return LabelScope::kEvent; }
  LabelKind kind() const override { return LabelKind::kCategory; }
  std::vector<std::string> values() const override { return corpus_.event_traits()[trait_].values; }
  void Append(int64_t index, const LifeByEvent& life, std::vector<double>* values) const override {
    for (int32_t e = 1; e <= life.document.event_count(); ++e) {
      values->push_back(TraitValue(corpus_.EventTrait(index, e, trait_)));
    }
  }

 private:
  const Corpus& corpus_;
  int64_t trait_;
};

class CsvSource : public LabelSource {
 public:
  explicit CsvSource(CsvLabelValues values) : values_(std::move(values)) {}
  LabelScope scope() const override { return values_.scope; }
  LabelKind kind() const override { return values_.kind; }
  std::vector<std::string> values() const override { return values_.names; }
  void Append(int64_t index, const LifeByEvent&, std::vector<double>* values) const override {
    const auto first = values_.rows.begin();
    values->insert(values->end(), first + values_.offsets[index], first + values_.offsets[index + 1]);
  }

 private:
  CsvLabelValues values_;
};

// Makes the source of each alternative of LabelColumnDescription::source.
struct Maker {
  const Corpus& corpus;
  const double max_bad_row_share;
  std::vector<RowCounts>& reports;

  using Made = std::unique_ptr<LabelSource>;
  Made operator()(const TokenLabel& label) const { return std::make_unique<TokenConditionSource>(label, corpus); }
  Made operator()(const EventLabel& label) const { return std::make_unique<EventConditionSource>(label, corpus); }
  Made operator()(const EventNumberLabel& label) const { return std::make_unique<EventNumberSource>(label, corpus); }
  Made operator()(const PersonLabel& label) const { return std::make_unique<PersonSource>(label, corpus); }
  Made operator()(const PersonTraitLabel& label) const { return std::make_unique<PersonTraitSource>(label, corpus); }
  Made operator()(const EventTraitLabel& label) const { return std::make_unique<EventTraitSource>(label, corpus); }
  Made operator()(const CsvLabel& label) const {
    reports.emplace_back();
    return std::make_unique<CsvSource>(ReadLabelCsv(label, corpus, max_bad_row_share, &reports.back()));
  }
};

}  // namespace

std::unique_ptr<LabelSource> MakeLabelSource(const LabelColumnDescription& description, const Corpus& corpus,
                                             double max_bad_row_share, std::vector<RowCounts>* reports) {
  try {
    return std::visit(Maker{corpus, max_bad_row_share, *reports}, description.source);
  } catch (const c10::ValueError& fault) {
    TORCH_CHECK_VALUE(false, "label column ", description.name, ": ", fault.msg());
  }
}

}  // namespace lifescope
