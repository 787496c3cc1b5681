// Schedules against golden units/schedules.json, step by step.
#include "server/dictionary/training/rate_schedule.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/dictionary/training/topk_recipes.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

class GoldenSchedules : public testing::Test {
 protected:
  void SetUp() override {
    if (!HasGolden("sae/units/schedules.json")) GTEST_SKIP() << "the small golden set has no schedules";
    json_ = nlohmann::json::parse(ReadFile(GoldenPath("sae/units/schedules.json")));
  }

  // What `value_at` gives for steps 0, 1, ... against the reference's values.
  template <typename ValueAt>
  void ExpectSteps(const nlohmann::json& golden, const ValueAt& value_at) {
    const auto expected = golden.get<std::vector<double>>();
    std::vector<double> actual;
    for (size_t step = 0; step < expected.size(); ++step) actual.push_back(value_at(static_cast<int64_t>(step)));
    ExpectClose(at::tensor(actual, at::kDouble), at::tensor(expected, at::kDouble), 1e-15, 1e-12, "sae.schedules");
  }

  nlohmann::json json_;
};

TEST_F(GoldenSchedules, DictionaryLearning) {
  for (const auto& golden : json_["dl_lr_schedule"]) {
    SCOPED_TRACE(golden["args"].dump());
    const nlohmann::json& args = golden["args"];
    RateSchedule schedule;
    schedule.peak = 0.5;
    schedule.total_steps = args["total_steps"];
    schedule.warmup_steps = args["warmup_steps"];
    schedule.decay_start = args.value("decay_start", -1);
    schedule.restart_every = args.value("resample_steps", 0);
    CheckSchedule(schedule);
    ExpectSteps(golden["multipliers"], [&](int64_t step) { return RateAt(schedule, step) / 0.5; });
  }
  for (const auto& golden : json_["dl_sparsity_warmup"]) {
    const nlohmann::json& steps = golden["sparsity_warmup_steps"];
    const int64_t warmup = steps.is_null() ? 0 : steps.get<int64_t>();
    ExpectSteps(golden["scale"], [&](int64_t step) { return SparsityScaleAt(warmup, step); });
  }
}

TEST_F(GoldenSchedules, SaeLens) {
  for (const auto& golden : json_["sae_lens_lr_scheduler"]) {
    SCOPED_TRACE(golden.dump());
    RateSchedule schedule;
    schedule.peak = golden["lr"];
    schedule.total_steps = golden["training_steps"];
    schedule.warmup = RateSchedule::Warmup::kLinearFromFirst;
    schedule.warmup_steps = golden["warm_up_steps"];
    const int64_t decay_steps = golden["decay_steps"];
    if (decay_steps > 0) schedule.decay_start = schedule.total_steps - decay_steps;
    if (golden["name"] != "constant") {
      schedule.course = RateSchedule::Course::kCosine;
      schedule.cosine_end = golden["lr_end"];
      schedule.cycles = golden["num_cycles"];
    }
    CheckSchedule(schedule);
    ExpectSteps(golden["lr_at_step"], [&](int64_t step) { return RateAt(schedule, step); });
  }
  for (const auto& golden : json_["sae_lens_coefficient_scheduler"]) {
    const double final_value = golden["final_value"];
    ExpectSteps(golden["value_used_at_step"],
                [&](int64_t step) { return final_value * SparsityScaleAt(golden["warm_up_steps"], step); });
  }
}

TEST_F(GoldenSchedules, Crosscoder) {
  const nlohmann::json& golden = json_["crosscoder_reference"];
  RateSchedule schedule;
  schedule.peak = 1;
  schedule.total_steps = golden["total_steps"];
  schedule.decay_start = schedule.total_steps * 4 / 5;
  ExpectSteps(golden["lr_multiplier"], [&](int64_t step) { return RateAt(schedule, step); });
  const double coefficient = golden["l1_coeff"];
  ExpectSteps(golden["l1"],
              [&](int64_t step) { return coefficient * SparsityScaleAt(schedule.total_steps / 20, step); });
}

