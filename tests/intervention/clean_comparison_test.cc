// Reads that compare an edited run with the clean one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

using testing::ElementsAre;

constexpr char kEdited[] = "blocks.1.hook_resid_post", kLater[] = "blocks.3.hook_resid_mid";

TEST(Shift, IsCosineAndRelativeLength) {
  lifescope::Run run = DeepRun();
  const int64_t shift = AddRead(&run, ShiftRead{Point(kLater)});
  const int64_t x = AddActivationRead(&run, kLater);
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kEdited)}, Add{{0.5}}, At({5}))});
  run.deterministic = false;
  const RunResult result = Execute(run, DeepModel());
  for (size_t d = 0; d < 3; ++d) {
    const DocumentResult& edited = result.interventions[0].documents[d];
    const at::Tensor a = TensorOf(edited, x), b = TensorOf(result.clean[d], x);
    const at::Tensor values = TensorOf(edited, shift);
    ASSERT_EQ(values.sizes(), at::IntArrayRef({a.size(0), 2}));
    for (int64_t i = 0; i < a.size(0); ++i) {
      const double norm_a = a[i].norm().item<double>(), norm_b = b[i].norm().item<double>();
      EXPECT_NEAR(values[i][0].item<double>(), a[i].dot(b[i]).item<double>() / (norm_a * norm_b), 1e-13);
      EXPECT_NEAR(values[i][1].item<double>(), norm_a / norm_b, 1e-13);
    }
    EXPECT_LT(values[5][0].item<double>(), 0.999);
  }
}

TEST(Shift, IsExactlyNoneWhereNothingChanged) {
  lifescope::Run run = DeepRun();
  const int64_t shift = AddRead(&run, ShiftRead{Point(kEdited)});
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kEdited)}, Scale{-2}, At({5}))});
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kEdited)}, Zero{}, At({5}))});
  const RunResult result = Execute(run, DeepModel());
  const at::Tensor none = at::ones({20, 2}, at::kDouble);
  EXPECT_TRUE(SameBits(TensorOf(result.clean[0], shift), none));
  const at::Tensor scaled = TensorOf(result.interventions[0].documents[0], shift);
  EXPECT_TRUE(SameBits(scaled.slice(0, 6), none.slice(0, 6)));
  EXPECT_NEAR(scaled[5][0].item<double>(), -1, 1e-15);
  EXPECT_EQ(scaled[5][1].item<double>(), 2);
  const at::Tensor zeroed = TensorOf(result.interventions[1].documents[0], shift);
  EXPECT_TRUE(std::isnan(zeroed[5][0].item<double>()));
  EXPECT_EQ(zeroed[5][1].item<double>(), 0);
}

TEST(Shift, OfAPersonSummaryHasOneRow) {
  lifescope::Run run = SmallRun();
  HeadDescription description;
  description.targets = {{"first", {"no", "yes"}}};
  run.heads = {{"heart", std::make_shared<const ClassifierHead>(
                             description, InitializeDecoder("attention", DecoderShape{16, 32, 3, 2}, 1))}};
  const int64_t shift = AddRead(&run, ShiftRead{Point("heads.heart.hook_person_summary")});
  const int64_t x = AddActivationRead(&run, "heads.heart.hook_person_summary");
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.0.hook_resid_post")}, Add{{0.5}})});
  const RunResult result = Execute(run, SmallModel());
  const DocumentResult& edited = result.interventions[0].documents[1];
  const at::Tensor a = TensorOf(edited, x)[0], b = TensorOf(result.clean[1], x)[0];
  ExpectNear(TensorOf(edited, shift), at::stack({a.dot(b) / (a.norm() * b.norm()), a.norm() / b.norm()}).unsqueeze(0),
             1e-5);
}

