#include "server/dictionary/baselines/fit_baseline.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "server/dictionary/files/saelens.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/dictionary_baselines/golden_baselines.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

RowSource SourceOf(const at::Tensor& rows, int64_t batch = 100) {
  auto next = std::make_shared<int64_t>(0);
  return [=] {
    const int64_t begin = *next;
    *next = std::min(rows.size(0), begin + batch);
    return begin < rows.size(0) ? rows.narrow(0, begin, *next - begin) : at::Tensor();
  };
}

BaselineOptions OptionsOf(const std::string& kind, int64_t k) {
  BaselineOptions options;
  options.kind = ParseBaselineKind(kind);
  options.k = k;
  return options;
}

std::shared_ptr<const Dictionary> DictionaryOf(const BaselineOptions& options, const at::Tensor& rows) {
  return MakeDictionary(FitBaseline(options, SourceOf(rows)).weights, at::kDouble, at::kCPU);
}

double Fvu(const at::Tensor& x, const at::Tensor& reconstruction) {
  return ((x - reconstruction).square().mean() / (x - x.mean(0)).square().mean()).item<double>();
}
double L0(const at::Tensor& codes) { return (codes > 0).sum(1).to(at::kDouble).mean().item<double>(); }

class BaselineParity : public GoldenBaselinesTest {
 protected:
  // Uncentred, as the reference is.
  static BaselineOptions Uncentred(const std::string& kind, int64_t k) {
    BaselineOptions options = OptionsOf(kind, k);
    options.is_centred = false;
    return options;
  }

  static void ExpectValues(const GoldenBaselines& golden, const Dictionary& dictionary, const std::string& entry) {
    const at::Tensor x = golden.x(), codes = dictionary.Encode(x);
    const auto expect = [&](double actual, const char* key) {
      std::string family = "sae.metrics.baselines.";
      family += entry + "." + key + ".f64";
      ExpectClose(at::scalar_tensor(actual, at::kDouble), at::scalar_tensor(golden.Value(entry, key), at::kDouble),
                  1e-12, 1e-9, family);
    };
    expect(Fvu(x, dictionary.Decode(codes, x)), "fvu");
    expect(L0(codes), "mean_l0");
  }
};

TEST_F(BaselineParity, PcaKeepsTheScoresOfTheReference) {
  const GoldenBaselines golden;
  const auto dictionary = DictionaryOf(Uncentred("pca", 6), golden.x());
  ExpectValues(golden, *dictionary, "pca_posneg_topk");
  ExpectValues(golden, *dictionary, "pca_topk_abs");
  // The sign of an eigenvector is arbitrary: with the other one, its two features change places.
  const at::Tensor expected = golden.Read("f64/pca_posneg_topk_codes"), codes = dictionary->Encode(golden.x());
  const at::Tensor sign =
      (dictionary->DecoderDirections().narrow(0, 0, 32) * golden.Read("f64/pca_dict")).sum(1).sign();
  const at::Tensor plus = codes.narrow(1, 0, 32), minus = codes.narrow(1, 32, 32);
  golden.ExpectClose(at::cat({at::where(sign > 0, plus, minus), at::where(sign > 0, minus, plus)}, 1),
                     "pca_posneg_topk_codes");
  golden.ExpectClose((plus - minus) * sign, "pca_topk_abs_codes");
}

TEST_F(BaselineParity, NeuronsAreThoseOfTheReference) {
  const GoldenBaselines golden;
  ExpectValues(golden, *DictionaryOf(Uncentred("neurons", 0), golden.x()), "identity_relu");
  ExpectValues(golden, *DictionaryOf(Uncentred("signed-neurons", 0), golden.x()), "identity_posneg");
}

