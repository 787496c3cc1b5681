#include "server/corpus/table_description.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "server/corpus/date_format.h"
#include "server/corpus/person_split.h"

namespace lifescope {
namespace {

constexpr int32_t kLastYear = 9999;

bool Has(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

void CheckSource(const std::string& place, const TableSource& source) {
  TORCH_CHECK_VALUE(!source.files.empty(), place, ".files is empty, expected names or patterns of files");
  TORCH_CHECK_VALUE(!source.person_column.empty(), place, ".person_column is empty, expected the name of a column");
  for (size_t i = 0; i < source.keep.size(); ++i) {
    TORCH_CHECK_VALUE(!source.keep[i].column.empty(), place, ".keep[", i,
                      "].column is empty, expected the name of a column");
  }
}

void CheckFormats(const std::string& place, const std::vector<std::string>& formats) {
  for (size_t i = 0; i < formats.size(); ++i) {
    try {
      const DateFormat checked(formats[i]);
    } catch (const c10::ValueError& error) {
      TORCH_CHECK_VALUE(false, place, "[", i, "]: ", error.msg());
    }
  }
}

void CheckCode(const std::string& place, const CodedValue& value) {
  TORCH_CHECK_VALUE(!value.column.empty(), place, ".column is empty, expected the name of a column");
  TORCH_CHECK_VALUE(value.skip_characters >= 0 && value.max_characters >= 0, place, ": skip_characters ",
                    value.skip_characters, " and max_characters ", value.max_characters, ", expected at least 0");
}

void CheckEventTable(const std::string& place, const EventTable& table) {
  TORCH_CHECK_VALUE(!table.name.empty(), place, ".name is empty, expected a name for the table");
  CheckSource(place + ".source", table.source);
  TORCH_CHECK_VALUE(!table.date_column.empty(), place, ".date_column is empty, expected the name of a column");
  CheckFormats(place + ".date_formats", table.date_formats);
  TORCH_CHECK_VALUE(!table.fields.empty(), place, ".fields is empty, expected what a row says");
  for (size_t i = 0; i < table.fields.size(); ++i) {
    const EventField& field = table.fields[i];
    const std::string at = place + ".fields[" + std::to_string(i) + "]";
    CheckCode(at, field.value);
    TORCH_CHECK_VALUE(!field.category.empty(), at, ".category is empty, expected the vocabulary's category");
    TORCH_CHECK_VALUE(field.bin_count == 0 || field.bin_count >= 3, at, ".bin_count is ", field.bin_count,
                      ", expected at least 3");
    TORCH_CHECK_VALUE(field.bin_count == 0 || !field.value.prefix.empty(), at,
                      ".prefix is empty, expected one for the tokens of the bins");
  }
}

// Numbers that are cut into bins have edges of their own, known by their column, and tokens of their own.
void CheckBins(const std::vector<EventTable>& tables) {
  std::set<std::string> prefixes;
  for (size_t t = 0; t < tables.size(); ++t) {
    std::set<std::string> columns;
    for (size_t f = 0; f < tables[t].fields.size(); ++f) {
      const EventField& field = tables[t].fields[f];
      if (field.bin_count == 0) continue;
      TORCH_CHECK_VALUE(columns.insert(field.value.column).second, "tables[", t, "].fields[", f, "].column: '",
                        field.value.column, "' is cut into bins already in this table");
      TORCH_CHECK_VALUE(prefixes.insert(field.value.prefix).second, "tables[", t, "].fields[", f, "].prefix: '",
                        field.value.prefix, "' is that of other bins already");
    }
  }
}

void CheckBirthYear(const char* name, int32_t year, int32_t least) {
  TORCH_CHECK_VALUE(year >= least && year <= kLastYear, name, " is ", year, ", expected ", least, " to ", kLastYear);
}

void CheckPersons(const PersonTable& persons) {
  CheckSource("persons.source", persons.source);
  TORCH_CHECK_VALUE(!persons.birthday_column.empty(),
                    "persons.birthday_column is empty, expected the name of a column");
  CheckFormats("persons.birthday_formats", persons.birthday_formats);
  for (size_t i = 0; i < persons.background.size(); ++i) {
    if (persons.background[i].kind != BackgroundToken::Kind::kCode) continue;
    CheckCode("persons.background[" + std::to_string(i) + "].code", persons.background[i].value);
  }
}

// `text` without its first characters and cut to a number of them; a character is a code point of UTF-8.
std::string Characters(const std::string& text, int32_t skipped, int32_t most) {
  std::string cut;
  int32_t index = -1;
  for (const char c : text) {
    if ((c & 0xC0) != 0x80) ++index;
    if (index >= skipped && (most == 0 || index < skipped + most)) cut += c;
  }
  return cut;
}

}  // namespace

bool RowCondition::Holds(const std::string& cell) const {
  return (any_of.empty() || Has(any_of, cell)) && !Has(none_of, cell);
}

std::string CodedValue::Token(const std::string& cell) const {
  if (cell.empty()) return "";
  std::string value =
      skip_characters > 0 || max_characters > 0 ? Characters(cell, skip_characters, max_characters) : cell;
  if (!replacements.empty()) {
    const auto found = replacements.find(value);
    value = found == replacements.end() ? otherwise : found->second;
  }
  if (value.empty()) return "";
  if (upper_case) {
    std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::toupper(c); });
  }
  return prefix.empty() ? value : prefix + "_" + value;
}

