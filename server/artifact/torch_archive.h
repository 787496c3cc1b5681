// Reads what torch.save writes: a zip archive of one pickle (data.pkl) and one record of bytes per storage
// (data/<key>).
//
// Nothing is executed (pickle.h), no record is larger than the file (stored_zip.h), and every tensor is checked against
// its record before memory is asked for. Refused by name: the format of torch before 1.6, TorchScript archives,
// big-endian storages.
//
// Standard library and libzip only: TorchFile (torch_file.h) gives tensors. Everything throws std::invalid_argument:
// what was found and what was expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/artifact/pickle.h"
#include "server/artifact/stored_zip.h"

namespace lifescope {

enum class TorchElement { kDouble, kFloat, kHalf, kBFloat16, kLong, kInt, kShort, kChar, kByte, kBool };

// Where the elements of a tensor lie: inside their record, no two of them at one place.
struct TorchLayout {
  TorchElement element = TorchElement::kFloat;
  size_t element_bytes = 0;
  std::string record;
  // In elements.
  int64_t offset = 0, element_count = 0;
  std::vector<int64_t> sizes, strides;
};

struct TorchArchiveLimits {
  size_t records = size_t{1} << 16;
  PickleLimits pickle;
};

// Whether the bytes begin as torch.save's do, in the present format or the one before torch 1.6.
bool LooksLikeTorch(std::string_view bytes);

// Not thread-safe.
class TorchArchive {
 public:
  // `bytes` must outlive the archive.
  explicit TorchArchive(std::string_view bytes, const TorchArchiveLimits& limits = {});

  PickleValue root() const { return pickle_.root(); }
  // A torch.Tensor or torch.nn.Parameter. Whether it is a valid one, Layout says.
  static bool IsTensor(const PickleValue& value);
  TorchLayout Layout(const PickleValue& tensor) const;
  // Copies the elements, in row-major order, to element_count * element_bytes bytes. Throws when the record's checksum
  // is wrong or a bool is neither 0 nor 1.
  void Copy(const TorchLayout& layout, uint8_t* out) const;

 private:
  StoredZip zip_;
  std::string folder_;  // "archive/"
  Pickle pickle_;
};

}  // namespace lifescope
