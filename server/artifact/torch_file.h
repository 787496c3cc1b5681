// Tensors of what torch.save wrote (.ckpt, .pth, .pt), read as data: nothing in the file is executed.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/artifact/torch_archive.h"

namespace lifescope {

class MappedFile;

// A file of torch.save, memory-mapped. Not thread-safe. Throws c10::ValueError naming the file, what was found and what
// was expected (torch_archive.h says what is refused).
class TorchFile {
 public:
  static TorchFile Open(const std::string& path);

  // Whether a file begins as torch.save's does, in the present format or the one before torch 1.6.
  static bool IsTorchFile(const std::string& path);

  const std::string& path() const { return path_; }
  // What was saved. PickleValue throws std::invalid_argument.
  PickleValue root() const { return archive_.root(); }

  // The tensors of a dict of names and tensors, as of a state dict. Every entry is checked: something else than a
  // tensor, or a name that is there twice, is an error. Nothing is read yet.
  std::map<std::string, TorchLayout> Tensors(const PickleValue& dict) const;
  // Where the tensor lies that a value is; errors name it.
  TorchLayout LayoutOf(const std::string& name, const PickleValue& value) const;
  // A contiguous copy in the stored dtype, on the CPU.
  at::Tensor Read(const TorchLayout& layout) const;

 private:
  TorchFile(std::string path, std::shared_ptr<const MappedFile> file, TorchArchive archive)
      : path_(std::move(path)), file_(std::move(file)), archive_(std::move(archive)) {}

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  TorchArchive archive_;
};

// One entry of a dict that is written: a tensor, or another value as opcodes (torch_writer.h).
struct TorchEntry {
  std::string name;
  at::Tensor tensor = {};
  std::string pickled = {};
};

// Writes a dict as torch.save writes it, in the entries' order, in one step. Throws c10::ValueError when the file
// cannot be written or would be over 4 GiB, or a dtype is not Double, Float, Half, BFloat16, Long or Int.
void WriteTorchFile(const std::string& path, const std::vector<TorchEntry>& dict);

}  // namespace lifescope
