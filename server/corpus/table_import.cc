#include "server/corpus/table_import.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>

#include "server/corpus/csv.h"
#include "server/corpus/table_number.h"

namespace lifescope {
namespace {

constexpr int64_t kProgressStep = 8192;
constexpr size_t kSampleCount = 10;

std::optional<int64_t> ParseInteger(const std::string& text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The spellings of a missing value that common table writers use.
bool IsMissing(const std::string& text) {
  constexpr std::array<std::string_view, 8> kSpellings = {"", "NA", "N/A", "NaN", "nan", "NULL", "null", "<NA>"};
  return std::find(kSpellings.begin(), kSpellings.end(), text) != kSpellings.end();
}

std::string FileName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Reads one table row by row and keeps account of bad rows.
class Table {
 public:
  Table(const std::string& path, const TableImportOptions& options, TableImportReport& report, const Progress& progress)
      : reader_(path), options_(options), report_(report), progress_(progress) {}

  CsvReader& reader() { return reader_; }

  // Calls `take` with each row; it returns what is wrong with the row, or nothing.
  template <typename Take>
  void ForEach(const Take& take) {
    CsvReader::Row row;
    while (reader_.Next(&row)) {
      ++rows_;
      const std::string fault = row.fault.empty() ? take(row.cells) : row.fault;
      if (!fault.empty()) Count(row.line, fault);
      if (progress_ && rows_ % kProgressStep == 0) Report(std::max(rows_, reader_.line_count()));
    }
    report_.row_count += rows_;
    report_.bad_row_count += bad_rows_;
    TORCH_CHECK_VALUE(static_cast<double>(bad_rows_) <= options_.max_bad_row_share * static_cast<double>(rows_),
                      reader_.path(), ": ", bad_rows_, " of ", rows_, " rows are bad, expected at most a share of ",
                      options_.max_bad_row_share, "; the first: ", first_fault_);
    if (progress_) Report(rows_);
  }

 private:
  void Count(int64_t line, const std::string& fault) {
    const std::string sample = FileName(reader_.path()) + ":" + std::to_string(line) + ": " + fault;
    if (++bad_rows_ == 1) first_fault_ = sample;
    if (report_.bad_row_samples.size() < kSampleCount) report_.bad_row_samples.push_back(sample);
  }

  void Report(int64_t total) const { progress_("reading " + FileName(reader_.path()), rows_, total); }

  CsvReader reader_;
  const TableImportOptions& options_;
  TableImportReport& report_;
  const Progress& progress_;
  int64_t rows_ = 0, bad_rows_ = 0;
  std::string first_fault_;
};

std::string Expected(const std::string& column, const std::string& found, const std::string& expected) {
  return column + " is '" + found.substr(0, 60) + "', expected " + expected;
}

using PersonIndex = std::unordered_map<int64_t, size_t>;

std::vector<RawPerson> ReadPersons(const std::string& path, const TableImportOptions& options,
                                   TableImportReport& report, const Progress& progress, PersonIndex* index) {
  Table table(path, options, report, progress);
  const size_t id_column = table.reader().Column("USER_ID");
  const size_t birthday_column = table.reader().Column("BIRTHDAY");
  const size_t sex_column = table.reader().Column("SEX");
  std::vector<RawPerson> persons;
  table.ForEach([&](const std::vector<std::string>& cells) -> std::string {
    const std::optional<int64_t> id = ParseInteger(cells[id_column]);
    if (!id) return Expected("USER_ID", cells[id_column], "a whole number");
    const std::optional<Date> birthday = Date::Parse(cells[birthday_column]);
    if (!birthday) return Expected("BIRTHDAY", cells[birthday_column], "YYYY-MM-DD");
    if (!index->emplace(*id, persons.size()).second) return "USER_ID " + cells[id_column] + " is there already";
    const std::string& sex = cells[sex_column];
    persons.push_back({*id, *birthday, IsMissing(sex) ? "" : sex, {}});
    return "";
  });
  return persons;
}

void ReadEvents(const std::string& path, int32_t source_index, const TableImportOptions& options,
                TableImportReport& report, const Progress& progress, const PersonIndex& index,
                std::vector<RawPerson>* persons) {
  const RawSource& source = options.schema.sources[source_index];
  Table table(path, options, report, progress);
  const size_t id_column = table.reader().Column("USER_ID");
  const size_t date_column = table.reader().Column("RECORD_DATE");
  std::vector<size_t> columns;
  for (const RawField& field : source.fields) columns.push_back(table.reader().Column(field.name));
  table.ForEach([&](const std::vector<std::string>& cells) -> std::string {
    const std::optional<int64_t> id = ParseInteger(cells[id_column]);
    if (!id) return Expected("USER_ID", cells[id_column], "a whole number");
    const auto person = index.find(*id);
    if (person == index.end()) return "USER_ID " + cells[id_column] + " is not in users.csv";
    const std::optional<Date> date = Date::Parse(cells[date_column]);
    if (!date) return Expected("RECORD_DATE", cells[date_column], "YYYY-MM-DD");
    RawEvent event{*date, source_index, {}};
    for (size_t f = 0; f < columns.size(); ++f) {
      const std::string& value = cells[columns[f]];
      event.fields.push_back(IsMissing(value) ? "" : value);
      if (source.fields[f].binned && !event.fields.back().empty() && !ParseTableNumber(value, false)) {
        return Expected(source.fields[f].name, value, "a number");
      }
    }
    (*persons)[person->second].events.push_back(std::move(event));
    return "";
  });
}

// The split of every person, from a table "USER_ID,split".
std::vector<Split> ReadSplits(const std::string& path, const std::vector<RawPerson>& persons) {
  const std::unordered_map<std::string, Split> names = {{"train", Split::kTrain},
                                                        {"validation", Split::kValidation},
                                                        {"val", Split::kValidation},
                                                        {"test", Split::kTest}};
  CsvReader reader(path);
  const size_t id_column = reader.Column("USER_ID"), split_column = reader.Column("split");
  std::unordered_map<int64_t, Split> split_of;
  CsvReader::Row row;
  while (reader.Next(&row)) {
    TORCH_CHECK_VALUE(row.fault.empty(), path, ":", row.line, ": ", row.fault);
    const std::optional<int64_t> id = ParseInteger(row.cells[id_column]);
    TORCH_CHECK_VALUE(id.has_value(), path, ":", row.line, ": ",
                      Expected("USER_ID", row.cells[id_column], "a whole number"));
    const auto split = names.find(row.cells[split_column]);
    TORCH_CHECK_VALUE(split != names.end(), path, ":", row.line, ": ",
                      Expected("split", row.cells[split_column], "train, validation or test"));
    TORCH_CHECK_VALUE(split_of.emplace(*id, split->second).second, path, ":", row.line, ": USER_ID ", *id,
                      " is there already");
  }
  std::vector<Split> splits;
  for (const RawPerson& person : persons) {
    const auto found = split_of.find(person.person_id);
    TORCH_CHECK_VALUE(found != split_of.end(), path, ": no split for USER_ID ", person.person_id, " of users.csv");
    splits.push_back(found->second);
  }
  return splits;
}

std::string Origin(const TableImportOptions& options) {
  std::string origin = options.encode.faithful ? "tables, encoded as published" : "tables";
  return origin +
         (options.split_file.empty() ? ", split seed " + std::to_string(options.split_seed) : ", split from a file");
}

}  // namespace

std::vector<RawPerson> ReadTables(const std::string& tables_folder, const TableImportOptions& options,
                                  TableImportReport& report, const Progress& progress) {
  PersonIndex index;
  std::vector<RawPerson> persons = ReadPersons(tables_folder + "/users.csv", options, report, progress, &index);
  for (size_t s = 0; s < options.schema.sources.size(); ++s) {
    const std::string path = tables_folder + "/synth_" + options.schema.sources[s].name + ".csv";
    ReadEvents(path, static_cast<int32_t>(s), options, report, progress, index, &persons);
  }
  return persons;
}

TableImportReport ImportTables(const std::string& tables_folder, const std::string& corpus_folder,
                               const TableImportOptions& options, const Progress& progress) {
  TableImportReport report;
  const std::vector<RawPerson> persons = ReadTables(tables_folder, options, report, progress);
  TORCH_CHECK_VALUE(!persons.empty(), tables_folder, "/users.csv: no persons");
  const std::vector<Split> splits =
      options.split_file.empty() ? SplitPersons(static_cast<int64_t>(persons.size()), 0.7, 0.15, options.split_seed)
                                 : ReadSplits(options.split_file, persons);
  const Tokenizer tokenizer = Tokenizer::Fit(options.schema, options.encode, persons, splits);
  CorpusWriter writer(corpus_folder, tokenizer.vocabulary, options.encode.max_length, options.schema.reference_date,
                      Origin(options));
  for (const size_t i : CorpusOrder(persons, splits)) {
    const EncodedLife life = tokenizer.Encode(persons[i]);
    const Document& document = life.document;
    if (document.event_count() + life.clipped_event_count == 0) {
      report.eventless_person_count += 1;
      continue;
    }
    writer.Add(document, splits[i], life.clipped_event_count);
    report.person_count += 1;
    report.event_count += document.event_count();
    report.unknown_token_count += std::count(document.token.begin(), document.token.end(), kUnk);
    report.clipped_person_count += life.clipped_event_count > 0 ? 1 : 0;
    if (progress && report.person_count % 256 == 0) {
      progress("encoding", report.person_count, static_cast<int64_t>(persons.size()));
    }
  }
  writer.Finish();
  if (progress) progress("encoding", report.person_count, report.person_count);
  return report;
}

}  // namespace lifescope
