#include "server/command/dictionary_card.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/command/measurement.h"

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
  EXPECT_THAT(text, HasSubstr(" -  nothing to recover"));
  EXPECT_THAT(text, testing::Not(HasSubstr("nan")));
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

TEST(DictionaryCard, OfATranscoderSaysWhatItReadsAndPredicts) {
  DictionaryCard card = Card();
  card.model = {"base", "sha256:2"};
  card.hook_point = "blocks.1.hook_resid_mid";
  EXPECT_FALSE(ToJson(card).contains("output_hook_point"));
  card.output_hook_point = "blocks.1.hook_mlp_out";
  EXPECT_THAT(ToText(card),
              HasSubstr("transcoder: reads blocks.1.hook_resid_mid, predicts blocks.1.hook_mlp_out of model base"));
  EXPECT_EQ(ToJson(card)["output_hook_point"], "blocks.1.hook_mlp_out");
}

DictionaryCard CrosscoderCard() {
  DictionaryCard card = Card();
  card.architecture = "standard";
  card.model = {"base", "sha256:2"};
  card.other_models = {{"tuned", "sha256:3"}};
  card.hook_point = "blocks.0.hook_resid_post+tuned:blocks.0.hook_resid_post";
  card.evaluation.reconstruction = {{"l0", 3, 2, 4}};
  card.evaluation.downstream = {};
  card.evaluation.across_sites = {{"shared_feature_share", 0.5, kNan, kNan, "of two"}};
  const at::Tensor norms = at::tensor({0.01, 0.5, 0.52}, at::kDouble);
  card.evaluation.sites = {{"blocks.0.hook_resid_post", {{"fvu", 0.25, 0.2, 0.3}}, {}, {}, norms},
                           {"tuned:blocks.0.hook_resid_post", {{"fvu", 0.75, 0.7, 0.8}}, {}, {}, 1 - norms}};
  card.sections = SectionsOf(card.evaluation);
  return card;
}

TEST(DictionaryCard, OfACrosscoderHasTheFiguresOfEveryHookPoint) {
  const DictionaryCard card = CrosscoderCard();
  EXPECT_TRUE(std::isnan(MetricOf(card, "fvu").value)) << "of which hook point?";
  EXPECT_EQ(MetricOf(card, "l0").value, 3);
  const std::string text = ToText(card);
  EXPECT_THAT(text,
              HasSubstr("crosscoder: over blocks.0.hook_resid_post, tuned:blocks.0.hook_resid_post of models base, "
                        "tuned"));
  EXPECT_THAT(text, HasSubstr("\ntuned:blocks.0.hook_resid_post: sparsity and reconstruction\n  fvu "));
  EXPECT_THAT(text, HasSubstr("0 |▄         █         | 1"));
  const nlohmann::json json = ToJson(card);
  EXPECT_EQ(json["other_models"][0]["name"], "tuned");
  EXPECT_EQ(json["relative_decoder_norms"][0]["feature_counts"][10], 2);
}

TEST(DictionaryCard, OfACrosscoderIsOneRowForEachHookPoint) {
  const std::vector<DictionaryCard> rows = ByHookPoint({Card(), CrosscoderCard()});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[2].hook_point, "tuned:blocks.0.hook_resid_post");
  EXPECT_EQ(MetricOf(rows[2], "fvu").value, 0.75);
  EXPECT_EQ(MetricOf(rows[2], "l0").value, 3);
}

TEST(DictionaryCard, RefusesAFigureWithoutDefinition) {
  DictionaryCard card = Card();
  card.sections.push_back({"more", {{"fidelity", 1, kNan, kNan}}});
  EXPECT_THROW(ToJson(card), c10::ValueError);
}

DictionaryCard At(const std::string& name, const std::string& kind, double l0, double fvu) {
  DictionaryCard card;
  card.dictionary.name = name;
  card.kind = kind;
  card.sections = {{"", {{"l0", l0}, {"fvu", fvu}}}};
  return card;
}

TEST(ParetoPlot, JoinsOneKindAndNeverAnother) {
  // Both are stored as "topk"; by L0 the baseline stands between the trained ones.
  std::vector<DictionaryCard> cards{At("k16", "sparsify/topk", 16, 0.1), At("pca", "pca", 12, 0.4),
                                    At("k8", "sparsify/topk", 8, 0.2)};
  const LinePlot plot = ParetoPlot(cards, "fvu", "FVU");
  ASSERT_EQ(plot.lines.size(), 2u);
  EXPECT_EQ(plot.lines[0].name, "sparsify/topk");
  EXPECT_EQ(plot.lines[0].labels, (std::vector<std::string>{"k8", "k16"}));
  EXPECT_EQ(plot.lines[0].y, (std::vector<double>{0.2, 0.1}));
  EXPECT_EQ(plot.lines[1].name, "pca");
  EXPECT_NE(plot.lines[0].colour, plot.lines[1].colour);
}

TEST(ParetoPlot, JoinsNoOtherPlaceWidthOrThreshold) {
  std::vector<DictionaryCard> cards(5, At("k8", "sparsify/topk", 8, 0.2));
  cards[1].hook_point = "blocks.0.hook_resid_post";
  cards[2].model.digest = "sha256:2";
  cards[3].feature_count = 64;
  cards[4].threshold = 0.1;
  const LinePlot plot = ParetoPlot(cards, "fvu", "FVU");
  ASSERT_EQ(plot.lines.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(plot.lines[i].colour, plot.lines[0].colour) << "one kind";
    EXPECT_EQ(plot.lines[i].name, i == 0 ? "sparsify/topk" : "") << "once in the legend";
  }
}

TEST(DictionaryCard, ShowsWhatASectionIsOfOrWhyItIsEmpty) {
  DictionaryCard card = Card();
  card.sections.push_back({"code hierarchies", {}, "field: 'DIAG_' has no group"});
  EXPECT_THAT(ToText(card), HasSubstr("code hierarchies\n  field: 'DIAG_' has no group\n"));
  EXPECT_EQ(ToJson(card)["sections"].back()["note"], "field: 'DIAG_' has no group");
}

TEST(SpectrumPlot, EndsWhereEigenvaluesAreZero) {
  DictionaryCard card = Card();
  card.spectrum = {100, 1, 1e-11, 0};
  const LinePlot plot = SpectrumPlot(card);
  ASSERT_EQ(plot.lines.size(), 1u);
  EXPECT_EQ(plot.lines[0].y, (std::vector<double>{2, 0}));
  EXPECT_DOUBLE_EQ(plot.lines[0].x[1], std::log10(2.0));
}

TEST(IntervalText, ShowsOnlyWhatIsDefined) {
  EXPECT_EQ(IntervalText({"fvu", 0.25, 0.2, 0.3}), "0.250 [0.200, 0.300]");
  EXPECT_EQ(IntervalText({"fvu", 0.25, kNan, kNan}), "0.250");
  EXPECT_EQ(IntervalText({"fvu", kNan, kNan, kNan}, true), "-");
  EXPECT_EQ(NumberText(kNan), "-");
  EXPECT_EQ(NumberText(1.256, 2), "1.26");
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
