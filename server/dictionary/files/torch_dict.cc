#include "server/dictionary/files/torch_dict.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <filesystem>
#include <set>
#include <stdexcept>

#include "server/artifact/torch_file.h"

namespace lifescope {
namespace {

using Kind = PickleValue::Kind;

constexpr uint64_t kMostTimesTheFile = 4;
constexpr size_t kMaxEntries = 4096;

class DictReader {
 public:
  explicit DictReader(const TorchFile& file)
      : file_(file), bytes_left_(kMostTimesTheFile * std::filesystem::file_size(file.path())) {}

  TorchDict Read() {
    const PickleValue root = file_.root();
    CheckIs(root.Is(Kind::kDict), "found " + root.Describe() + ", expected a dict");
    for (const auto& [key, value] : root.Entries()) {
      const std::string name(key.AsText());
      if (!value.Is(Kind::kDict)) {
        Add(name, value);
        continue;
      }
      for (const auto& [inner_key, inner] : value.Entries()) {
        std::string inner_name = name;
        inner_name += '.';
        inner_name += inner_key.AsText();
        Add(inner_name, inner);
      }
    }
    return std::move(dict_);
  }

 private:
  static void CheckIs(bool is_right, const std::string& what) {
    if (!is_right) throw std::invalid_argument(what);
  }

  void Add(const std::string& name, const PickleValue& value) {
    CheckIs(names_.insert(name).second, "entry " + Quoted(name) + " is there twice");
    CheckIs(names_.size() <= kMaxEntries, "more than " + std::to_string(kMaxEntries) + " entries");
    if (TorchArchive::IsTensor(value)) {
      const TorchLayout layout = file_.LayoutOf(name, value);
      const uint64_t bytes = static_cast<uint64_t>(layout.element_count) * layout.element_bytes;
      CheckIs(bytes <= bytes_left_, "tensors together over " + std::to_string(kMostTimesTheFile) + " times the file");
      bytes_left_ -= bytes;
      dict_.tensors[name] = file_.Read(layout);
    } else if (value.Is(Kind::kString)) {
      dict_.texts[name] = value.AsText();
    } else {
      CheckIs(value.Is(Kind::kInt), "entry " + Quoted(name) + ": found " + value.Describe() +
                                        ", expected a tensor, a string or a whole number");
      dict_.integers[name] = value.AsInt();
    }
  }

  const TorchFile& file_;
  uint64_t bytes_left_;
  TorchDict dict_;
  std::set<std::string> names_;
};

}  // namespace

TorchDict ReadTorchDict(const std::string& path) {
  const TorchFile file = TorchFile::Open(path);
  try {
    return DictReader(file).Read();
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK_VALUE(false, path, ": ", error.what());
  }
}

}  // namespace lifescope
