#include "server/training/sae_curve.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lifescope {
namespace {

SaeStep StepOf(double loss, double mse, double sparsity, int64_t dead, int64_t resampled) {
  return {loss, {{"sparsity", sparsity}, {"mse", mse}}, loss / 10, loss * 2, dead, resampled};
}

// 1000 steps are grouped by two.
SaeCurve ThreeSteps() {
  SaeCurve curve(1000);
  curve.Add(1, StepOf(4, 3, 10, 7, 0));
  curve.Add(2, StepOf(2, 1, 20, 5, 2));
  curve.Add(3, StepOf(1, 0.5, 5, 4, 3));
  return curve;
}

TEST(SaeCurve, HasAColumnForEveryTerm) {
  EXPECT_EQ(ThreeSteps().ToCsv(),
            "step,loss,term_mse,term_sparsity,fvu,l0,dead,resampled\n"
            "2,3,2,15,0.3,6,5,2\n"
            "3,1,0.5,5,0.1,2,4,3\n");
}

TEST(SaeCurve, RecentIsTheMeanOfTheLastWholeGroupAndWhatCameAfter) {
  const SaeStep recent = ThreeSteps().Recent();
  EXPECT_NEAR(recent.loss, 7.0 / 3, 1e-12);
  EXPECT_NEAR(recent.terms.at("mse"), 4.5 / 3, 1e-12);
  EXPECT_NEAR(recent.terms.at("sparsity"), 35.0 / 3, 1e-12);
  EXPECT_EQ(recent.dead_feature_count, 4);
  EXPECT_EQ(recent.resampled_feature_count, 5);
}

TEST(SaeCurve, RestoredCurveGoesOnToTheByte) {
  SaeCurve curve = ThreeSteps(), restored(1000);
  restored.Restore(curve.State());
  EXPECT_EQ(restored.ToCsv(), curve.ToCsv());
  for (SaeCurve* one : {&curve, &restored}) one->Add(4, StepOf(0.7, 0.3, 1, 0, 1));
  EXPECT_EQ(restored.ToCsv(), curve.ToCsv());

  SaeCurve empty(1000);
  restored.Restore(empty.State());
  EXPECT_EQ(restored.ToCsv(), "step,loss,fvu,l0,dead,resampled\n");
}

TEST(SaeCurve, TermsThatDoNotFitAreRefused) {
  SavedState state = ThreeSteps().State();
  state["term.mse"] = at::zeros({3}, at::kDouble);
  SaeCurve curve(1000);
  try {
    curve.Restore(state);
    FAIL() << "expected an error";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.msg(), testing::HasSubstr("term 'mse' has shape [3], expected [2]"));
  }
}

}  // namespace
}  // namespace lifescope
