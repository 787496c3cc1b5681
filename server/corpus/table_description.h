// What raw tables hold and how they become tokens, as data: which files and columns, which prefixes, bins and dates.
// People write it as a textproto (proto/lifescope/v1/table_description.proto, where each field is told at length).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/corpus/calendar.h"
#include "server/corpus/csv.h"
#include "server/corpus/table_cell.h"

namespace lifescope {

// Rows whose cell is one of `any_of` (when there are any) and none of `none_of`; a missing cell is "".
struct RowCondition {
  std::string column;
  std::vector<std::string> any_of;
  std::vector<std::string> none_of;

  bool Holds(const std::string& cell) const;
  bool operator==(const RowCondition&) const = default;
};

// Where the rows of a table are.
struct TableSource {
  std::vector<std::string> files;  // names or patterns ("amrun*.csv"), within the folder of the tables or absolute
  CsvFormat format;
  std::string person_column;
  std::vector<RowCondition> keep;  // rows for which all hold; the others are skipped

  bool operator==(const TableSource&) const = default;
};

// A code of a column and the token it becomes.
struct CodedValue {
  std::string column;
  std::string prefix;  // "OCC": the token is OCC_<value>; empty: the value alone
  bool upper_case = false;
  int32_t skip_characters = 0;
  int32_t max_characters = 0;  // 0: all
  std::map<std::string, std::string> replacements;
  std::string otherwise;  // for what is not in `replacements`, when there are any; empty: missing

  // The token of a cell, "" for a missing one. Cells are cut, then replaced, then put in upper case.
  std::string Token(const std::string& cell) const;
  bool operator==(const CodedValue&) const = default;
};

struct EventField {
  CodedValue value;
  std::string category;       // in vocab.tsv
  int32_t bin_count = 0;      // 0: a code; else a number, cut into bin_count - 2 bins by training quantiles
  bool positive_only = true;  // numbers at or below 0 are missing
  int32_t min_persons = 0;    // 0: the description's

  bool operator==(const EventField&) const = default;
};

// A register: each row is a dated event.
struct EventTable {
  std::string name;  // "labor"
  TableSource source;
  std::string date_column;
  std::vector<std::string> date_formats;  // of DateFormat; empty: YYYY-MM-DD
  std::optional<Date> first_date;         // earlier events are skipped
  std::string age_column;                 // empty: by AgeRule
  std::vector<EventField> fields;

  bool operator==(const EventTable&) const = default;
};

struct BackgroundToken {
  enum class Kind { kCode, kBirthMonth, kBirthYear };
  Kind kind = Kind::kCode;
  CodedValue value;         // of kCode
  bool must_agree = false;  // with repeated rows: a person whose rows differ here is left out

  bool operator==(const BackgroundToken&) const = default;
};

// Who there is.
struct PersonTable {
  TableSource source;
  std::string birthday_column;
  std::vector<std::string> birthday_formats;
  std::vector<BackgroundToken> background;  // in the order of the document
  bool repeated_rows = false;               // a person may have many rows: the first counts, birthdays must agree
  std::string split_column;                 // empty: by SplitRule

  bool operator==(const PersonTable&) const = default;
};

// Which persons a model may learn from, unless PersonTable::split_column says it.
struct SplitRule {
  double train_share = 0.7;
  double validation_share = 0.15;
  uint64_t seed = 42;
  std::optional<TableSource> table;  // a table of its own instead, with `column`
  std::string column = "split";

  bool operator==(const SplitRule&) const = default;
};

// Persons who lack these events are left out.
struct RequiredEvents {
  std::string table;
  Date first, last;  // inclusive
  int32_t count = 1;

  bool operator==(const RequiredEvents&) const = default;
};

enum class AgeRule {
  kYearDifference,  // year of the event - year of birth
  kMonthEnd,        // one less while the end of the event's month is before the birthday in the year
};

struct TableDescription {
  PersonTable persons;
  std::vector<EventTable> tables;
  // Reference of abspos; events on or after `threshold` are cut.
  Date reference_date{2020, 1, 1};
  Date threshold{2026, 1, 1};
  // A token needs this many distinct training persons.
  int32_t min_persons = 2;
  // Tokens YEAR_<first> to YEAR_<last>.
  int32_t first_birth_year = 1945;
  int32_t last_birth_year = 1996;
  // In the order of the vocabulary.
  std::vector<std::string> background_tokens = {"FEMALE", "MALE"};
  // The published code of these tables never turns background into tokens, so that all of it is [UNK].
  bool published_background_is_raw = false;
  AgeRule age_rule = AgeRule::kYearDifference;
  // Only persons born after, before these days.
  std::optional<Date> born_after, born_before;
  std::optional<RequiredEvents> required_events;
  // Rows of persons who are not in the person table are skipped, not bad.
  bool skip_unknown_persons = false;
  std::vector<std::string> missing = MissingSpellings();
  SplitRule split;

  // The tables of life2vec-light: users.csv, synth_labor.csv, synth_health.csv.
  static TableDescription Life2vecLight();
  bool operator==(const TableDescription&) const = default;
};

// Throws c10::ValueError naming the field, found and expected, when tables cannot be read by it.
void CheckTableDescription(const TableDescription& description);

}  // namespace lifescope
