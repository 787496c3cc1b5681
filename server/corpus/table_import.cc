#include "server/corpus/table_import.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/corpus/corpus_manifest.h"
#include "server/corpus/external_sort.h"
#include "server/corpus/import_job.h"
#include "server/corpus/import_work.h"
#include "server/corpus/life_join.h"
#include "server/corpus/person_split.h"
#include "server/corpus/table_fault.h"
#include "server/corpus/table_rows.h"

namespace lifescope {
namespace {

using Json = nlohmann::json;

constexpr int64_t kProgressStep = 1024;
constexpr char kLivesFile[] = "lives.records", kEdgesFile[] = "bin_edges.json";
constexpr char kNumbersFolder[] = "numbers", kCorpusFolder[] = "corpus";
constexpr char kReportFile[] = "import.json";

std::string Origin(const TableImportOptions& options) {
  const TableDescription& description = options.description;
  const bool told = description.split.table || !description.persons.split_column.empty();
  return std::string(options.encode.faithful ? "tables, encoded as published" : "tables") +
         (told ? ", split from a table" : ", split seed " + std::to_string(description.split.seed));
}

// One import. Each stage leaves the work folder so that the next can do without what was before.
class TableImport {
 public:
  TableImport(const std::string& tables_folder, const std::string& corpus_folder, const TableImportOptions& options,
              const Progress& progress)
      : options_(options),
        description_(options.description),
        progress_(progress),
        files_(FindTableFiles(tables_folder, description_)),
        job_(ImportJob(files_, options, progress)),
        work_(ImportWorkFolder(corpus_folder), job_, options.start_over),
        state_(work_.state()) {}

  TableImportReport Run(const std::string& corpus_folder) {
    try {
      if (state_.stage < ImportStage::kSorted) Read();
      if (state_.stage < ImportStage::kJoined) Join();
      if (state_.stage < ImportStage::kFitted) Fit();
      if (state_.stage < ImportStage::kEncoded) Encode();
    } catch (const TableFault&) {
      work_.Remove();
      throw;
    }
    MoveFolder(work_.PathOf(kCorpusFolder), corpus_folder);
    work_.Remove();
    return state_.report;
  }

 private:
  void Read();
  void ReadRows(const TableFile& file, RecordSorter& sorter, int64_t bytes_before);
  void Join();
  void Fit();
  void Encode();
  void EncodeSplit(const Tokenizer& tokenizer, Split split, CorpusWriter& writer);
  Tokenizer LoadTokenizer() const;

  void Finish(ImportStage stage, std::map<std::string, FileDigest> files) {
    state_.stage = stage;
    state_.files = std::move(files);
    work_.Save(state_);
  }
  static std::map<std::string, FileDigest> FilesOf(const std::vector<SortedRun>& runs);
  std::vector<SortedRun> Runs() const;
  void CheckBadRows(int32_t table) const;
  std::vector<Split> Splits() const;
  // Calls `take(person)` for every person of the split.
  template <typename Take>
  void ForEachLife(const std::vector<Split>& splits, Split split, const std::string& stage, const Take& take) const;
  void Report(const std::string& stage, int64_t done, int64_t total) const {
    if (progress_ && (done % kProgressStep == 0 || done == total)) progress_(stage, done, total);
  }

