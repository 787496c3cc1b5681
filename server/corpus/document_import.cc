#include "server/corpus/document_import.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "server/corpus/csv.h"
#include "server/corpus/hdf5_rows.h"
#include "server/corpus/person_split.h"
#include "server/corpus/table_cell.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

using SplitOfPerson = std::unordered_map<int64_t, Split>;

constexpr char kDataset[] = "data";
constexpr char kEnding[] = ".hdf5";
constexpr int64_t kProgressStep = 256;

SplitOfPerson ReadSplitFile(const std::string& path) {
  SplitOfPerson split_of;
  CsvReader reader(path);
  const size_t id_column = reader.Column("USER_ID"), split_column = reader.Column("split");
  CsvReader::Row row;
  while (reader.Next(&row)) {
    TORCH_CHECK_VALUE(row.fault.empty(), path, ":", row.line, ": ", row.fault);
    const std::string& text = row.cells[id_column];
    const std::optional<int64_t> id = ParseTableInteger(text);
    TORCH_CHECK_VALUE(id.has_value(), path, ":", row.line, ": ", CellFault("USER_ID", text, "a whole number"));
    const std::optional<Split> split = ParseSplit(row.cells[split_column]);
    TORCH_CHECK_VALUE(split.has_value(), path, ":", row.line, ": ",
                      CellFault("split", row.cells[split_column], "train, validation or test"));
    TORCH_CHECK_VALUE(split_of.emplace(*id, *split).second, path, ":", row.line, ": USER_ID ", *id,
                      " is there already");
  }
  return split_of;
}

struct SourceFile {
  std::string path;
  std::optional<Split> split;  // none: each person's own
};

// Split, then path: the order of the corpus.
std::vector<SourceFile> FindFiles(const std::vector<std::string>& paths, bool has_split_file) {
  std::vector<SourceFile> files;
  const auto add = [&](const fs::path& path) {
    std::optional<Split> split = ParseSplit(fs::absolute(path).parent_path().filename().string());
    if (!split) split = ParseSplit(path.stem().string());
    TORCH_CHECK_VALUE(split.has_value() || has_split_file, path.string(),
                      ": its split is not said: expected it in a folder train, val or test, or a split file");
    files.push_back({path, has_split_file ? std::nullopt : split});
  };
  for (const std::string& path : paths) {
    if (!fs::is_directory(path)) {
      add(path);
      continue;
    }
    const size_t before = files.size();
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_regular_file() && entry.path().extension() == kEnding) add(entry.path());
    }
    TORCH_CHECK_VALUE(files.size() > before, path, ": no ", kEnding, " file in this folder");
  }
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) {
    return std::pair(a.split, a.path) < std::pair(b.split, b.path);
  });
  return files;
}

int32_t IdOf(const Vocabulary& vocabulary, const std::string& token) { return vocabulary.Find(token).value_or(kUnk); }

// The published code hides a background behind four unknown tokens, however many it has.
std::vector<std::string> BackgroundNames(const std::optional<PersonDocument::Background>& background, bool faithful) {
  if (!background) return std::vector<std::string>(4);
  const std::string month = std::to_string(background->birth_month), year = std::to_string(background->birth_year);
  if (background->has_origin) return {background->origin, background->gender, "MONTH_" + month, "YEAR_" + year};
  if (faithful) return {background->gender, month, year};
  std::string gender = background->gender;
  std::transform(gender.begin(), gender.end(), gender.begin(), [](unsigned char c) { return std::toupper(c); });
  return {gender, "MONTH_" + month, "YEAR_" + year};
}

class Importer {
 public:
  Importer(const std::string& vocabulary_file, const std::string& corpus_folder, const DocumentImportOptions& options,
           const Progress& progress)
      : options_(options),
        progress_(progress),
        vocabulary_(Vocabulary::Load(vocabulary_file)),
        writer_(corpus_folder, vocabulary_, options.max_length, options.reference_date, Origin(options)) {
    if (!options.split_file.empty()) split_of_ = ReadSplitFile(options.split_file);
  }

