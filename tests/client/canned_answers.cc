#include "tests/client/canned_answers.h"

#include <cstring>

namespace lifescope {
namespace {

template <typename Element>
v1::Tensor IntegerTensor(v1::DataType type, const std::vector<Element>& values) {
  v1::Tensor tensor;
  tensor.set_data_type(type);
  tensor.add_shape(static_cast<int64_t>(values.size()));
  tensor.mutable_data()->resize(values.size() * sizeof(Element));
  if (!values.empty()) std::memcpy(tensor.mutable_data()->data(), values.data(), tensor.data().size());
  return tensor;
}

}  // namespace

v1::DocumentText FakeText() {
  v1::DocumentText text;
  text.set_person_id(17);
  for (const char* token :
       {"[CLS]", "FEMALE", "YEAR_1957", "[SEP]", "IND_4662", "POS_3", "[SEP]", "IND_2110", "POS_4", "[SEP]"}) {
    text.add_tokens(token);
  }
  for (const int32_t event : {0, 0, 0, 0, 1, 1, 1, 2, 2, 2}) {
    text.add_events(event);
    text.add_ages(event == 0 ? 0 : 31 + event);
    text.add_abspos(event * 100);
  }
  for (const char* date : {"", "1990-03-04", "1991-07-01"}) text.add_event_dates(date);
  return text;
}

v1::Tensor FloatTensor(const std::vector<int64_t>& shape, const std::vector<float>& values) {
  v1::Tensor tensor;
  tensor.set_data_type(v1::DATA_TYPE_FLOAT32);
  tensor.mutable_shape()->Add(shape.begin(), shape.end());
  tensor.mutable_data()->resize(values.size() * sizeof(float));
  if (!values.empty()) std::memcpy(tensor.mutable_data()->data(), values.data(), tensor.data().size());
  return tensor;
}

v1::SparseFeatures FakeFeatures(const std::vector<std::vector<std::pair<int32_t, float>>>& rows) {
  std::vector<int64_t> positions, offsets = {0};
  std::vector<int32_t> features;
  std::vector<float> values;
  for (const auto& row : rows) {
    positions.push_back(static_cast<int64_t>(positions.size()));
    for (const auto& [feature, value] : row) {
      features.push_back(feature);
      values.push_back(value);
    }
    offsets.push_back(static_cast<int64_t>(features.size()));
  }
  v1::SparseFeatures sparse;
  *sparse.mutable_positions() = IntegerTensor(v1::DATA_TYPE_INT64, positions);
  *sparse.mutable_row_offsets() = IntegerTensor(v1::DATA_TYPE_INT64, offsets);
  *sparse.mutable_features() = IntegerTensor(v1::DATA_TYPE_INT32, features);
  *sparse.mutable_values() = FloatTensor({static_cast<int64_t>(values.size())}, values);
  sparse.set_feature_count(64);
  return sparse;
}

}  // namespace lifescope
