#include "client/cli/wire_values.h"

#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lifescope {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the wire is little-endian, and so is what is copied from it");

absl::Status CheckSize(const v1::Tensor& tensor) {
  const size_t element_size = ElementSize(tensor.data_type());
  if (element_size == 0) {
    return absl::DataLossError(absl::StrCat("the answer has a tensor of unknown type ", tensor.data_type()));
  }
  int64_t count = 1;
  bool fits = true;
  for (const int64_t size : tensor.shape()) fits = fits && size >= 0 && !__builtin_mul_overflow(count, size, &count);
  if (!fits || static_cast<size_t>(count) != tensor.data().size() / element_size ||
      tensor.data().size() % element_size != 0) {
    return absl::DataLossError(absl::StrCat("the answer has a tensor of shape ", FormatShape(tensor), " with ",
                                            tensor.data().size(), " bytes of data"));
  }
  return absl::OkStatus();
}

template <typename Element, typename Value>
std::vector<Value> Elements(const std::string& data) {
  std::vector<Element> elements(data.size() / sizeof(Element));
  if (!elements.empty()) std::memcpy(elements.data(), data.data(), data.size());
  return std::vector<Value>(elements.begin(), elements.end());
}

template <typename Value>
absl::StatusOr<std::vector<Value>> ToValues(const v1::Tensor& tensor) {
  const absl::Status status = CheckSize(tensor);
  if (!status.ok()) return status;
  switch (tensor.data_type()) {
    case v1::DATA_TYPE_FLOAT32:
      return Elements<float, Value>(tensor.data());
    case v1::DATA_TYPE_FLOAT64:
      return Elements<double, Value>(tensor.data());
    case v1::DATA_TYPE_INT64:
      return Elements<int64_t, Value>(tensor.data());
    default:
      return Elements<int32_t, Value>(tensor.data());
  }
}

}  // namespace

int ElementSize(v1::DataType type) {
  switch (type) {
    case v1::DATA_TYPE_FLOAT32:
    case v1::DATA_TYPE_INT32:
      return 4;
    case v1::DATA_TYPE_FLOAT64:
    case v1::DATA_TYPE_INT64:
      return 8;
    default:
      return 0;
  }
}

std::string FormatShape(const v1::Tensor& tensor) {
  return tensor.shape().empty() ? "scalar" : absl::StrCat("[", absl::StrJoin(tensor.shape(), ", "), "]");
}

absl::StatusOr<std::vector<double>> ToDoubles(const v1::Tensor& tensor) { return ToValues<double>(tensor); }

absl::StatusOr<std::vector<int64_t>> ToIntegers(const v1::Tensor& tensor) { return ToValues<int64_t>(tensor); }

absl::StatusOr<std::vector<FeatureRow>> ToRows(const v1::SparseFeatures& sparse) {
  const auto positions = ToIntegers(sparse.positions());
  const auto offsets = ToIntegers(sparse.row_offsets());
  const auto features = ToIntegers(sparse.features());
  const auto values = ToDoubles(sparse.values());
  for (const absl::Status& status : {positions.status(), offsets.status(), features.status(), values.status()}) {
    if (!status.ok()) return status;
  }
  bool fits = offsets->size() == positions->size() + 1 && features->size() == values->size() && offsets->front() == 0 &&
              offsets->back() == static_cast<int64_t>(values->size());
  for (size_t row = 0; fits && row < positions->size(); ++row) fits = (*offsets)[row] <= (*offsets)[row + 1];
  if (!fits) return absl::DataLossError("the answer has sparse features whose rows do not fit together");

  std::vector<FeatureRow> rows(positions->size());
  for (size_t row = 0; row < rows.size(); ++row) {
    rows[row].position = static_cast<int32_t>((*positions)[row]);
    for (int64_t entry = (*offsets)[row]; entry < (*offsets)[row + 1]; ++entry) {
      rows[row].active.emplace_back(static_cast<int32_t>((*features)[entry]), (*values)[entry]);
    }
  }
  return rows;
}

}  // namespace lifescope
