#include "server/artifact/torch_archive.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <stdexcept>

namespace lifescope {
namespace {

static_assert(std::endian::native == std::endian::little, "storages are copied as they lie in the file");

using Kind = PickleValue::Kind;
using Sizes = std::vector<int64_t>;

constexpr std::string_view kZipMagic = "PK\x03\x04";
// Protocol 2 and the magic number with which the format before torch 1.6 begins.
constexpr std::string_view kLegacyMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14);
constexpr size_t kMaxDimensions = 64;

struct StorageType {
  const char* global;
  TorchElement element;
  size_t element_bytes;
};
constexpr StorageType kStorageTypes[] = {
    {"torch.DoubleStorage", TorchElement::kDouble, 8}, {"torch.FloatStorage", TorchElement::kFloat, 4},
    {"torch.HalfStorage", TorchElement::kHalf, 2},     {"torch.BFloat16Storage", TorchElement::kBFloat16, 2},
    {"torch.LongStorage", TorchElement::kLong, 8},     {"torch.IntStorage", TorchElement::kInt, 4},
    {"torch.ShortStorage", TorchElement::kShort, 2},   {"torch.CharStorage", TorchElement::kChar, 1},
    {"torch.ByteStorage", TorchElement::kByte, 1},     {"torch.BoolStorage", TorchElement::kBool, 1}};

void Check(bool is_right, const std::string& what) {
  if (!is_right) throw std::invalid_argument(what);
}

std::string Shown(const Sizes& numbers) {
  std::string text = "[";
  for (const int64_t number : numbers) text += (text.size() > 1 ? ", " : "") + std::to_string(number);
  return text + "]";
}

bool BeginsWith(std::string_view bytes, std::string_view magic) { return bytes.substr(0, magic.size()) == magic; }

void CheckFormat(std::string_view bytes) {
  Check(
      !BeginsWith(bytes, kLegacyMagic),
      "a file in the format of torch before 1.6, expected a zip archive: load it and torch.save it with a newer torch");
  const std::string_view start = bytes.substr(0, kZipMagic.size());
  Check(start == kZipMagic, "begins with " + Quoted(start) + ", expected a zip archive as torch.save writes it");
}

// The folder in which torch put everything; its name is that of the file it once was.
std::string FindFolder(const StoredZip& zip) {
  std::string folder;
  for (const auto& [name, record] : zip.records()) {
    const size_t slash = name.find('/');
    if (slash == std::string::npos || name.substr(slash) != "/data.pkl") continue;
    Check(folder.empty(), "records " + Quoted(folder + "data.pkl") + " and " + Quoted(name) + ", expected one of them");
    folder = name.substr(0, slash + 1);
  }
  Check(!folder.empty(), "no record '.../data.pkl', expected a zip archive as torch.save writes it");
  Check(zip.records().count(folder + "constants.pkl") == 0,
        "a TorchScript archive, which holds a program; expected what torch.save makes of a state dict");
  const std::string byte_order = folder + "byteorder";
  if (zip.records().count(byte_order) > 0) {
    const std::string order = zip.Read(byte_order);
    Check(order == "little", "record " + Quoted(byte_order) + " is " + Quoted(order) + ", expected 'little'");
  }
  return folder;
}

// The items of a list or tuple that has between `least` and `most` of them. The count comes first: a hostile pickle has
// a million tensors share a list of a million.
std::vector<PickleValue> ItemsOf(const PickleValue& list, size_t least, size_t most, const std::string& what) {
  const size_t count = list.ItemCount();
  Check(count >= least && count <= most, what + " has " + std::to_string(count) + " of them, expected " +
                                             std::to_string(least) + " to " + std::to_string(most));
  return list.Items();
}

std::vector<PickleValue> ArgumentsOf(const PickleValue& record, size_t least, size_t most) {
  return ItemsOf(record.Arguments(), least, most, "arguments: " + record.Describe());
}

bool IsParameter(const PickleValue& value) {
  return value.IsRecordOf("torch._utils._rebuild_parameter") ||
         value.IsRecordOf("torch._utils._rebuild_parameter_with_state");
}

bool IsPlainTensor(const PickleValue& value) { return value.IsRecordOf("torch._utils._rebuild_tensor_v2"); }

// The sizes or the strides of a tensor.
Sizes ReadSizes(const PickleValue& list) {
  Sizes sizes;
  for (const PickleValue& item : ItemsOf(list, 0, kMaxDimensions, "sizes or strides: a tensor")) {
    sizes.push_back(item.AsInt());
    Check(sizes.back() >= 0, "found " + item.Describe() + " in the sizes or strides of a tensor, expected at least 0");
  }
  return sizes;
}

struct Storage {
  const StorageType* type = nullptr;
  std::string record;
  int64_t element_count = 0;
};

// ("storage", torch.FloatStorage, key, device, number of elements)
Storage ReadStorage(const PickleValue& value, const std::string& folder, const StoredZip& zip) {
  Check(value.Is(Kind::kPersistentId), "found " + value.Describe() + ", expected the storage of a tensor");
  const std::vector<PickleValue> id = ItemsOf(value.Id(), 5, 5, "parts of an id: the storage of a tensor");
  Check(id[0].Is(Kind::kString) && id[0].AsText() == "storage",
        "found " + value.Id().Describe() + ", expected ('storage', type, key, device, size)");
  Storage storage;
  for (const StorageType& type : kStorageTypes) {
    if (id[1].IsGlobal(type.global)) storage.type = &type;
  }
  Check(storage.type != nullptr, "found " + id[1].Describe() + ", expected a storage of real numbers or booleans");
  storage.record = folder + "data/" + std::string(id[2].AsText());
  storage.element_count = id[4].AsInt();
  const uint64_t bytes = zip.Find(storage.record).size;
  Check(storage.element_count >= 0 && bytes % storage.type->element_bytes == 0 &&
            bytes / storage.type->element_bytes == static_cast<uint64_t>(storage.element_count),
        "record " + Quoted(storage.record) + " has " + std::to_string(bytes) + " bytes, expected " +
            std::to_string(storage.element_count) + " elements of " + std::to_string(storage.type->element_bytes));
  return storage;
}

// False when the product does not fit 64 bits.
bool CountElements(const Sizes& sizes, int64_t* count) {
  *count = 1;
  if (std::count(sizes.begin(), sizes.end(), 0) > 0) *count = 0;
  return std::all_of(sizes.begin(), sizes.end(),
                     [&](int64_t size) { return *count == 0 || !__builtin_mul_overflow(*count, size, count); });
}

// The elements from the first to the last, both included, of a tensor that has any; false when two indices may meet or
// the number does not fit 64 bits. Dimensions by ascending stride: each must step over all that lies in the ones
// before.
bool Extent(const TorchLayout& layout, int64_t* extent) {
  std::vector<size_t> order(layout.sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return layout.strides[a] < layout.strides[b]; });
  *extent = 1;
  for (const size_t d : order) {
    if (layout.sizes[d] == 1) continue;
    int64_t span = 0;
    if (layout.strides[d] < *extent || __builtin_mul_overflow(layout.sizes[d] - 1, layout.strides[d], &span) ||
        __builtin_add_overflow(*extent, span, extent)) {
      return false;
    }
  }
  return true;
}

