#include "server/artifact/torch_file.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <stdexcept>

#include "server/artifact/artifact.h"

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
    TorchLayout layout = At(path_ + ": tensor " + Quoted(name), [&, v = value] { return archive_.Layout(v); });
    TORCH_CHECK_VALUE(tensors.emplace(name, std::move(layout)).second, path_, ": tensor ", Quoted(name),
                      " is there twice");
  }
  return tensors;
}

at::Tensor TorchFile::Read(const TorchLayout& layout) const {
  at::Tensor tensor = at::empty(layout.sizes, at::TensorOptions().dtype(DtypeOf(layout.element)));
  At(path_, [&] { archive_.Copy(layout, static_cast<uint8_t*>(tensor.data_ptr())); });
  return tensor;
}

}  // namespace lifescope