  void Read(const SourceFile& file) {
    Hdf5Rows rows(file.path, kDataset);
    const fs::path path(file.path);
    const std::string name = path.parent_path().filename() / path.filename();
    RowCounts counts{name, 0, 0, 0, {}};
    const double most_bad = options_.max_bad_row_share * static_cast<double>(rows.size());
    for (std::string_view row; rows.Next(&row);) {
      const std::string fault = Take(row, file.split);
      if (!fault.empty()) counts.AddBad(name + ", row " + std::to_string(counts.row_count) + ": " + fault);
      ++counts.row_count;
      if (static_cast<double>(counts.bad_row_count) > most_bad) break;  // whatever the rest is, they are too many
      if (progress_ && counts.row_count % kProgressStep == 0) {
        progress_("reading " + name, counts.row_count, rows.size());
      }
    }
    counts.CheckBadShare(options_.max_bad_row_share, file.path);
    report_.files.push_back(std::move(counts));
    if (progress_) progress_("reading " + name, rows.size(), rows.size());
  }

  DocumentImportReport Finish() {
    writer_.Finish();
    return report_;
  }

 private:
  static std::string Origin(const DocumentImportOptions& options) {
    std::string origin = "person documents";
    if (!options.cut_at_threshold) origin += ", not cut at the threshold";
    if (options.faithful) origin += ", background as published";
    return origin + (options.split_file.empty() ? "" : ", split from a file");
  }

  // Takes one row; says what is wrong with it, or nothing.
  std::string Take(std::string_view row, std::optional<Split> split) {
    PersonDocument document;
    try {
      document = ParsePersonDocument(row);
    } catch (const c10::ValueError& fault) {
      return fault.msg();
    }
    if (!persons_.insert(document.person_id).second) {
      return "person " + std::to_string(document.person_id) + " is there already";
    }
    if (!split) {
      const auto found = split_of_.find(document.person_id);
      if (found == split_of_.end()) return "person " + std::to_string(document.person_id) + " is not in the split file";
      split = found->second;
    }
    const EncodedLife life = EncodePersonDocument(document, vocabulary_, options_);
    if (life.document.event_count() == 0) {
      report_.eventless_person_count += 1;
      return "";
    }
    writer_.Add(life.document, *split, life.clipped_event_count);
    const std::vector<int32_t>& tokens = life.document.token;
    report_.person_count += 1;
    report_.event_count += life.document.event_count();
    report_.unknown_token_count += std::count(tokens.begin(), tokens.end(), kUnk);
    report_.clipped_person_count += life.clipped_event_count > 0 ? 1 : 0;
    return "";
  }

  const DocumentImportOptions& options_;
  const Progress& progress_;
  Vocabulary vocabulary_;
  CorpusWriter writer_;
  SplitOfPerson split_of_;
  std::unordered_set<int64_t> persons_;
  DocumentImportReport report_;
};

}  // namespace

EncodedLife EncodePersonDocument(const PersonDocument& document, const Vocabulary& vocabulary,
                                 const DocumentImportOptions& options) {
  std::vector<int32_t> background;
  for (const std::string& name : BackgroundNames(document.background, options.faithful)) {
    background.push_back(IdOf(vocabulary, name));
  }
  const size_t count = options.cut_at_threshold && document.timecut_pos ? static_cast<size_t>(*document.timecut_pos)
                                                                        : document.sentences.size();
  std::vector<Event> events(count);
  for (size_t i = 0; i < count; ++i) {
    events[i] = {document.abspos[i], document.age[i], {}};
    for (const std::string& token : document.sentences[i]) events[i].tokens.push_back(IdOf(vocabulary, token));
  }
  EncodedLife life = EncodeLife(document.person_id, background, events, options.max_length);
  if (document.segment) {
    for (size_t row = 0; row < life.document.event.size(); ++row) {
      const int32_t event = life.document.event[row];
      if (event > 0) life.document.segment[row] = (*document.segment)[life.clipped_event_count + event - 1];
    }
  }
  return life;
}

DocumentImportReport ImportPersonDocuments(const std::vector<std::string>& paths, const std::string& vocabulary_file,
                                           const std::string& corpus_folder, const DocumentImportOptions& options,
                                           const Progress& progress) {
  const std::vector<SourceFile> files = FindFiles(paths, !options.split_file.empty());
  Importer importer(vocabulary_file, corpus_folder, options, progress);
  for (const SourceFile& file : files) importer.Read(file);
  return importer.Finish();
}

}  // namespace lifescope