void CheckInside(const TorchLayout& layout, const Storage& storage) {
  const std::string tensor = "a tensor of sizes " + Shown(layout.sizes) + ", strides " + Shown(layout.strides) +
                             " and offset " + std::to_string(layout.offset);
  if (layout.element_count == 0) return;
  int64_t extent = 0, end = 0;
  Check(Extent(layout, &extent), tensor + ", expected strides with which no two elements meet");
  Check(layout.offset >= 0 && !__builtin_add_overflow(layout.offset, extent, &end) && end <= storage.element_count,
        tensor + " lies outside its storage of " + std::to_string(storage.element_count) + " elements");
}

bool IsRowMajor(const TorchLayout& layout) {
  int64_t stride = 1;
  for (size_t d = layout.sizes.size(); d-- > 0;) {
    if (layout.sizes[d] != 1 && layout.strides[d] != stride) return false;
    stride *= layout.sizes[d];
  }
  return true;
}

void CopyStrided(const TorchLayout& layout, const uint8_t* storage, uint8_t* out) {
  const size_t bytes = layout.element_bytes;
  Sizes index(layout.sizes.size(), 0);
  int64_t place = layout.offset;
  for (int64_t i = 0; i < layout.element_count; ++i, out += bytes) {
    std::memcpy(out, storage + static_cast<size_t>(place) * bytes, bytes);
    for (size_t d = index.size(); d-- > 0;) {
      place += layout.strides[d];
      if (++index[d] < layout.sizes[d]) break;
      place -= layout.strides[d] * layout.sizes[d];
      index[d] = 0;
    }
  }
}

}  // namespace