TableDescription TableDescription::Life2vecLight() {
  const auto source = [](const char* file) { return TableSource{{file}, {}, "USER_ID", {}}; };
  const auto code = [](const char* column, const char* prefix) {
    EventField field;
    field.value.column = field.category = column;
    field.value.prefix = prefix;
    return field;
  };
  TableDescription description;
  BackgroundToken sex, month, year;
  sex.value.column = "SEX";
  sex.value.upper_case = true;
  month.kind = BackgroundToken::Kind::kBirthMonth;
  year.kind = BackgroundToken::Kind::kBirthYear;
  description.persons = {source("users.csv"), "BIRTHDAY", {}, {sex, month, year}, false, ""};
  description.published_background_is_raw = true;
  EventField income = code("INCOME", "INCOME");
  income.bin_count = 50;
  description.tables = {{"labor",
                         source("synth_labor.csv"),
                         "RECORD_DATE",
                         {},
                         {},
                         "",
                         {income, code("CITY", "CITY"), code("OCCUPATION", "OCC"), code("INDUSTRY", "IND")}},
                        {"health",
                         source("synth_health.csv"),
                         "RECORD_DATE",
                         {},
                         {},
                         "",
                         {code("DIAGNOSIS", "DIAG"), code("PATIENT_TYPE", "TYPE")}}};
  return description;
}

void CheckTableDescription(const TableDescription& description) {
  CheckPersons(description.persons);
  TORCH_CHECK_VALUE(!description.tables.empty(), "tables is empty, expected at least one table of events");
  std::set<std::string> names;
  for (size_t i = 0; i < description.tables.size(); ++i) {
    CheckEventTable("tables[" + std::to_string(i) + "]", description.tables[i]);
    TORCH_CHECK_VALUE(names.insert(description.tables[i].name).second, "tables[", i, "].name: '",
                      description.tables[i].name, "' is there already");
  }
  CheckBins(description.tables);
  if (description.required_events) {
    TORCH_CHECK_VALUE(names.count(description.required_events->table) != 0, "required_events.table is '",
                      description.required_events->table, "', expected the name of one of the tables");
  }
  TORCH_CHECK_VALUE(description.min_persons >= 1, "min_persons is ", description.min_persons, ", expected at least 1");
  CheckBirthYear("first_birth_year", description.first_birth_year, 1);
  CheckBirthYear("last_birth_year", description.last_birth_year, description.first_birth_year);
  CheckSplitShares(description.split.train_share, description.split.validation_share);
  if (description.split.table) CheckSource("split.table", *description.split.table);
}

}  // namespace lifescope
