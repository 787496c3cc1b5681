#include "server/command/dictionary_card.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace lifescope {
namespace {

using testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

DictionaryCard Card() {
  DictionaryCard card;
  card.dictionary = {"sae", "sha256:1"};
  card.architecture = "topk";
  card.feature_count = 4;
  card.evaluation.densities = at::tensor({0.0, 0.5, 0.5, 1e-4}, at::kDouble);
  card.evaluation.reconstruction = {{"fvu", 0.25, 0.2, 0.3}};
  card.evaluation.downstream = {{"loss_recovered_zero", kNan, kNan, kNan, "nothing to recover"}};
  card.evaluation.groups = {{"work", 7, 2, {{"l0", 3, kNan, kNan}, {"fvu", 0.5, kNan, kNan}}, {}}};
  card.sections = SectionsOf(card.evaluation);
  return card;
}

TEST(DictionaryCard, ShowsIntervalsAndReasons) {
  const std::string text = ToText(Card());
  EXPECT_THAT(text, HasSubstr("0.25  [0.2, 0.3]"));
  EXPECT_THAT(text, HasSubstr("nan  nothing to recover"));
  EXPECT_THAT(text, testing::ContainsRegex("work +7 +3.00 +0.500 +2 +- +-"));
}

TEST(DictionaryCard, JsonHasDefinitionsAndNullForWhatIsUndefined) {
  const nlohmann::json json = nlohmann::json::parse(ToJson(Card()).dump());
  const nlohmann::json& fvu = json["sections"][0]["metrics"][0];
  EXPECT_EQ(fvu["interval_95"], nlohmann::json({0.2, 0.3}));
  EXPECT_THAT(fvu["formula"].get<std::string>(), HasSubstr("sum |e|^2"));
  const nlohmann::json& recovered = json["sections"][1]["metrics"][0];
  EXPECT_TRUE(recovered["value"].is_null());
  EXPECT_EQ(recovered["note"], "nothing to recover");
  EXPECT_FALSE(recovered.contains("interval_95"));
  EXPECT_EQ(json["subgroups"][0]["values"]["fvu"], 0.5);
}

TEST(DictionaryCard, RefusesAFigureWithoutDefinition) {
  DictionaryCard card = Card();
  card.sections.push_back({"more", {{"fidelity", 1, kNan, kNan}}});
  EXPECT_THROW(ToJson(card), c10::ValueError);
}

TEST(Sparkline, IsAsHighAsTheCounts) {
  EXPECT_EQ(Sparkline({0, 1, 4, 8}), " ▁▄█");
  EXPECT_EQ(Sparkline({1, 1000}), "▁█");
  EXPECT_EQ(Sparkline({0, 0}), "  ");
}

TEST(DensityPlot, IsAStaircaseOfShares) {
  const LinePlot plot = DensityPlot({Card()});
  ASSERT_EQ(plot.lines.size(), 1u);
  double share = 0;
  for (size_t i = 0; i < plot.lines[0].y.size(); i += 2) share += plot.lines[0].y[i];
  EXPECT_DOUBLE_EQ(share, 1);
  EXPECT_EQ(plot.lines[0].x.front(), -10);
  EXPECT_EQ(plot.lines[0].x.back(), 0);
  EXPECT_DOUBLE_EQ(plot.lines[0].y.front(), 0.25) << "the dead one";
}

}  // namespace
}  // namespace lifescope
