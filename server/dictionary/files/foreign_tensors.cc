#include "server/dictionary/files/foreign_tensors.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <utility>

#include "server/dictionary/files/stored_dictionary.h"

namespace lifescope {
namespace {

bool Fits(at::IntArrayRef found, const std::vector<int64_t>& expected) {
  if (found.size() != expected.size()) return false;
  for (size_t d = 0; d < expected.size(); ++d) {
    if (expected[d] >= 0 && found[d] != expected[d]) return false;
  }
  return true;
}

}  // namespace

ForeignTensors::ForeignTensors(std::string path, std::map<std::string, at::Tensor> tensors)
    : path_(std::move(path)), tensors_(std::move(tensors)) {}

at::Tensor ForeignTensors::Remove(const std::string& name, const std::vector<int64_t>& shape) {
  const auto found = tensors_.find(name);
  TORCH_CHECK_VALUE(found != tensors_.end(), path_, ": tensor '", name, "' is missing, expected shape ",
                    at::IntArrayRef(shape));
  const at::Tensor tensor = found->second;
  TORCH_CHECK_VALUE(Fits(tensor.sizes(), shape), path_, ": tensor '", name, "' has shape ", tensor.sizes(),
                    ", expected ", at::IntArrayRef(shape));
  tensors_.erase(found);
  return tensor;
}

at::Tensor ForeignTensors::Take(const std::string& name, const std::vector<int64_t>& shape) {
  const at::Tensor tensor = Remove(name, shape);
  TORCH_CHECK_VALUE(at::isFloatingType(tensor.scalar_type()), path_, ": tensor '", name, "' is ", tensor.scalar_type(),
                    ", expected Half, BFloat16, Float or Double");
  const at::Tensor values = Widen(tensor).contiguous();
  TORCH_CHECK_VALUE(at::isfinite(values).all().item<bool>(), path_, ": tensor '", name,
                    "' has a value that is NaN or infinite, expected finite values");
  return values;
}

at::Tensor ForeignTensors::TakeTransposed(const std::string& name, const std::vector<int64_t>& shape) {
  return Take(name, shape).t().contiguous();
}

int64_t ForeignTensors::TakeInteger(const std::string& name) {
  const at::Tensor tensor = Remove(name, {});
  TORCH_CHECK_VALUE(at::isIntegralType(tensor.scalar_type(), /*includeBool=*/false), path_, ": tensor '", name, "' is ",
                    tensor.scalar_type(), ", expected a whole number");
  return tensor.item<int64_t>();
}

void ForeignTensors::CheckNoneLeft() const {
  TORCH_CHECK_VALUE(tensors_.empty(), path_, ": unknown tensor '", tensors_.begin()->first, "'");
}

}  // namespace lifescope
