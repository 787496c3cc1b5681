// Rows of text in an HDF5 file, as h5py stores an array of bytes: a one-dimensional dataset of fixed-length strings.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace lifescope {

// Reads from front to back, some megabytes at a time. Not thread-safe.
class Hdf5Rows {
 public:
  // Throws c10::ValueError naming file and dataset and what HDF5 says of them; in a build without HDF5 (there is none
  // when CMake did not find it) always.
  Hdf5Rows(std::string path, std::string dataset);
  ~Hdf5Rows();

  int64_t size() const;
  // The next row without its padding, valid until the next call; false at the end. Throws c10::ValueError when it
  // cannot be read, since nothing after it can.
  bool Next(std::string_view* row);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lifescope
