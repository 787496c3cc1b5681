#include "server/evaluation/dictionary_similarity.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/evaluation/downstream_metrics.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

at::Tensor Normal(int64_t rows, int64_t width, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn({rows, width}, at::kDouble);
}

at::Tensor Scalar(double value) { return at::scalar_tensor(value, at::kDouble); }

void ExpectNear(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_TRUE(at::allclose(actual, expected, 0, 1e-12)) << actual << expected;
}

class SimilarityGolden : public testing::TestWithParam<at::ScalarType> {
 protected:
  bool is_double() const { return GetParam() == at::kDouble; }
  void Expect(const at::Tensor& actual, const at::Tensor& expected, const std::string& family) const {
    ExpectClose(actual, expected, is_double() ? 0 : 1e-5, is_double() ? 1e-9 : 0,
                "sae.metrics." + family + (is_double() ? ".f64" : ".f32"));
  }
};

TEST_P(SimilarityGolden, MmcsIsTheReference) {
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath("sae/metrics/mmcs/fixture.safetensors"));
  const nlohmann::json json = nlohmann::json::parse(ReadFile(GoldenPath("sae/metrics/mmcs/fixture.json")));
  const nlohmann::json& values = json["values"];
  const auto in = [&](const char* name) { return file.Read(name).to(GetParam()); };
  const at::Tensor truth = in("in/ground_truth"), a = in("in/learned_a"), b = in("in/learned_b");
  const at::Tensor found = MaxCosines(truth, a);
  Expect(MaxCosines(a, truth), file.Read("f64/mcs_learned_a_to_truth"), "mmcs");
  Expect(found, file.Read("f64/mcs_truth_to_learned_a"), "mmcs");
  Expect(MaxCosines(a, b), file.Read("f64/mcs_a_to_b"), "mmcs");
  Expect(Scalar(Mmcs(a, truth)), Scalar(values["mmcs_learned_to_truth"]), "mmcs");
  Expect(Scalar(Mmcs(truth, a)), Scalar(values["mmcs_truth_to_learned"]), "mmcs");
  // The reference's arguments are the other way round: this is the mean over b.
  Expect(Scalar(Mmcs(b, a)), Scalar(values["mmcs_a_to_b"]), "mmcs");
  EXPECT_EQ(found.gt(0.9).to(at::kDouble).mean().item<double>(), values["frac_truth_above_0_9"].get<double>());
  EXPECT_EQ(found.gt(0.95).to(at::kDouble).mean().item<double>(), values["frac_truth_above_0_95"].get<double>());
}

TEST_P(SimilarityGolden, CapacityAndReconstructionScoreAreTheReference) {
  const std::string folder = GoldenPath("sae/metrics/aisf_capacity_recon_score");
  const SafetensorsFile file = SafetensorsFile::Open(folder + "/fixture.safetensors");
  const at::Tensor rows = file.Read("in/learned_activations").to(GetParam()).select(1, 0);
  Expect(Capacities(rows), file.Read("f64/capacities")[0], "capacity");
  const auto loss = [&](const char* name) { return file.Read(name).to(GetParam()).sum().item<double>(); };
  const double score =
      LossRecovered("reconstruction_score", loss("in/loss_zero"), loss("in/loss_recon"), loss("in/loss_clean")).value;
  // The reference's score is of float32 losses.
  ExpectClose(Scalar(score), file.Read("f64/score")[0], 1e-5, 0, "sae.metrics.reconstruction_score");
}

INSTANTIATE_TEST_SUITE_P(Precision, SimilarityGolden, testing::Values(at::kFloat, at::kDouble),
                         [](const auto& info) { return info.param == at::kDouble ? "f64" : "f32"; });

TEST(MaxCosines, OfScaledAndShuffledRowsAreOne) {
  const at::Tensor a = Normal(700, 12, 1);  // more than one chunk
  const at::Tensor b = a.flip(0) * 3;
  ExpectNear(MaxCosines(a, b), at::ones({700}, at::kDouble));
  ExpectNear(GreedyMatchedCosines(a, b), at::ones({700}, at::kDouble));
  ExpectNear(MaxCosines(-a.narrow(0, 0, 1), a.narrow(0, 0, 1)), -at::ones({1}, at::kDouble));
}

TEST(MaxCosines, ZeroRowsAreLikeNothing) {
  EXPECT_EQ(MaxCosines(at::zeros({1, 4}), at::eye(4)).item<double>(), 0);
  EXPECT_THROW(MaxCosines(at::ones({1, 4}), at::ones({1, 5})), c10::ValueError);
  EXPECT_THROW(MaxCosines(at::ones({0, 4}), at::ones({1, 4})), c10::ValueError);
}

TEST(MaxCosinesWithin, LeaveTheRowItselfOut) {
  const at::Tensor a = Normal(530, 8, 2);
  const at::Tensor unit = a / a.norm(2, {1}, true);
  at::Tensor all = unit.mm(unit.t());
  all.fill_diagonal_(-9);
  ExpectNear(MaxCosinesWithin(a), all.amax(1));
}

// The definition: sort all pairs, take those whose rows are both free.
TEST(GreedyMatchedCosines, TakeTheBestFreePairs) {
  const at::Tensor a = Normal(23, 4, 3), b = Normal(31, 4, 4);
  const at::Tensor cosines = (a / a.norm(2, {1}, true)).mm((b / b.norm(2, {1}, true)).t());
  const at::Tensor order = cosines.flatten().argsort(0, /*descending=*/true);
  std::vector<bool> row(23), column(31);
  std::vector<double> expected;
  for (int64_t i = 0; i < order.size(0); ++i) {
    const int64_t pair = order[i].item<int64_t>(), r = pair / 31, c = pair % 31;
    if (row[r] || column[c]) continue;
    row[r] = column[c] = true;
    expected.push_back(cosines.flatten()[pair].item<double>());
  }
  ASSERT_EQ(expected.size(), 23u);
  ExpectNear(GreedyMatchedCosines(a, b), at::tensor(expected, at::kDouble));
  ExpectNear(GreedyMatchedCosines(b, a), at::tensor(expected, at::kDouble));
}

}  // namespace
}  // namespace lifescope
