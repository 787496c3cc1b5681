#include "server/evaluation/crosscoder_metrics.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "server/evaluation/metric_definition.h"

namespace lifescope {
namespace {

// Of a alone, of both with orthogonal and with equal directions, of b nine times as much as of a, of nothing.
const at::Tensor kDirections =
    at::tensor({3.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 2.0, 1.0, 0.0, 9.5, 0.0, 0.0, 0.0, 0.0, 0.0},
               at::kDouble)
        .view({5, 4});

std::map<std::string, double> Values(const at::Tensor& directions, const std::vector<int64_t>& widths) {
  std::map<std::string, double> values;
  for (const Measurement& m : CrosscoderMetrics(directions, widths, {"a", "b"})) {
    EXPECT_NO_THROW(DefinitionOf(m.metric));
    EXPECT_TRUE(std::isnan(m.low));
    values[m.metric + " " + m.note] = m.value;
  }
  return values;
}

TEST(CrosscoderMetrics, SayWhatIsSharedAndWhatIsNot) {
  const auto values = Values(kDirections, {2, 2});
  EXPECT_NEAR(values.at("relative_decoder_norm a"), (1 + 0.5 + 0.5 + 1 / 10.5) / 4, 1e-12);
  EXPECT_NEAR(values.at("relative_decoder_norm b"), (0 + 0.5 + 0.5 + 9.5 / 10.5) / 4, 1e-12);
  EXPECT_EQ(values.at("exclusive_feature_share a"), 0.25);
  EXPECT_EQ(values.at("exclusive_feature_share b"), 0.25);
  EXPECT_EQ(values.at("shared_feature_share a and b"), 0.5);
  EXPECT_EQ(values.at("shared_decoder_cosine a and b"), 0.5);
}

TEST(CrosscoderMetrics, HookPointsOfUnlikeWidthHaveNoCosine) {
  const auto values = Values(kDirections, {1, 3});
  EXPECT_EQ(values.count("shared_feature_share a and b"), 1u);
  EXPECT_EQ(values.count("shared_decoder_cosine a and b"), 0u);
}

TEST(CrosscoderMetrics, SayWhyAFigureIsNotDefined) {
  const auto alone = Values(kDirections.narrow(0, 0, 1), {2, 2});
  EXPECT_EQ(alone.at("shared_feature_share a and b"), 0);
  EXPECT_TRUE(std::isnan(alone.at("shared_decoder_cosine a and b: no feature is shared")));
  const auto nothing = Values(kDirections.narrow(0, 4, 1), {2, 2});
  ASSERT_EQ(nothing.size(), 6u);
  for (const auto& [name, value] : nothing) {
    EXPECT_TRUE(std::isnan(value)) << name;
    EXPECT_NE(name.find(": no feature fires"), std::string::npos) << name;
  }
}

TEST(CrosscoderMetrics, RelativeNormsAddUpToOne) {
  const at::Tensor relative = RelativeDecoderNorms(at::randn({7, 9}), {2, 3, 4});
  EXPECT_TRUE(at::allclose(relative.sum(1), at::ones({7}, at::kDouble)));
  EXPECT_EQ(RelativeDecoderNorms(kDirections, {2, 2}).size(0), 4);
  EXPECT_THROW(RelativeDecoderNorms(kDirections, {2, 3}), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
