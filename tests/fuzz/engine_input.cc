#include "tests/fuzz/engine_input.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <c10/util/Logging.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "server/artifact/zip_writer.h"
#include "server/dictionary/dictionary.h"

// A backtrace for each refusal would be most of the time.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  c10::SetStackTraceFetcher([] { return std::string(); });
  return 0;
}

namespace lifescope {
namespace {

namespace fs = std::filesystem;

// In memory: writing to a disk would be most of the time.
class Folder {
 public:
  Folder() : path_("/dev/shm/lifescope-fuzz-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) __builtin_trap();
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

std::vector<std::string> PartsOf(const uint8_t* data, size_t size, size_t count) {
  const std::string separator = "\n%%\n", input(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> parts(count);
  size_t begin = 0;
  for (size_t i = 0; i < count && begin <= size; ++i) {
    const size_t end = i + 1 < count ? std::min(input.find(separator, begin), size) : size;
    parts[i] = input.substr(begin, end - begin);
    begin = end + separator.size();
  }
  return parts;
}

std::string WriteInput(const std::map<std::string, std::string>& files) {
  static const Folder folder;
  for (const auto& [name, bytes] : files) {
    std::ofstream file(fs::path(folder.path()) / name, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) __builtin_trap();
  }
  return folder.path();
}

std::string TorchFileOf(const std::string& pickle, const std::vector<std::string>& storages) {
  ZipRecords records{{"a/data.pkl", pickle}};
  for (const std::string& storage : storages) {
    const std::string key = std::to_string(records.size() - 1);
    records.emplace_back("a/data/" + key, storage);
  }
  return ZipOf(records);
}

void ImportOrRefuse(const std::string& folder, DictionaryFormat format) {
  StoredDictionary stored;
  try {
    stored = ImportDictionary(folder, format);
  } catch (const c10::ValueError&) {
    return;
  }
  MakeDictionary(stored.weights, at::kDouble, at::kCPU);
}

}  // namespace lifescope
