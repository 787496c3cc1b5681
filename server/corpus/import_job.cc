#include "server/corpus/import_job.h"

#include <c10/util/Exception.h>
#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>

#include "server/artifact/artifact.h"
#include "server/corpus/table_rows.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

// Paths of the files whose names match; an absolute pattern stands on its own.
std::vector<std::string> Matches(const std::string& folder, const std::string& pattern) {
  const fs::path place = fs::path(folder) / pattern;
  std::vector<std::string> paths;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(place.parent_path(), error)) {
    if (fnmatch(place.filename().c_str(), entry.path().filename().c_str(), 0) == 0 && entry.is_regular_file()) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  TORCH_CHECK_VALUE(!paths.empty(), place.string(), ": no such file", error ? ": " + error.message() : "");
  return paths;
}

// A missing column should not come up after hours of reading the tables before.
void CheckHeader(const TableDescription& description, int32_t table, const std::string& path) {
  const CsvReader reader(path, SourceOf(description, table).format);
  const RowParser checked(description, table, 0, reader);
}

}  // namespace

std::vector<TableFile> FindTableFiles(const std::string& folder, const TableDescription& description) {
  std::vector<TableFile> files;
  for (int32_t table = 0; table < TableCount(description); ++table) {
    int32_t number = 0;
    std::map<std::string, std::string> pattern_of;  // a file read twice would have every event twice
    for (const std::string& pattern : SourceOf(description, table).files) {
      for (const std::string& path : Matches(folder, pattern)) {
        const auto [first, added] = pattern_of.emplace(fs::canonical(path), pattern);
        TORCH_CHECK_VALUE(added, path, ": is '", first->second, "' and '", pattern, "' of the files of table ",
                          TableName(description, table), ", expected once");
        CheckHeader(description, table, path);
        files.push_back({table, number++, path, fs::path(path).filename(), static_cast<int64_t>(fs::file_size(path))});
      }
    }
  }
  return files;
}

std::string ImportJob(const std::vector<TableFile>& files, const TableImportOptions& options,
                      const Progress& progress) {
  int64_t total = 0, done = 0;
  for (const TableFile& file : files) total += file.bytes;
  nlohmann::json tables = nlohmann::json::array();
  for (const TableFile& file : files) {
    if (progress) progress("checking", done, total);
    tables.push_back({{"table", TableName(options.description, file.table)},
                      {"file", file.name},
                      {"bytes", file.bytes},
                      {"sha256", Sha256OfFile(file.path)}});
    done += file.bytes;
  }
  if (progress) progress("checking", total, total);
  const nlohmann::json job = {
      {"description", options.description_text},      {"tables", tables},
      {"max_length", options.encode.max_length},      {"faithful", options.encode.faithful},
      {"split_seed", options.description.split.seed}, {"max_bad_row_share", options.max_bad_row_share}};
  return job.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace lifescope
