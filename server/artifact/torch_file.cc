#include "server/artifact/torch_file.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/artifact/torch_writer.h"

namespace lifescope {
namespace {

std::string_view BytesOf(const MappedFile& file) { return {reinterpret_cast<const char*>(file.data()), file.size()}; }

// Calls the function; what the archive finds wrong is thrown as the engine throws, with its place.
template <typename Function>
auto At(const std::string& place, Function function) {
  try {
    return function();
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK_VALUE(false, place, ": ", error.what());
  }
}

at::ScalarType DtypeOf(TorchElement element) {
  switch (element) {
    case TorchElement::kDouble:
      return at::kDouble;
    case TorchElement::kFloat:
      return at::kFloat;
    case TorchElement::kHalf:
      return at::kHalf;
    case TorchElement::kBFloat16:
      return at::kBFloat16;
    case TorchElement::kLong:
      return at::kLong;
    case TorchElement::kInt:
      return at::kInt;
    case TorchElement::kShort:
      return at::kShort;
    case TorchElement::kChar:
      return at::kChar;
    case TorchElement::kByte:
      return at::kByte;
    case TorchElement::kBool:
      return at::kBool;
  }
  TORCH_CHECK(false, "element type ", static_cast<int>(element), " is not in the enum");
}

const char* StorageName(at::ScalarType dtype, const std::string& name) {
  switch (dtype) {
    case at::kDouble:
      return "DoubleStorage";
    case at::kFloat:
      return "FloatStorage";
    case at::kHalf:
      return "HalfStorage";
    case at::kBFloat16:
      return "BFloat16Storage";
    case at::kLong:
      return "LongStorage";
    case at::kInt:
      return "IntStorage";
    default:
      TORCH_CHECK_VALUE(false, "tensor ", Quoted(name), " is ", dtype, ", expected real numbers, Long or Int");
  }
}

// A contiguous tensor may have others along dimensions of size 1.
std::vector<int64_t> RowMajorStrides(at::IntArrayRef sizes) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t d = sizes.size(); d-- > 1;) strides[d - 1] = strides[d] * std::max<int64_t>(sizes[d], 1);
  return strides;
}

}  // namespace

TorchFile TorchFile::Open(const std::string& path) {
  std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
  TorchArchive archive = At(path, [&] { return TorchArchive(BytesOf(*file)); });
  return {path, std::move(file), std::move(archive)};
}

bool TorchFile::IsTorchFile(const std::string& path) { return LooksLikeTorch(BytesOf(*MappedFile::Open(path))); }

std::map<std::string, TorchLayout> TorchFile::Tensors(const PickleValue& dict) const {
  TORCH_CHECK_VALUE(dict.Is(PickleValue::Kind::kDict), path_, ": found ", dict.Describe(), ", expected a state dict");
  std::map<std::string, TorchLayout> tensors;
  for (const auto& [key, value] : dict.Entries()) {
    const std::string name(At(path_ + ": name of a tensor", [&, k = key] { return k.AsText(); }));
    TorchLayout layout = LayoutOf(name, value);
    TORCH_CHECK_VALUE(tensors.emplace(name, std::move(layout)).second, path_, ": tensor ", Quoted(name),
                      " is there twice");
  }
  return tensors;
}

TorchLayout TorchFile::LayoutOf(const std::string& name, const PickleValue& value) const {
  return At(path_ + ": tensor " + Quoted(name), [&] { return archive_.Layout(value); });
}

at::Tensor TorchFile::Read(const TorchLayout& layout) const {
  at::Tensor tensor = at::empty(layout.sizes, at::TensorOptions().dtype(DtypeOf(layout.element)));
  At(path_, [&] { archive_.Copy(layout, static_cast<uint8_t*>(tensor.data_ptr())); });
  return tensor;
}

void WriteTorchFile(const std::string& path, const std::vector<TorchEntry>& dict) {
  std::string folder = std::filesystem::path(path).stem().string();
  folder += '/';
  std::vector<std::pair<std::string, std::string>> entries;
  ZipRecords storages;
  for (const TorchEntry& entry : dict) {
    if (!entry.tensor.defined()) {
      entries.emplace_back(entry.name, entry.pickled);
      continue;
    }
    const at::Tensor tensor = entry.tensor.detach().to(at::kCPU).contiguous();
    const std::string key = std::to_string(storages.size());
    entries.emplace_back(entry.name, PickleTensor({StorageName(tensor.scalar_type(), entry.name), key, tensor.numel(),
                                                   0, tensor.sizes().vec(), RowMajorStrides(tensor.sizes())}));
    storages.emplace_back(folder + "data/" + key,
                          std::string(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()));
  }
  ZipRecords records{{folder + "data.pkl", PickleOf(PickleDict(entries))}, {folder + "byteorder", "little"}};
  for (auto& storage : storages) records.push_back(std::move(storage));
  records.emplace_back(folder + "version", "3\n");
  // As torch aligns them, so that a storage can be mapped into memory.
  constexpr size_t kAlignment = 64;
  WriteFileAtomically(path, At(path, [&] { return ZipOf(records, kAlignment); }));
}

}  // namespace lifescope
