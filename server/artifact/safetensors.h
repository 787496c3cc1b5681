// Reading and writing safetensors files, strictly.
//
// Format: u64 little-endian header length, JSON header (space padded to 8), contiguous little-endian
// row-major data, no holes and no trailing bytes. Anything else is refused with an error that names the
// file and the fault.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/artifact/safetensors_header.h"

namespace lifescope {

class MappedFile;

// A safetensors file, memory-mapped. Immutable and thread-safe.
class SafetensorsFile {
 public:
  // Throws c10::ValueError: not readable, truncated, header not JSON or over 100 MiB, unknown dtype,
  // negative, overlapping or gapped offsets, shape and byte count that do not agree.
  static SafetensorsFile Open(const std::string& path);

  // Names in the order of the data.
  const std::vector<std::string>& names() const { return names_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& path() const { return path_; }
  bool Contains(const std::string& name) const;

  // A copy of the tensor in its stored dtype (F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL), on the CPU.
  // Throws c10::ValueError naming the file and the tensor when it is absent.
  at::Tensor Read(const std::string& name) const;

 private:
  SafetensorsFile() = default;
  const SafetensorsEntry& Find(const std::string& name) const;

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, SafetensorsEntry> entries_;
  uint64_t data_begin_ = 0;  // in the file
};

// Writes `tensors` atomically (temporary file, fsync, rename). Order in the file: by element size descending,
// then name, as the reference library writes it. Throws c10::ValueError when the path cannot be written.
void WriteSafetensors(const std::string& path, const std::map<std::string, at::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace lifescope
