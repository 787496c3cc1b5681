// What a label table says, column by column. label_description.proto is the same as people write it, and says more.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "server/corpus/label_table.h"

namespace lifescope {

// A condition on rows of a document that stand together: of one token, of one event, of the background.
struct LabelCondition {
  enum class Kind { kAll, kAny, kNot, kHas, kAge, kDate, kInEvent };
  Kind kind = Kind::kAll;
  // Of kAll and kAny: any number; of kNot and kInEvent: one.
  std::vector<LabelCondition> parts;
  // Of kHas: a token that fulfils everything that is not empty here.
  std::vector<std::string> names;
  std::string category, prefix;
  // Of kAge (years) and kDate (days since 1970-01-01): from <= value < below.
  int64_t from = std::numeric_limits<int64_t>::min(), below = std::numeric_limits<int64_t>::max();
};

// A number that an event has.
struct LabelNumber {
  enum class Kind { kAge, kDay, kToken };
  Kind kind = Kind::kAge;
  std::string prefix;  // of kToken: INCOME_ gives 37 for INCOME_37
};

struct TokenLabel {
  LabelCondition condition;
};
struct EventLabel {
  LabelCondition condition;
};
struct EventNumberLabel {
  LabelNumber number;
};
struct PersonTraitLabel {
  std::string trait;
};
struct EventTraitLabel {
  std::string trait;
};

struct PersonLabel {
  enum class Value { kExists, kCount, kFirst, kLast, kMean };
  LabelCondition events;  // which ones count
  bool background = false;
  Value value = Value::kExists;
  LabelNumber number;  // of kFirst, kLast, kMean
};

struct CsvLabel {
  std::string file;  // a path as it can be opened
  std::string person_column;
  // At most one is not empty; none: the rows are about persons.
  std::string event_column, date_column, position_column;
  std::string value_column;
  LabelKind kind = LabelKind::kNumber;
  std::vector<std::string> values;  // of a category, in order; empty: those of the rows, sorted
};

struct LabelColumnDescription {
  std::string name;
  std::variant<CsvLabel, PersonTraitLabel, EventTraitLabel, TokenLabel, EventLabel, EventNumberLabel, PersonLabel>
      source;
  std::string definition;  // kept in the table; empty is allowed
};

}  // namespace lifescope