  const TableImportOptions& options_;
  const TableDescription& description_;
  const Progress& progress_;
  const std::vector<TableFile> files_;
  const std::string job_;
  ImportWork work_;
  ImportState state_;
};

std::map<std::string, FileDigest> TableImport::FilesOf(const std::vector<SortedRun>& runs) {
  std::map<std::string, FileDigest> files;
  for (const SortedRun& run : runs) files[run.name] = run.digest;
  return files;
}

std::vector<SortedRun> TableImport::Runs() const {
  std::vector<SortedRun> runs;
  for (const auto& [name, digest] : state_.files) runs.push_back({name, digest});
  return runs;
}

void TableImport::CheckBadRows(int32_t table) const {
  std::string names;
  for (const std::string& name : SourceOf(description_, table).files) names += (names.empty() ? "" : ", ") + name;
  state_.report.tables[table].CheckBadShare(options_.max_bad_row_share, names);
}

// --- Reading: rows become sorted runs of records -------------------------------------------------------------------

void TableImport::Read() {
  RecordSorter sorter(work_.folder(), options_.memory_bytes, Runs());
  for (int32_t t = static_cast<int32_t>(state_.report.tables.size()); t < TableCount(description_); ++t) {
    state_.report.tables.push_back({TableName(description_, t), 0, 0, 0, {}});
  }
  int64_t bytes_before = 0;
  for (size_t i = 0; i < files_.size(); ++i) {
    if (static_cast<int64_t>(i) >= state_.input) {
      state_.input = static_cast<int64_t>(i);
      ReadRows(files_[i], sorter, bytes_before);
      state_.place = {};
    }
    bytes_before += files_[i].bytes;
    if (i + 1 == files_.size() || files_[i + 1].table != files_[i].table) CheckBadRows(files_[i].table);
  }
  if (progress_) progress_("reading", bytes_before, bytes_before);
  Finish(ImportStage::kSorted, FilesOf(sorter.Finish()));
}

// Saves its place after each run: a killed import reads on from there.
void TableImport::ReadRows(const TableFile& file, RecordSorter& sorter, int64_t bytes_before) {
  int64_t total = 0;
  for (const TableFile& each : files_) total += each.bytes;
  CsvReader reader(file.path, SourceOf(description_, file.table).format);
  const RowParser parser(description_, file.table, file.file, reader);
  if (state_.place.offset > 0) reader.Seek(state_.place);
  RowCounts& counts = state_.report.tables[file.table];
  CsvReader::Row row;
  std::string text;
  while (reader.Next(&row)) {
    ++counts.row_count;
    switch (parser.Parse(row, &text)) {
      case RowParser::Outcome::kSkipped:
        ++counts.skipped_row_count;
        break;
      case RowParser::Outcome::kBad:
        counts.AddBad(file.name + ":" + std::to_string(row.line) + ": " + text);
        break;
      case RowParser::Outcome::kRecord:
        if (!sorter.Add(text)) break;
        state_.place = reader.place();
        Finish(ImportStage::kReading, FilesOf(sorter.runs()));
    }
    if (progress_ && counts.row_count % kProgressStep == 0) {
      progress_("reading", bytes_before + reader.place().offset, total);
    }
  }
}

// --- Joining: sorted rows become lives -----------------------------------------------------------------------------

void TableImport::Join() {
  const auto name_of_file = [this](int32_t table, int32_t number) {
    const auto found = std::find_if(files_.begin(), files_.end(),
                                    [&](const TableFile& file) { return file.table == table && file.file == number; });
    return found->name;
  };
  RecordWriter lives(work_.PathOf(kLivesFile));
  LifeJoin join(description_, name_of_file, state_.report, lives);
  SortedRecords rows(work_.folder(), Runs(), options_.memory_bytes);
  int64_t done = 0, total = 0;
  for (const RowCounts& counts : state_.report.tables) {
    total += counts.row_count - counts.skipped_row_count - counts.bad_row_count;
  }
  std::string_view record;
  while (rows.Next(&record)) {
    join.Add(record);
    Report("joining", ++done, total);
  }
  join.Finish();
  for (int32_t table = 0; table < TableCount(description_); ++table) CheckBadRows(table);
  if (join.life_count() == 0) ThrowTableFault(files_.front().path, ": no persons");
  state_.life_count = join.life_count();
  Finish(ImportStage::kJoined, {{kLivesFile, lives.Finish()}});
}

// --- Fitting and encoding ------------------------------------------------------------------------------------------

// By the index of a life; empty when the lives themselves say it.
std::vector<Split> TableImport::Splits() const {
  const SplitRule& rule = description_.split;
  if (rule.table || !description_.persons.split_column.empty()) return {};
  return SplitPersons(state_.life_count, rule.train_share, rule.validation_share, rule.seed);
}

template <typename Take>
void TableImport::ForEachLife(const std::vector<Split>& splits, Split split, const std::string& stage,
                              const Take& take) const {
  RecordReader lives(work_.PathOf(kLivesFile), 1 << 20);
  std::string_view record;
  for (int64_t i = 0; lives.Next(&record); ++i) {
    const std::optional<Split> told = TakeLifeSplit(&record);
    if ((told ? *told : splits[static_cast<size_t>(i)]) == split) take(ParsePerson(record));
    Report(stage, i + 1, state_.life_count);
  }
}

void TableImport::Fit() {
  const std::vector<Split> splits = Splits();
  TokenizerFit fit(description_, options_.encode, work_.PathOf(kNumbersFolder), options_.memory_bytes);
  int64_t persons = 0;
  ForEachLife(splits, Split::kTrain, "fitting bins", [&](const RawPerson& person) {
    fit.AddNumbers(person);
    ++persons;
  });
  if (persons == 0) {
    ThrowTableFault(files_.front().path, ": none of ", state_.life_count,
                    " persons is for training, expected at least one");
  }
  ForEachLife(splits, Split::kTrain, "fitting tokens", [&](const RawPerson& person) { fit.AddTokens(person); });
  const Tokenizer tokenizer = fit.Finish();
  std::map<std::string, FileDigest> files = state_.files;
  const auto write = [&](const char* name, const std::string& text) {
    WriteFileAtomically(work_.PathOf(name), text);
    files[name] = {static_cast<int64_t>(text.size()), Sha256(text)};
  };
  write(kVocabularyFile, tokenizer.vocabulary.ToTsv());
  write(kEdgesFile, Json(tokenizer.bin_edges).dump() + "\n");
  Finish(ImportStage::kFitted, std::move(files));
}

Tokenizer TableImport::LoadTokenizer() const {
  const Json edges = Json::parse(ReadFile(work_.PathOf(kEdgesFile)));
  return {description_, options_.encode, Vocabulary::Load(work_.PathOf(kVocabularyFile)),
          edges.get<std::map<std::string, std::vector<double>>>()};
}

void TableImport::EncodeSplit(const Tokenizer& tokenizer, Split split, CorpusWriter& writer) {
  TableImportReport& report = state_.report;
  constexpr const char* kStages[] = {"encoding train", "encoding validation", "encoding test"};
  ForEachLife(Splits(), split, kStages[static_cast<int>(split)], [&](const RawPerson& person) {
    const EncodedLife life = tokenizer.Encode(person);
    const Document& document = life.document;
    if (document.event_count() + life.clipped_event_count == 0) {
      report.eventless_person_count += 1;
      return;
    }
    writer.Add(document, split, life.clipped_event_count);
    report.person_count += 1;
    report.event_count += document.event_count();
    report.unknown_token_count += std::count(document.token.begin(), document.token.end(), kUnk);
    report.clipped_person_count += life.clipped_event_count > 0 ? 1 : 0;
  });
}

void TableImport::Encode() {
  const Tokenizer tokenizer = LoadTokenizer();
  CorpusWriter writer(work_.PathOf(kCorpusFolder), tokenizer.vocabulary, options_.encode.max_length,
                      description_.reference_date, Origin(options_));
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) EncodeSplit(tokenizer, split, writer);
  if (state_.report.person_count == 0) {
    ThrowTableFault(files_.front().path, ": none of ", state_.life_count, " persons has an event before ",
                    description_.threshold.ToString());
  }
  const Json made = {
      {"job", job_}, {"report", Json::parse(state_.report.ToJson())}, {"bin_edges", tokenizer.bin_edges}};
  writer.AddFile(kReportFile, made.dump(2) + "\n");
  writer.Finish();
  const std::string name = std::string(kCorpusFolder) + "/" + kManifestFile;
  const std::string manifest = ReadFile(work_.PathOf(name));
  Finish(ImportStage::kEncoded, {{name, {static_cast<int64_t>(manifest.size()), Sha256(manifest)}}});
}

}  // namespace

std::string ImportWorkFolder(const std::string& corpus_folder) { return HiddenBeside(corpus_folder, ".import"); }

TableImportReport ImportTables(const std::string& tables_folder, const std::string& corpus_folder,
                               const TableImportOptions& options, const Progress& progress) {
  CheckTableDescription(options.description);
  TORCH_CHECK_VALUE(!std::filesystem::exists(corpus_folder), corpus_folder,
                    ": exists already; a corpus is never changed");
  return TableImport(tables_folder, corpus_folder, options, progress).Run(corpus_folder);
}

}  // namespace lifescope
