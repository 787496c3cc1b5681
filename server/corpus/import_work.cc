#include "server/corpus/import_work.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "server/artifact/artifact.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr char kJobFile[] = "job.json", kStateFile[] = "state.json", kLockFile[] = "lock";
constexpr const char* kStageNames[] = {"reading", "sorted", "joined", "fitted", "encoded"};

std::string ToJson(const ImportState& state) {
  Json json = {{"stage", kStageNames[static_cast<size_t>(state.stage)]},
               {"files", Json::object()},
               {"input", state.input},
               {"offset", state.place.offset},
               {"line", state.place.line},
               {"life_count", state.life_count},
               {"report", Json::parse(state.report.ToJson())}};
  for (const auto& [name, digest] : state.files) {
    json["files"][name] = {{"bytes", digest.bytes}, {"sha256", digest.sha256}};
  }
  return json.dump(2) + "\n";
}

ImportStage StageOf(const std::string& name) {
  for (size_t i = 0; i < std::size(kStageNames); ++i) {
    if (name == kStageNames[i]) return static_cast<ImportStage>(i);
  }
  TORCH_CHECK_VALUE(false, "stage '", name, "', expected reading, sorted, joined, fitted or encoded");
}

ImportState StateOf(const Json& json) {
  ImportState state;
  state.stage = StageOf(json.at("stage").get<std::string>());
  for (const auto& [name, file] : json.at("files").items()) {
    state.files[name] = {file.at("bytes").get<int64_t>(), file.at("sha256").get<std::string>()};
  }
  state.input = json.at("input").get<int64_t>();
  state.place = {json.at("offset").get<int64_t>(), json.at("line").get<int64_t>()};
  state.life_count = json.at("life_count").get<int64_t>();
  state.report = TableImportReport::Parse(json.at("report").dump());
  return state;
}

// The keys in which two jobs differ.
std::string Differences(const Json& a, const Json& b) {
  std::string text;
  Json all = a;
  all.update(b);
  for (const auto& [key, value] : all.items()) {
    if (a.value(key, Json()) != b.value(key, Json())) text += (text.empty() ? "" : ", ") + key;
  }
  return text;
}

}  // namespace

ImportWork::ImportWork(std::string folder, const std::string& job, bool start_over) : folder_(std::move(folder)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  TORCH_CHECK_VALUE(!error, folder_, ": cannot be made: ", error.message());
  lock_ = std::make_unique<FileLock>(PathOf(kLockFile), folder_ + ": another import is at work in it");
  if (fs::exists(PathOf(kJobFile)) && !start_over) {
    CheckJob(job);
    if (fs::exists(PathOf(kStateFile))) Load();
    RemoveUnlisted();
    return;
  }
  fs::remove(PathOf(kStateFile));
  RemoveUnlisted();
  WriteFileAtomically(PathOf(kJobFile), job);
}

void ImportWork::CheckJob(const std::string& job) const {
  const Json found = Json::parse(ReadFile(PathOf(kJobFile)), nullptr, /*allow_exceptions=*/false);
  TORCH_CHECK_VALUE(found.is_object(), PathOf(kJobFile), ": is not a JSON object; start over to discard the folder");
  const std::string differences = Differences(found, Json::parse(job));
  TORCH_CHECK_VALUE(differences.empty(), folder_, ": holds an unfinished import with another ", differences,
                    "; go on with the same one, or start over to discard it");
}

void ImportWork::Load() {
  const std::string path = PathOf(kStateFile);
  std::string fault;
  try {
    state_ = StateOf(Json::parse(ReadFile(path)));
  } catch (const nlohmann::json::exception& e) {
    fault = e.what();
  }
  TORCH_CHECK_VALUE(fault.empty(), path, ": ", fault, "; start over to discard the folder");
  for (const auto& [name, digest] : state_.files) {
    const std::string found = Sha256OfFile(PathOf(name));
    TORCH_CHECK_VALUE(found == digest.sha256, PathOf(name), ": its bytes have ", found, ", expected ", digest.sha256,
                      "; start over to discard the folder");
  }
}

void ImportWork::Save(const ImportState& state) {
  WriteFileAtomically(PathOf(kStateFile), ToJson(state));
  state_ = state;
  RemoveUnlisted();
}

void ImportWork::RemoveUnlisted() const {
  std::set<std::string> kept = {kJobFile, kStateFile, kLockFile};
  for (const auto& [name, digest] : state_.files) kept.insert(name.substr(0, name.find('/')));
  std::set<fs::path> rubbish;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    if (kept.count(entry.path().filename()) == 0) rubbish.insert(entry.path());
  }
  for (const fs::path& path : rubbish) fs::remove_all(path);
}

void ImportWork::Remove() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace lifescope