TEST_F(BaselineParity, RandomDirectionsActAsInTheReference) {
  const GoldenBaselines golden;
  const at::Tensor directions = golden.Read("in/random_directions");
  const auto dictionary = MakeDictionary({"standard",
                                          {{"W_enc", directions.t()},
                                           {"W_dec", directions},
                                           {"b_enc", at::zeros({64}, at::kDouble)},
                                           {"b_dec", at::zeros({32}, at::kDouble)}}},
                                         at::kDouble, at::kCPU);
  golden.ExpectClose(dictionary->Encode(golden.x()), "random_relu_codes");
  ExpectValues(golden, *dictionary, "random_relu");
}

// Sparse combinations of directions, away from the origin.
at::Tensor Rows(int64_t count = 1500) {
  RandomTensors random(9);
  const at::Tensor directions = random.Directions(24, 12), is_active = random.Uniform({count, 24}, 0, 1) < 0.15;
  const at::Tensor values = random.Uniform({count, 24}, 0.5, 1.5) * is_active;
  return values.mm(directions) + random.Normal({count, 12}) * 0.05 + 3;
}

class EveryKind : public testing::TestWithParam<std::string> {
 protected:
  static BaselineOptions Options(int64_t k) { return OptionsOf(GetParam(), k); }
};

TEST_P(EveryKind, HasAsManyActiveFeaturesAsItIsTold) {
  const at::Tensor rows = Rows();
  for (const int64_t k : {2, 4}) {
    const auto dictionary = DictionaryOf(Options(k), rows);
    const at::Tensor codes = dictionary->Encode(rows);
    EXPECT_GE(codes.min().item<double>(), 0);
    if (GetParam() == "sparse-coding") {
      EXPECT_EQ(dictionary->architecture(), "sparse_coding");
      EXPECT_NEAR(L0(codes), static_cast<double>(k), 0.1 * static_cast<double>(k));
    } else {
      EXPECT_EQ(dictionary->architecture(), GetParam() == "nmf" ? "gradient_pursuit" : "topk");
      EXPECT_LE((codes > 0).sum(1).max().item<int64_t>(), k);
    }
  }
}

// All but random directions, of which more may be worse: they overlap.
class EveryFittedKind : public EveryKind {};

TEST_P(EveryFittedKind, ExplainsMoreWithMoreFeatures) {
  const at::Tensor rows = Rows();
  const auto fvu = [&](int64_t k) {
    const auto dictionary = DictionaryOf(Options(k), rows);
    return Fvu(rows, dictionary->Decode(dictionary->Encode(rows), rows));
  };
  const double few = fvu(2), more = fvu(5);
  EXPECT_LT(more, few);
  // The offset of NMF is far from the rows, so that 2 components explain less than the mean does.
  EXPECT_LT(GetParam() == "nmf" ? more : few, 1);
}

TEST_P(EveryKind, CanBeEncodedByGradientPursuit) {
  const at::Tensor rows = Rows();
  BaselineOptions options = Options(4);
  options.uses_gradient_pursuit = true;
  const auto dictionary = DictionaryOf(options, rows);
  EXPECT_EQ(dictionary->architecture(), "gradient_pursuit");
  const at::Tensor codes = dictionary->Encode(rows);
  EXPECT_LE((codes > 0).sum(1).max().item<int64_t>(), 4);
  const double fvu = Fvu(rows, dictionary->Decode(codes, rows));
  // The scale: rows that are predicted to be the offset.
  EXPECT_LT(fvu, Fvu(rows, dictionary->Decode(at::zeros_like(codes), rows)));
}

TEST_P(EveryKind, IsTheSameAfterWritingAndReading) {
  const at::Tensor rows = Rows();
  for (const bool uses_gradient_pursuit : {false, true}) {
    BaselineOptions options = Options(3);
    options.uses_gradient_pursuit = uses_gradient_pursuit;
    const FittedBaseline fitted = FitBaseline(options, SourceOf(rows));
    EXPECT_EQ(fitted.row_count, rows.size(0));
    const std::string folder = TemporaryFolder() + "/written";
    WriteSaeLens(folder, fitted.weights, {"a-model", "blocks.1.hook_resid_post"});
    const LoadedDictionary read = LoadSaeLens(folder, at::kDouble, at::kCPU);
    EXPECT_EQ(read.info.model, "a-model");
    EXPECT_EQ(read.dictionary->architecture(), fitted.weights.architecture);
    const auto made = MakeDictionary(fitted.weights, at::kDouble, at::kCPU);
    const at::Tensor codes = made->Encode(rows);
    EXPECT_TRUE(at::equal(read.dictionary->Encode(rows), codes));
    EXPECT_TRUE(at::equal(read.dictionary->Decode(codes, rows), made->Decode(codes, rows)));
  }
}