// A dense matrix [positions, 2 (clean, edited), features] of what a value lists; 0 elsewhere.
at::Tensor Dense(const FeatureChangeValue& value, int64_t features) {
  const int64_t rows = value.row_offsets.size(0) - 1;
  const at::Tensor dense = at::zeros({rows, 2, features}, at::kDouble);
  for (int64_t row = 0; row < rows; ++row) {
    int64_t before = -1;
    for (int64_t i = value.row_offsets[row].item<int64_t>(); i < value.row_offsets[row + 1].item<int64_t>(); ++i) {
      const int64_t feature = value.features[i].item<int64_t>();
      EXPECT_LT(before, feature);
      before = feature;
      dense[row][0][feature] = value.clean[i];
      dense[row][1][feature] = value.edited[i];
    }
  }
  return dense;
}

TEST(FeatureChange, ListsFeaturesThatMovedByMoreThanTheThreshold) {
  constexpr double kThreshold = 0.4;
  lifescope::Run run = DeepRun();
  run.dictionaries[0].hook_point = Point(kLater);
  const int64_t changes = AddRead(&run, FeatureChangeRead{0, kThreshold}, At({7, 5, 6}));
  const int64_t x = AddRead(&run, ActivationRead{Point(kLater)}, At({5, 6, 7}));
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kEdited)}, Add{{0.5}}, At({5}))});
  run.deterministic = false;
  const RunResult result = Execute(run, DeepModel());
  for (size_t d = 0; d < 3; ++d) {
    const DocumentResult& edited = result.interventions[0].documents[d];
    const auto& value = std::get<FeatureChangeValue>(ValueOf(edited, changes).value);
    EXPECT_THAT(value.positions, ElementsAre(5, 6, 7));
    const at::Tensor was = DeepDictionary().Encode(TensorOf(result.clean[d], x));
    const at::Tensor is = DeepDictionary().Encode(TensorOf(edited, x));
    const at::Tensor kept = (is - was).abs().gt(kThreshold);
    EXPECT_TRUE(kept.any().item<bool>());
    EXPECT_FALSE(kept.logical_or(is.eq(was)).all().item<bool>());
    ExpectNear(Dense(value, 24), at::stack({was * kept, is * kept}, 1), 1e-13);
    EXPECT_EQ(std::get<FeatureChangeValue>(ValueOf(result.clean[d], changes).value).features.size(0), 0);
  }
}

TEST(FeatureChange, OfThresholdZeroSeesOnlyRowsThatChanged) {
  lifescope::Run run = DeepRun();
  const int64_t changes = AddRead(&run, FeatureChangeRead{0, 0});
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kEdited)}, Add{{0.5}}, At({5, 8}))});
  const RunResult result = Execute(run, DeepModel());
  const auto& value = std::get<FeatureChangeValue>(ValueOf(result.interventions[0].documents[0], changes).value);
  for (int64_t row = 0; row < 20; ++row) {
    const bool changed = value.row_offsets[row].item<int64_t>() < value.row_offsets[row + 1].item<int64_t>();
    EXPECT_EQ(changed, row == 5 || row == 8) << row;
  }
}

TEST(ReconstructionError, IsRelativeToTheSpreadOfTheCleanDocument) {
  lifescope::Run run = DeepRun();
  const int64_t error = AddRead(&run, ReconstructionErrorRead{0}, At({5, 8}));
  const int64_t x = AddActivationRead(&run, kEdited);
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.0.hook_resid_post")}, Add{{2}}, At({5}))});
  run.deterministic = false;
  const RunResult result = Execute(run, DeepModel());
  for (size_t d = 0; d < 3; ++d) {
    const at::Tensor mean = TensorOf(result.clean[d], x).mean(0);
    for (const DocumentResult* document : {&result.clean[d], &result.interventions[0].documents[d]}) {
      const at::Tensor rows = TensorOf(*document, x);
      std::vector<double> expected;
      for (const int64_t i : {5, 8}) {
        const at::Tensor row = rows.narrow(0, i, 1);
        const at::Tensor back = DeepDictionary().Decode(DeepDictionary().Encode(row), row);
        expected.push_back(((row - back).square().sum() / (row - mean).square().sum()).item<double>());
      }
      ExpectNear(TensorOf(*document, error), at::tensor(expected, at::kDouble), 1e-12);
    }
  }
}

}  // namespace
}  // namespace lifescope