TEST_F(GoldenSchedules, KOfDictionaryLearning) {
  for (const auto& golden : json_["dl_k_anneal"]) {
    SCOPED_TRACE(golden.dump());
    TopKSelection selection = DictionaryLearningTopK(golden["activation_dim"], 256).objective.selection;
    selection.k = golden["k"];
    selection.anneal_steps = golden["k_anneal_steps"];
    CheckSelection(selection, 256);
    ExpectSteps(golden["k_after_update_step"], [&](int64_t step) { return KAt(selection, step); });
  }
}

TEST_F(GoldenSchedules, KOfSparsify) {
  ASSERT_EQ(json_["sparsify_k_decay"]["formula"],
            "initial_k=min(num_latents, round(10*d_in)); k(step)=round(initial_k*(1-step/k_decay_steps)+"
            "k*step/k_decay_steps), k from k_decay_steps on");
  // That formula in Python, with halves in the first: 40 falls by 2.5 a step.
  const auto expect = [&](int64_t input_dim, int64_t features, double k, int64_t steps, const nlohmann::json& values) {
    TopKSelection selection = SparsifyTopK(input_dim, features).objective.selection;
    selection.k = k;
    selection.anneal_steps = steps;
    CheckSelection(selection, features);
    ExpectSteps(values, [&](int64_t step) { return KAt(selection, step); });
  };
  expect(4, 256, 10, 12, {40, 38, 35, 32, 30, 27, 25, 22, 20, 18, 15, 12, 10, 10});
  expect(32, 64, 8, 7, {64, 56, 48, 40, 32, 24, 16, 8, 8});
}

TEST_F(GoldenSchedules, DefaultRates) {
  for (const int64_t features : {512, 16'384, 131'072}) {
    const auto expect = [&](const char* name, const TopKRecipe& recipe) {
      // "2e-4/sqrt(... / 2^14)".
      const std::string formula = json_["default_lr"][name];
      ASSERT_NE(formula.find("/2^14)"), std::string::npos) << formula;
      const double expected = std::stod(formula) / std::sqrt(static_cast<double>(features) / 16'384);
      EXPECT_NEAR(recipe.loop.schedule.peak, expected, 1e-15 * expected) << name;
    };
    expect("dl_topk", DictionaryLearningTopK(64, features));
    expect("sparsify_adam", SparsifyTopK(64, features));
    expect("sparsify_signum", SparsifySignDescent(64, features));
  }
}

TEST(RateSchedule, RisesLinearlyFromZeroThenFallsToZero) {
  RateSchedule schedule;
  schedule.peak = 2;
  schedule.warmup_steps = 4;
  schedule.decay_start = 6;
  schedule.total_steps = 10;
  EXPECT_DOUBLE_EQ(RateAt(schedule, 0), 0);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 1), 0.5);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 4), 2);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 6), 2);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 8), 1);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 12), 0);
}

TEST(RateSchedule, RisesAlongACosineFromAShareOfThePeak) {
  RateSchedule schedule;
  schedule.peak = 7e-5;
  schedule.warmup_steps = 1000;
  schedule.warmup_from = 0.1;
  schedule.warmup = RateSchedule::Warmup::kCosine;
  EXPECT_DOUBLE_EQ(RateAt(schedule, 0), 7e-6);
  // (1 - cos 45 degrees) / 2 of the way.
  EXPECT_NEAR(RateAt(schedule, 250), 7e-5 * (0.1 + 0.9 * 0.1464466094067262), 1e-18);
  EXPECT_NEAR(RateAt(schedule, 500), 7e-5 * 0.55, 1e-18);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 1000), 7e-5);
}

TEST(RateSchedule, NamesTheFieldThatIsOutOfRange) {
  RateSchedule schedule;
  schedule.warmup_from = 1.5;
  EXPECT_THROW(CheckSchedule(schedule), c10::ValueError);
}

TEST(RateSchedule, RefusesWhatContradictsItself) {
  RateSchedule schedule;
  schedule.warmup_steps = 10;
  schedule.restart_every = 10;
  EXPECT_THROW(CheckSchedule(schedule), c10::ValueError);
  schedule.restart_every = 20;
  CheckSchedule(schedule);
  schedule.total_steps = 100;
  schedule.decay_start = 80;
  EXPECT_THROW(CheckSchedule(schedule), c10::ValueError);
  schedule.restart_every = 0;
  schedule.course = RateSchedule::Course::kCosine;
  schedule.cycles = 71;
  EXPECT_THROW(CheckSchedule(schedule), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
