#include "server/evaluation/dictionary_geometry.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "server/evaluation/metric_definition.h"

namespace lifescope {
namespace {

std::map<std::string, Measurement> Figures(const DictionaryGeometry& geometry) {
  std::map<std::string, Measurement> named;
  for (const Measurement& figure : geometry.figures) {
    EXPECT_NO_THROW(DefinitionOf(figure.metric));
    named[figure.metric] = figure;
  }
  return named;
}

at::Tensor Fires(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong).to(at::kBool); }

TEST(MeasureGeometry, OfOrthogonalTiedDirectionsIsKnown) {
  const at::Tensor decoder = at::eye(4, at::kDouble) * 2;
  const DictionaryGeometry geometry = MeasureGeometry(decoder, decoder * 3, at::ones({4}, at::kBool));
  const auto figures = Figures(geometry);
  EXPECT_NEAR(figures.at("encoder_decoder_cosine").value, 1, 1e-12);
  EXPECT_NEAR(figures.at("max_encoder_cosine").value, 0, 1e-12);
  EXPECT_NEAR(figures.at("capacity").value, 1, 1e-12);
  // The four points span three dimensions, alike in each.
  EXPECT_TRUE(at::allclose(geometry.spectrum, at::tensor({1.0, 1.0, 1.0, 0.0}, at::kDouble), 1e-9, 1e-12));
  EXPECT_NEAR(figures.at("spectrum_slope").value, 0, 1e-9);
  EXPECT_EQ(figures.count("parallelogram_silhouette"), 0u) << "no pairs";
}

TEST(MeasureGeometry, IsOfFeaturesThatFire) {
  // The dead twin of feature 0 would halve its capacity, and its encoder points the other way.
  const at::Tensor decoder = at::tensor({1.0, 0.0, 0.0, 1.0, 1.0, 0.0}, at::kDouble).view({3, 2});
  at::Tensor encoder = decoder.clone();
  encoder[2] = -encoder[2];
  const auto all = Figures(MeasureGeometry(decoder, encoder, Fires({1, 1, 1})));
  const auto alive = Figures(MeasureGeometry(decoder, encoder, Fires({1, 1, 0})));
  EXPECT_NEAR(all.at("capacity").value, 2.0 / 3, 1e-12);
  EXPECT_NEAR(alive.at("capacity").value, 1, 1e-12);
  EXPECT_NEAR(all.at("encoder_decoder_cosine").value, 1.0 / 3, 1e-12);
  EXPECT_NEAR(alive.at("encoder_decoder_cosine").value, 1, 1e-12);
}

TEST(MeasureGeometry, SaysWhyAFigureIsNotDefined) {
  const at::Tensor decoder = at::eye(3, at::kDouble);
  const auto reason = [&](const at::Tensor& encoder, const at::Tensor& fires, const char* name) {
    const Measurement figure = Figures(MeasureGeometry(decoder, encoder, fires)).at(name);
    EXPECT_TRUE(std::isnan(figure.value)) << name;
    return figure.note;
  };
  const at::Tensor none = Fires({0, 0, 0}), all = Fires({1, 1, 1});
  EXPECT_EQ(reason({}, all, "encoder_decoder_cosine"), "it has no encoder matrix");
  EXPECT_EQ(reason(at::ones({3, 5}), all, "encoder_decoder_cosine"),
            "it writes vectors of another width than it reads");
  EXPECT_EQ(reason(decoder, none, "capacity"), "no feature fires");
  EXPECT_EQ(reason(decoder, none, "encoder_decoder_cosine"), "no feature fires");
  EXPECT_EQ(reason(decoder, Fires({1, 0, 0}), "spectrum_slope"),
            "the directions that fire differ in fewer than two dimensions");
  const auto transcoder = Figures(MeasureGeometry(decoder, decoder, all, {}, /*is_transcoder=*/true));
  EXPECT_TRUE(std::isnan(transcoder.at("encoder_decoder_cosine").value)) << "though its widths are equal";
  EXPECT_EQ(transcoder.at("encoder_decoder_cosine").note, "a transcoder, which writes another place than it reads");
}

// Two relations, each a step in a dimension of its own, under a distractor that is far larger.
TEST(MeasureGeometry, FindsParallelogramsUnderADistractor) {
  at::manual_seed(3);
  const int64_t pairs = 24, width = 6;
  at::Tensor decoder = at::randn({2 * pairs, width}, at::kDouble);
  FeaturePairs given;
  std::vector<int64_t> features;
  for (int64_t i = 0; i < pairs; ++i) {
    const int64_t relation = i % 2;
    at::Tensor second = decoder[2 * i].clone() + 0.01 * at::randn({width}, at::kDouble);
    second[relation] += 1;
    second[5] += 10 * (i % 3);
    decoder[2 * i + 1].copy_(second);
    features.insert(features.end(), {2 * i, 2 * i + 1});
    given.relations.push_back(relation);
  }
  given.pairs = at::tensor(features, at::kLong).view({-1, 2});
  const at::Tensor fires = at::ones({2 * pairs}, at::kBool);
  const auto figures = Figures(MeasureGeometry(decoder, {}, fires, given));
  EXPECT_LT(figures.at("parallelogram_silhouette").value, 0.1);
  EXPECT_GT(figures.at("parallelogram_silhouette_discriminant").value, 0.9);
  given.pairs[0][1] = 2 * pairs;
  EXPECT_THROW(MeasureGeometry(decoder, {}, fires, given), c10::ValueError);
  EXPECT_THROW(MeasureGeometry(decoder, {}, fires.narrow(0, 0, 3)), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