bool LooksLikeTorch(std::string_view bytes) { return BeginsWith(bytes, kZipMagic) || BeginsWith(bytes, kLegacyMagic); }

TorchArchive::TorchArchive(std::string_view bytes, const TorchArchiveLimits& limits)
    : zip_((CheckFormat(bytes), bytes), limits.records),
      folder_(FindFolder(zip_)),
      pickle_(Pickle::Parse(zip_.Read(folder_ + "data.pkl"), limits.pickle)) {}

bool TorchArchive::IsTensor(const PickleValue& value) { return IsPlainTensor(value) || IsParameter(value); }

TorchLayout TorchArchive::Layout(const PickleValue& value) const {
  const PickleValue tensor = IsParameter(value) ? ArgumentsOf(value, 3, 4)[0] : value;
  Check(IsPlainTensor(tensor), "found " + tensor.Describe() + ", expected a tensor");
  const std::vector<PickleValue> arguments = ArgumentsOf(tensor, 6, 7);
  const Storage storage = ReadStorage(arguments[0], folder_, zip_);
  TorchLayout layout;
  layout.element = storage.type->element;
  layout.element_bytes = storage.type->element_bytes;
  layout.record = storage.record;
  layout.offset = arguments[1].AsInt();
  layout.sizes = ReadSizes(arguments[2]);
  layout.strides = ReadSizes(arguments[3]);
  Check(layout.sizes.size() == layout.strides.size(), "a tensor of " + std::to_string(layout.sizes.size()) +
                                                          " sizes and " + std::to_string(layout.strides.size()) +
                                                          " strides, expected as many of both");
  Check(CountElements(layout.sizes, &layout.element_count),
        "a tensor of sizes " + Shown(layout.sizes) + ", whose number of elements does not fit 64 bits");
  for (size_t d = 0; d < layout.sizes.size(); ++d) {
    if (layout.sizes[d] == 1) layout.strides[d] = 0;  // it is never stepped over, and may be anything
  }
  CheckInside(layout, storage);
  return layout;
}

void TorchArchive::Copy(const TorchLayout& layout, uint8_t* out) const {
  if (layout.element_count == 0) return;
  const std::string bytes = zip_.Read(layout.record);
  const uint8_t* storage = reinterpret_cast<const uint8_t*>(bytes.data());
  const size_t size = static_cast<size_t>(layout.element_count) * layout.element_bytes;
  if (IsRowMajor(layout)) {
    std::memcpy(out, storage + static_cast<size_t>(layout.offset) * layout.element_bytes, size);
  } else {
    CopyStrided(layout, storage, out);
  }
  if (layout.element == TorchElement::kBool) {
    Check(std::all_of(out, out + size, [](uint8_t byte) { return byte <= 1; }),
          "record " + Quoted(layout.record) + " holds a bool other than 0 and 1");
  }
}

}  // namespace lifescope
