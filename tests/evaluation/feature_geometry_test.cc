// Laws of co-occurrence, clusters and the geometry of directions.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/corpus/random.h"
#include "server/dictionary/sparse_rows.h"
#include "server/evaluation/clustering.h"
#include "server/evaluation/cooccurrence.h"
#include "server/evaluation/direction_geometry.h"
#include "server/evaluation/feature_lobes.h"
#include "server/evaluation/k_means.h"

namespace lifescope {
namespace {

at::Tensor Normal(at::IntArrayRef shape, uint64_t seed) {
  Random random(seed);
  at::Tensor values = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < values.numel(); ++i) values.data_ptr<double>()[i] = random.Normal();
  return values;
}

std::vector<int64_t> Modulo(int64_t count, int64_t divisor) {
  std::vector<int64_t> classes(count);
  for (int64_t i = 0; i < count; ++i) classes[i] = i % divisor;
  return classes;
}

TEST(Cooccurrence, IsOfChunksNotRows) {
  // Three chunks: {0, 1} on different rows, {0}, and one with feature 2 below the threshold.
  const at::Tensor dense =
      at::tensor({1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.5}, at::kDouble).view({4, 3});
  const Cooccurrences counts = CountCooccurrences(KeepNonZero(dense), {0, 2, 3, 4}, 0.5);
  EXPECT_EQ(counts.chunk_count, 3);
  const at::Tensor expected = at::tensor({2.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0}, at::kDouble).view({3, 3});
  EXPECT_TRUE(at::equal(counts.together, expected));
  EXPECT_EQ(OverlapAffinity(counts)[0][1].item<double>(), 1);
  EXPECT_EQ(JaccardAffinity(counts)[0][1].item<double>(), 0.5);
  EXPECT_NEAR(DiceAffinity(counts)[0][1].item<double>(), 2.0 / 3, 1e-12);
  EXPECT_NEAR(SimpleMatchingAffinity(counts)[0][1].item<double>(), 2.0 / 3, 1e-12);
  EXPECT_NEAR(PhiAffinity(counts)[0][1].item<double>(), 0.5, 1e-12);
  // Feature 2 never occurs.
  for (const at::Tensor& affinity : {PhiAffinity(counts), OverlapAffinity(counts), DiceAffinity(counts)}) {
    EXPECT_TRUE(at::equal(affinity[2], at::zeros({3}, at::kDouble)));
  }
  EXPECT_THROW(CountCooccurrences(KeepNonZero(dense), {0, 3}), c10::ValueError);
  EXPECT_THROW(CountCooccurrences(KeepNonZero(dense), {0, 3, 2, 4}), c10::ValueError);
}

TEST(KMeans, FindsSeparateBlobs) {
  const std::vector<int64_t> truth = Modulo(60, 3);
  at::Tensor points = Normal({60, 2}, 3);
  for (int64_t i = 0; i < 60; ++i) points[i] += 20 * truth[i];
  KMeansOptions options;
  options.clusters = 3;
  const KMeansResult found = KMeans(points, options);
  EXPECT_DOUBLE_EQ(AdjustedMutualInformation(found.labels, truth), 1);
  EXPECT_EQ(KMeans(points, options).labels, found.labels);
  options.clusters = 60;
  EXPECT_NEAR(KMeans(points, options).inertia, 0, 1e-12);
  options.clusters = 61;
  EXPECT_THROW(KMeans(points, options), c10::ValueError);
}

TEST(KMeans, SurvivesEqualPoints) {
  KMeansOptions options;
  options.clusters = 3;
  EXPECT_EQ(KMeans(at::ones({5, 2}), options).inertia, 0);
}

TEST(SpectralClusters, FollowTheAffinity) {
  const std::vector<int64_t> truth = Modulo(30, 3);
  at::Tensor affinity = at::full({30, 30}, 0.05, at::kDouble);
  for (int64_t i = 0; i < 30; ++i) {
    for (int64_t j = i % 3; j < 30; j += 3) affinity[i][j] = 1;
  }
  EXPECT_DOUBLE_EQ(AdjustedMutualInformation(SpectralClusters(affinity, 3), truth), 1);
  EXPECT_THROW(SpectralClusters(-affinity, 3), c10::ValueError);
  EXPECT_THROW(SpectralClusters(affinity.narrow(0, 0, 3), 3), c10::ValueError);
  EXPECT_THROW(SpectralClusters(affinity, 31), c10::ValueError);
  affinity[0][1] = 2;
  EXPECT_THROW(SpectralClusters(affinity, 3), c10::ValueError);
}

TEST(AdjustedMutualInformation, IsThatOfScikitLearn) {
  std::vector<int64_t> a(40), b(40), c(40);
  for (int64_t i = 0; i < 40; ++i) {
    a[i] = i % 4;
    b[i] = i * i % 5;
    c[i] = i / 9;
  }
  EXPECT_NEAR(AdjustedMutualInformation(a, b), -0.0752715064225127, 1e-12);
  EXPECT_NEAR(AdjustedMutualInformation(a, c), -0.12818396494301318, 1e-12);
  EXPECT_NEAR(AdjustedMutualInformation(b, c), -0.07312881063215852, 1e-12);
  std::vector<int64_t> renamed = b;
  for (int64_t& label : renamed) label = 7 - label;
  EXPECT_NEAR(AdjustedMutualInformation(b, renamed), 1, 1e-12);
  EXPECT_EQ(AdjustedMutualInformation({1, 1}, {3, 3}), 1);
  EXPECT_THROW(AdjustedMutualInformation(a, {1}), c10::ValueError);
}

// Twelve features in three lobes that occur together; directions of a lobe are near each other.
class Lobes : public testing::Test {
 protected:
  FeatureLobes Find(const std::vector<int64_t>& lobe_of_direction) const {
    Random random(4);
    at::Tensor dense = at::zeros({300, 14}, at::kDouble);
    for (int64_t row = 0; row < 300; ++row) {
      const int64_t lobe = random.Below(3);
      for (int64_t i = lobe; i < 12; i += 3) dense[row][i] = random.Uniform() < 0.7 ? 1.0 : 0.0;
      dense[row][13] = 1;  // always on; 12 never
    }
    at::Tensor directions = 0.1 * Normal({14, 8}, 6);
    for (int64_t i = 0; i < 12; ++i) directions[i][lobe_of_direction[i]] += 1;
    std::vector<int64_t> rows(301);
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
    return FindLobes(KeepNonZero(dense), rows, directions, options_);
  }
  FeatureLobeOptions options_;
};

TEST_F(Lobes, OfAlignedDirectionsAreFound) {
  const FeatureLobes found = Find(Modulo(12, 3));
  EXPECT_THAT(found.features, testing::SizeIs(12));
  EXPECT_NEAR(found.mutual_information, 1, 1e-12);
}

TEST_F(Lobes, OfOtherDirectionsAreUnrelated) {
  std::vector<int64_t> halves(12);
  for (int64_t i = 0; i < 12; ++i) halves[i] = i / 4;
  EXPECT_LT(Find(halves).mutual_information, 0.3);
}

TEST_F(Lobes, AreOfTheFeaturesThatOccurMost) {
  options_.max_features = 5;
  EXPECT_THAT(Find(Modulo(12, 3)).features, testing::SizeIs(5));
  options_.min_chunks = 1000;
  const FeatureLobes none = Find(Modulo(12, 3));
  EXPECT_THAT(none.by_direction, testing::IsEmpty());
  EXPECT_TRUE(std::isnan(none.mutual_information));
}

TEST(DirectionGeometry, AnglesOfKnownDirections) {
  const at::Tensor directions = at::tensor({2.0, 0.0, 0.0, 5.0, -1.0, 0.0}, at::kDouble).view({3, 2});
  const at::Tensor expected = at::tensor({1.0, 0.5, 0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 1.0}, at::kDouble).view({3, 3});
  EXPECT_TRUE(at::allclose(AngularSimilarity(directions), expected, 0, 1e-12));
}

TEST(DirectionGeometry, SlopeOfAPowerLaw) {
  const at::Tensor ranks = at::arange(1, 9, at::kDouble);
  EXPECT_NEAR(PowerLawSlope(3 * ranks.pow(-1.5)), -1.5, 1e-12);
  EXPECT_TRUE(std::isnan(PowerLawSlope(at::ones({1}))));
}

// As in the scikit-learn figures below.
at::Tensor EighteenPoints() {
  at::Tensor points = at::empty({18, 4}, at::kDouble);
  for (int64_t i = 0; i < 18; ++i) {
    for (int64_t j = 0; j < 4; ++j) {
      const double x = static_cast<double>(i), y = static_cast<double>(j);
      points[i][j] = std::sin(1 + 3 * x + 7 * y + x * y) + (j == 1 ? static_cast<double>(i % 3) : 0) +
                     (j == 0 ? 5 * std::sin(11 * x) : 0);
    }
  }
  return points;
}

TEST(DirectionGeometry, DiscriminantAndSilhouetteAreThoseOfScikitLearn) {
  const std::vector<int64_t> classes = Modulo(18, 3);
  const at::Tensor points = EighteenPoints();
  EXPECT_NEAR(Silhouette(points, classes), -0.08140048245775745, 1e-12);
  const at::Tensor coordinates = DiscriminantCoordinates(points, classes, 2);
  EXPECT_EQ(coordinates.size(1), 2);
  EXPECT_NEAR(Silhouette(coordinates, classes), 0.14997816423892493, 1e-10);
}

TEST(DirectionGeometry, ParallelogramsAppearOnceDistractorsAreRemoved) {
  // Words of four relations: second = first + relation, both with a long random component along one axis.
  at::Tensor words = Normal({80, 6}, 1);
  const at::Tensor relations = 3 * Normal({4, 6}, 2), distractor = Normal({80}, 3);
  std::vector<int64_t> classes = Modulo(40, 4);
  at::Tensor pairs = at::empty({40, 2}, at::kLong);
  for (int64_t i = 0; i < 40; ++i) {
    pairs[i][0] = 2 * i;
    pairs[i][1] = 2 * i + 1;
    words[2 * i + 1] = words[2 * i] + relations[classes[i]] + 0.2 * words[2 * i + 1];
  }
  words.select(1, 0) += 40 * distractor;
  const at::Tensor differences = DifferenceVectors(words, pairs);
  EXPECT_TRUE(at::equal(differences[1], words[3] - words[2]));
  EXPECT_LT(Silhouette(differences, classes), 0.3);
  EXPECT_GT(Silhouette(DiscriminantCoordinates(differences, classes, 3), classes), 0.7);
  // Shuffled relations have none.
  std::vector<int64_t> shuffled = classes;
  Random(5).Shuffle(shuffled);
  EXPECT_LT(Silhouette(DiscriminantCoordinates(differences, shuffled, 3), shuffled), 0.3);
}

TEST(DirectionGeometry, RefusesWhatHasNoClasses) {
  const at::Tensor points = Normal({4, 2}, 1);
  EXPECT_THROW(Silhouette(points, {0, 0, 0, 0}), c10::ValueError);
  EXPECT_THROW(Silhouette(points, {0, 1, 2, 3}), c10::ValueError);
  EXPECT_THROW(Silhouette(points, {0, 1}), c10::ValueError);
  EXPECT_THROW(DiscriminantCoordinates(at::ones({4, 2}), {0, 0, 1, 1}, 1), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
