#include "server/corpus/label_condition.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "server/corpus/table_cell.h"

namespace lifescope {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

std::vector<bool> TokensOf(const LabelCondition& set, const Vocabulary& vocabulary) {
  TORCH_CHECK_VALUE(!set.names.empty() || !set.category.empty() || !set.prefix.empty(),
                    "a token set of nothing, expected names, category or prefix");
  std::vector<bool> named(static_cast<size_t>(vocabulary.size()), set.names.empty());
  for (const std::string& name : set.names) {
    const std::optional<int32_t> id = vocabulary.Find(name);
    TORCH_CHECK_VALUE(id.has_value(), "token '", name, "' is not in the vocabulary");
    named[static_cast<size_t>(*id)] = true;
  }
  bool any = false;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const bool fulfils = (set.category.empty() || vocabulary.category(id) == set.category) &&
                         StartsWith(vocabulary.token(id), set.prefix);
    named[static_cast<size_t>(id)] = named[static_cast<size_t>(id)] && fulfils;
    any = any || named[static_cast<size_t>(id)];
  }
  TORCH_CHECK_VALUE(any, "no token of the vocabulary is in the set (names: ", set.names.size(), ", category '",
                    set.category, "', prefix '", set.prefix, "')");
  return named;
}

// A day since 1970-01-01 as abspos; the ends of an open range stay where they are.
int64_t AbsposOf(int64_t day, Date reference) {
  const bool open = day == std::numeric_limits<int64_t>::min() || day == std::numeric_limits<int64_t>::max();
  return open ? day : day - reference.DayNumber() + 1;
}

}  // namespace

LifeByEvent::LifeByEvent(Document life) : document(std::move(life)) {
  for (int64_t row = 0; row < document.length(); ++row) {
    if (events.empty() || document.event[row] != document.event[row - 1]) events.push_back({row, row});
    events.back().end = row + 1;
  }
}

BoundCondition::BoundCondition(const LabelCondition& condition, const Corpus& corpus)
    : kind_(condition.kind), from_(condition.from), below_(condition.below) {
  for (const LabelCondition& part : condition.parts) parts_.emplace_back(part, corpus);
  if (kind_ == LabelCondition::Kind::kHas) in_set_ = TokensOf(condition, corpus.vocabulary());
  if (kind_ == LabelCondition::Kind::kDate) {
    from_ = AbsposOf(from_, corpus.manifest().reference_date);
    below_ = AbsposOf(below_, corpus.manifest().reference_date);
  }
}

bool BoundCondition::Holds(const LifeByEvent& life, RowRange rows) const {
  const auto part_holds = [&](const BoundCondition& part) { return part.Holds(life, rows); };
  const auto in_range = [&](int32_t value) {
    return life.document.event[rows.begin] > 0 && value >= from_ && value < below_;
  };
  switch (kind_) {
    case LabelCondition::Kind::kAll:
      return std::all_of(parts_.begin(), parts_.end(), part_holds);
    case LabelCondition::Kind::kAny:
      return std::any_of(parts_.begin(), parts_.end(), part_holds);
    case LabelCondition::Kind::kNot:
      return !part_holds(parts_.front());
    case LabelCondition::Kind::kHas:
      return HasToken(life, rows);
    case LabelCondition::Kind::kAge:
      return in_range(life.document.age[rows.begin]);
    case LabelCondition::Kind::kDate:
      return in_range(life.document.abspos[rows.begin]);
    case LabelCondition::Kind::kInEvent:
      break;
  }
  return parts_.front().Holds(life, life.events[life.document.event[rows.begin]]);
}

bool BoundCondition::HasToken(const LifeByEvent& life, RowRange rows) const {
  const auto first = life.document.token.begin();
  return std::any_of(first + rows.begin, first + rows.end, [&](int32_t token) { return in_set_[token]; });
}

BoundNumber::BoundNumber(const LabelNumber& number, const Vocabulary& vocabulary) : kind_(number.kind) {
  if (kind_ != LabelNumber::Kind::kToken) return;
  bool any = false;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string& token = vocabulary.token(id);
    const std::optional<double> value =
        StartsWith(token, number.prefix) ? ParseTableNumber(token.substr(number.prefix.size()), false) : std::nullopt;
    number_of_token_.push_back(value.value_or(kMissing));
    any = any || value.has_value();
  }
  TORCH_CHECK_VALUE(any, "no token of the vocabulary is '", number.prefix, "' and a number");
}

double BoundNumber::Of(const LifeByEvent& life, RowRange rows) const {
  const Document& document = life.document;
  if (kind_ == LabelNumber::Kind::kToken) {
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      const double number = number_of_token_[document.token[row]];
      if (!std::isnan(number)) return number;
    }
    return kMissing;
  }
  if (document.event[rows.begin] == 0) return kMissing;
  return kind_ == LabelNumber::Kind::kAge ? document.age[rows.begin] : document.abspos[rows.begin];
}

}  // namespace lifescope
