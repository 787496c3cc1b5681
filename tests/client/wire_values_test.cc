#include "client/cli/wire_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/canned_answers.h"

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(WireValuesTest, AFloatTensorBecomesDoubles) {
  EXPECT_THAT(*ToDoubles(FloatTensor({2, 1}, {0.5F, -3.F})), ElementsAre(0.5, -3.0));
}

TEST(WireValuesTest, AnEmptyTensorOfAnyShapeIsFine) {
  EXPECT_THAT(*ToDoubles(FloatTensor({0, 96}, {})), IsEmpty());
  EXPECT_THAT(*ToDoubles(FloatTensor({96, 0}, {})), IsEmpty());
}

TEST(WireValuesTest, AScalarHasNoSizes) { EXPECT_THAT(*ToDoubles(FloatTensor({}, {7.F})), ElementsAre(7.0)); }

TEST(WireValuesTest, ShapeAndDataMustAgree) {
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{3}, {1}, {-2}, {-1, -2}, {INT64_MAX, INT64_MAX}}) {
    EXPECT_TRUE(absl::IsDataLoss(ToDoubles(FloatTensor(shape, {1.F, 2.F})).status()));
  }
}

TEST(WireValuesTest, AnUnknownTypeIsRefused) {
  v1::Tensor tensor = FloatTensor({1}, {1.F});
  tensor.set_data_type(v1::DATA_TYPE_UNSPECIFIED);
  EXPECT_TRUE(absl::IsDataLoss(ToDoubles(tensor).status()));
}

TEST(WireValuesTest, SparseRowsAreTakenApart) {
  const auto rows = ToRows(FakeFeatures({{{3, 1.F}}, {}, {{7, 0.5F}, {40, 2.F}}}));
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 3);
  EXPECT_THAT((*rows)[0].active, ElementsAre(Pair(3, 1.0)));
  EXPECT_THAT((*rows)[1].active, IsEmpty());
  EXPECT_EQ((*rows)[2].position, 2);
  EXPECT_THAT((*rows)[2].active, ElementsAre(Pair(7, 0.5), Pair(40, 2.0)));
}

TEST(WireValuesTest, RowsThatDoNotFitTogetherAreRefused) {
  v1::SparseFeatures sparse = FakeFeatures({{{3, 1.F}}, {{4, 1.F}}});
  sparse.mutable_row_offsets()->mutable_data()->at(8) = 9;  // Row 0 ends after the last entry.
  EXPECT_TRUE(absl::IsDataLoss(ToRows(sparse).status()));
  sparse = FakeFeatures({{{3, 1.F}}});
  *sparse.mutable_row_offsets() = v1::Tensor();
  EXPECT_TRUE(absl::IsDataLoss(ToRows(sparse).status()));
  sparse = FakeFeatures({{{3, 1.F}}});
  *sparse.mutable_values() = FloatTensor({2}, {1.F, 2.F});
  EXPECT_TRUE(absl::IsDataLoss(ToRows(sparse).status()));
}

}  // namespace
}  // namespace lifescope
