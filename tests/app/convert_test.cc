#include "server/app/convert.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>

namespace lifescope {
namespace {

template <typename T>
std::vector<T> Elements(const v1::Tensor& tensor) {
  std::vector<T> elements(tensor.data().size() / sizeof(T));
  std::memcpy(elements.data(), tensor.data().data(), tensor.data().size());
  return elements;
}

TEST(Convert, TensorsAreRowMajorWhateverTheirLayout) {
  const at::Tensor tensor = at::arange(6, at::kFloat).reshape({2, 3}).t();
  v1::Tensor message;
  ToMessage(tensor, message);
  EXPECT_EQ(message.data_type(), v1::DATA_TYPE_FLOAT32);
  EXPECT_EQ(std::vector<int64_t>(message.shape().begin(), message.shape().end()), (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(Elements<float>(message), (std::vector<float>{0, 3, 1, 4, 2, 5}));
}

TEST(Convert, EveryTypeOfTheWireIsTold) {
  const std::pair<at::ScalarType, v1::DataType> types[] = {{at::kFloat, v1::DATA_TYPE_FLOAT32},
                                                           {at::kDouble, v1::DATA_TYPE_FLOAT64},
                                                           {at::kLong, v1::DATA_TYPE_INT64},
                                                           {at::kInt, v1::DATA_TYPE_INT32}};
  for (const auto& [type, expected] : types) {
    v1::Tensor message;
    ToMessage(at::ones({2}, at::TensorOptions().dtype(type)), message);
    EXPECT_EQ(message.data_type(), expected);
    EXPECT_EQ(message.data().size(), 2 * at::elementSize(type));
  }
  v1::Tensor message;
  EXPECT_THROW(ToMessage(at::ones({2}, at::TensorOptions().dtype(at::kBool)), message), c10::ValueError);
}

TEST(Convert, AScalarHasNoShape) {
  v1::Tensor message;
  ToMessage(at::scalar_tensor(2.5, at::TensorOptions().dtype(at::kDouble)), message);
  EXPECT_EQ(message.shape_size(), 0);
  EXPECT_EQ(Elements<double>(message), std::vector<double>{2.5});
}

TEST(Convert, SparseFeaturesKeepTheirRows) {
  FeatureValue value;
  value.positions = {4, 9};
  value.activations.row_offsets = at::tensor(std::vector<int64_t>{0, 1, 3}, at::kLong);
  value.activations.features = at::tensor(std::vector<int32_t>{5, 1, 2}, at::kInt);
  value.activations.values = at::tensor(std::vector<float>{1, 2, 3}, at::kFloat);
  value.activations.feature_count = 8;
  v1::SparseFeatures message;
  ToMessage(value, message);
  EXPECT_EQ(Elements<int64_t>(message.positions()), (std::vector<int64_t>{4, 9}));
  EXPECT_EQ(Elements<int64_t>(message.row_offsets()), (std::vector<int64_t>{0, 1, 3}));
  EXPECT_EQ(Elements<int32_t>(message.features()), (std::vector<int32_t>{5, 1, 2}));
  EXPECT_EQ(Elements<float>(message.values()), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(message.feature_count(), 8);
}

TEST(Convert, FeatureStatisticsBecomeMeansAndShares) {
  FeatureIndexRecord index;
  index.token_count = 200;
  index.person_count = 10;
  v1::Feature message;
  ToMessage(FeatureRecord{3, 9.0, 40.0, 8, 4, {5, 3}}, index, message);
  EXPECT_EQ(message.feature(), 3);
  EXPECT_DOUBLE_EQ(message.mean_activation(), 5.0);
  EXPECT_DOUBLE_EQ(message.token_density(), 0.04);
  EXPECT_DOUBLE_EQ(message.person_density(), 0.4);
  EXPECT_EQ(message.histogram_size(), 2);
  v1::Feature dead;
  ToMessage(FeatureRecord{}, FeatureIndexRecord{}, dead);
  EXPECT_EQ(dead.mean_activation(), 0);
  EXPECT_EQ(dead.token_density(), 0);
}

TEST(Convert, TimesBeforeTheEpochHavePositiveNanos) {
  google::protobuf::Timestamp message;
  ToMessage(absl::FromUnixMillis(-1500), message);
  EXPECT_EQ(message.seconds(), -2);
  EXPECT_EQ(message.nanos(), 500'000'000);
}

}  // namespace
}  // namespace lifescope
