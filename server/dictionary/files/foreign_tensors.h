#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lifescope {

// The tensors of somebody else's file under that file's names, taken one by one; what nobody takes is unknown.
// Everything throws c10::ValueError naming the file, the tensor, what was found and what was expected.
class ForeignTensors {
 public:
  ForeignTensors(std::string path, std::map<std::string, at::Tensor> tensors);

  const std::string& path() const { return path_; }
  bool Has(const std::string& name) const { return tensors_.count(name) > 0; }
  // Finite real numbers of that shape (-1: any size), widened (stored_dictionary.h) and contiguous.
  at::Tensor Take(const std::string& name, const std::vector<int64_t>& shape);
  // The transpose of a matrix of that shape.
  at::Tensor TakeTransposed(const std::string& name, const std::vector<int64_t>& shape);
  // A single whole number.
  int64_t TakeInteger(const std::string& name);
  // Known, and of no use here.
  void Drop(const std::string& name) { tensors_.erase(name); }
  // Throws when a tensor is left that was neither taken nor dropped.
  void CheckNoneLeft() const;

 private:
  at::Tensor Remove(const std::string& name, const std::vector<int64_t>& shape);

  std::string path_;
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace lifescope