TEST_P(EveryKind, RepeatsItself) {
  const at::Tensor rows = Rows(600);
  const auto directions = [&] { return DictionaryOf(Options(3), rows)->DecoderDirections(); };
  const at::Tensor first = directions();
  EXPECT_TRUE(at::equal(first, directions()));
  EXPECT_LT((at::norm(first, 2, 1) - 1).abs().max().item<double>(), 1e-12);
}

TEST_P(EveryKind, RefusesRowsThatCannotBeFitted) {
  const auto fit = [&](const at::Tensor& rows) { FitBaseline(Options(2), SourceOf(rows)); };
  EXPECT_THROW(fit(at::empty({0, 4})), c10::ValueError);
  EXPECT_THROW(fit(at::full({20, 4}, std::nan(""))), c10::ValueError);
  EXPECT_THROW(fit(at::ones({20, 4}, at::kInt)), c10::ValueError);
  EXPECT_THROW(FitBaseline(Options(-1), SourceOf(Rows())), c10::ValueError);
  EXPECT_THROW(FitBaseline(Options(1000), SourceOf(Rows())), c10::ValueError);
}

std::string TestName(std::string kind) {
  std::replace(kind.begin(), kind.end(), '-', '_');
  return kind;
}

INSTANTIATE_TEST_SUITE_P(Baseline, EveryKind, testing::ValuesIn(BaselineKindNames()),
                         [](const auto& info) { return TestName(info.param); });

INSTANTIATE_TEST_SUITE_P(Baseline, EveryFittedKind,
                         testing::Values("neurons", "signed-neurons", "pca", "ica", "nmf", "sparse-coding"),
                         [](const auto& info) { return TestName(info.param); });

TEST(Baseline, IcaOfAllComponentsIsExact) {
  const at::Tensor rows = Rows();
  const auto dictionary = DictionaryOf(OptionsOf("ica", 0), rows);
  EXPECT_EQ(dictionary->architecture(), "standard");
  EXPECT_LT(Fvu(rows, dictionary->Decode(dictionary->Encode(rows), rows)), 1e-20);
}

TEST(Baseline, NmfWithoutKIsNonNegativeLeastSquares) {
  const at::Tensor rows = Rows();
  const auto dictionary = DictionaryOf(OptionsOf("nmf", 0), rows);
  EXPECT_EQ(dictionary->architecture(), "sparse_coding");
  // 12 components in 12 dimensions leave little out.
  EXPECT_LT(Fvu(rows, dictionary->Decode(dictionary->Encode(rows), rows)), 0.05);
}

TEST(Baseline, DirectionsLearntForSparseCodingFitSparseRowsBetterThanPrincipalOnes) {
  const at::Tensor rows = Rows(30000);
  const auto fvu = [&](const std::string& kind) {
    BaselineOptions options = OptionsOf(kind, 3);
    options.uses_gradient_pursuit = true;
    const auto dictionary = DictionaryOf(options, rows);
    return Fvu(rows, dictionary->Decode(dictionary->Encode(rows), rows));
  };
  EXPECT_LT(fvu("sparse-coding"), 0.8 * fvu("pca"));
}

TEST(Baseline, IsNamedOrRefused) {
  EXPECT_EQ(ParseBaselineKind("sparse-coding"), BaselineKind::kSparseCoding);
  try {
    ParseBaselineKind("kmeans");
    FAIL() << "was taken";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what(), HasSubstr("kind is 'kmeans', expected one of neurons, signed-neurons, random, pca"));
  }
}

}  // namespace
}  // namespace lifescope
