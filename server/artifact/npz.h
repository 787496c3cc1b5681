// NumPy's .npz archives of .npy arrays: what numpy.savez and numpy.savez_compressed write. Real numbers in C order.
//
// Standard library and libzip only. Everything throws std::invalid_argument: what was found and what was expected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/artifact/stored_zip.h"

namespace lifescope {

enum class NpyElement { kHalf, kFloat, kDouble };
size_t BytesOf(NpyElement element);

struct NpyArray {
  NpyElement element = NpyElement::kFloat;
  std::vector<int64_t> shape;
  // The elements in C order, little-endian: a part of what was parsed.
  std::string_view data;
};

// A .npy file, versions 1 to 3 of the format. Refused by name: big-endian or other dtypes, Fortran order, a shape that
// is not that of the bytes which follow. `bytes` must outlive the array.
NpyArray ParseNpy(std::string_view bytes);

// What ParseNpy reads.
std::string NpyOf(const NpyArray& array);

// Not thread-safe.
class NpzArchive {
 public:
  // `bytes` must outlive the archive.
  explicit NpzArchive(std::string_view bytes);

  // Without ".npy", sorted.
  const std::vector<std::string>& names() const { return names_; }
  // The .npy file of that name, stored or deflated.
  std::string Read(const std::string& name) const;

 private:
  StoredZip zip_;
  std::vector<std::string> names_;
};

}  // namespace lifescope
