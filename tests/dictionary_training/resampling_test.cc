// Resampling against golden units/anthropic_resample and units/dl_resample, and within the trainer.
#include "server/dictionary/training/resampling.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "server/artifact/safetensors.h"
#include "server/dictionary/training/relu_recipes.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

double Allowed(const at::Tensor& expected) { return 1e-10 * expected.abs().max().item<double>(); }

TEST(Resampling, AsAnthropic) {
  const std::string folder = "sae/units/anthropic_resample";
  if (!HasGolden(folder)) GTEST_SKIP() << "the small golden set has no " << folder;
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath(folder + "/fixture.safetensors"));
  const auto rule = Resampling::Rule::kSquaredLoss;
  const at::Tensor weights = ResamplingWeights(rule, file.Read("in/loss"));
  const at::Tensor expected = file.Read("f64/probabilities");
  ExpectClose(weights / weights.sum(), expected, Allowed(expected), 0, "sae.resample.f64");

  const at::Tensor dead = (file.Read("in/fired_count") == 0).nonzero().select(1, 0);
  ASSERT_TRUE(at::equal(dead, file.Read("f64/dead_indices")));
  Parameters parameters{{kEncoder, file.Read("in/encoder_weight").clone()},
                        {kEncoderBias, at::ones({128}, at::kDouble)},
                        {kDecoder, at::ones({128, 32}, at::kDouble)}};
  std::map<std::string, AdamState> adam;
  for (const auto& [name, value] : parameters) adam[name] = {at::ones_like(value), at::ones_like(value), 7};
  const at::Tensor rows = file.Read("in/activations").index_select(0, file.Read("in/sampled_rows"));
  RestartFeatures(rule, dead, rows, parameters, adam);
  const auto compare = [&](const char* name, const at::Tensor& golden) {
    ExpectClose(parameters.at(name).index_select(0, dead), golden, Allowed(golden), 0, "sae.resample.f64");
  };
  compare(kEncoder, file.Read("f64/new_encoder_rows"));
  compare(kDecoder, file.Read("f64/new_decoder_columns").t());
  compare(kEncoderBias, file.Read("f64/new_encoder_bias"));
  EXPECT_EQ(adam.at(kEncoder).first_moment.sum().item<double>(), (128 - 21) * 32);
  EXPECT_EQ(adam.at(kDecoder).second_moment.sum().item<double>(), (128 - 21) * 32);
  EXPECT_EQ(adam.at(kEncoderBias).first_moment.sum().item<double>(), 128 - 21);
}

TEST(Resampling, AsDictionaryLearning) {
  const std::string folder = "sae/units/dl_resample";
  if (!HasGolden(folder)) GTEST_SKIP() << "the small golden set has no " << folder;
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath(folder + "/fixture.safetensors"));
  ReluRecipe recipe = DictionaryLearningStandard(32, 128);
  recipe.objective.sparsity_coefficient = 0.05;
  recipe.objective.dead.unit = DeadRule::Unit::kSteps;
  recipe.loop.schedule.warmup_steps = 2;
  recipe.loop.schedule.restart_every = 4;
  recipe.loop.sparsity_warmup_steps = 0;
  recipe.loop.dtype = at::kDouble;
  SaeTrainer trainer(std::make_shared<ReluObjective>(recipe.objective), recipe.loop);
  auto start = trainer.State();
  start[kEncoder] = file.Read("w0/encoder.weight");
  start[kEncoderBias] = file.Read("w0/encoder.bias");
  start[kDecoder] = file.Read("w0/decoder.weight").t();
  start[kDecoderBias] = file.Read("w0/bias");
  trainer.Restore(start);
  at::Tensor x;
  for (int64_t i = 0; i < 4; ++i) {
    x = file.Read("in/x")[i].to(at::kDouble);
    trainer.Step({x, x});
  }
  const auto compare = [&](const at::Tensor& actual, const at::Tensor& golden) {
    ExpectClose(actual, golden, 10 * Allowed(golden), 0, "sae.resample.f64");
  };
  Parameters parameters = trainer.parameters();
  compare(parameters.at(kDecoder), file.Read("f64/before/decoder.weight").t());
  compare(parameters.at(kEncoder), file.Read("f64/before/encoder.weight"));

  const at::Tensor dead = DeadFeatures({DeadRule::Unit::kSteps, 2, false, false}, trainer.state().at(kSinceFired));
  ASSERT_TRUE(at::equal(dead, file.Read("f64/dead_mask").nonzero().select(1, 0)));
  const at::Tensor acts =
      at::relu((x - parameters.at(kDecoderBias)).mm(parameters.at(kEncoder).t()) + parameters.at(kEncoderBias));
  const at::Tensor error = x - acts.mm(parameters.at(kDecoder)) - parameters.at(kDecoderBias);
  const auto rule = Resampling::Rule::kErrorNorm;
  compare(ResamplingWeights(rule, error.square().sum(1)), file.Read("f64/sampling_weights"));

  std::map<std::string, AdamState> adam;
  for (auto& [name, value] : parameters) {
    value = value.clone();
    adam[name] = LoadAdamState(name, trainer.State());
  }
  RestartFeatures(rule, dead, x.index_select(0, file.Read("in/sampled_batch_rows")), parameters, adam);
  compare(parameters.at(kEncoder), file.Read("f64/after/encoder.weight"));
  compare(parameters.at(kEncoderBias), file.Read("f64/after/encoder.bias"));
  compare(parameters.at(kDecoder), file.Read("f64/after/decoder.weight").t());
  compare(parameters.at(kDecoderBias), file.Read("f64/after/bias"));
  compare(adam.at(kEncoder).first_moment, file.Read("f64/adam_exp_avg_after/encoder.weight"));
  compare(adam.at(kEncoder).second_moment, file.Read("f64/adam_exp_avg_sq_after/encoder.weight"));
  compare(adam.at(kDecoder).first_moment, file.Read("f64/adam_exp_avg_after/decoder.weight").t());
  compare(adam.at(kDecoder).second_moment, file.Read("f64/adam_exp_avg_sq_after/decoder.weight").t());
  compare(adam.at(kEncoderBias).first_moment, file.Read("f64/adam_exp_avg_after/encoder.bias"));
  compare(adam.at(kDecoderBias).first_moment, file.Read("f64/adam_exp_avg_after/bias"));
}

TEST(Resampling, DrawsInProportionWithoutReplacement) {
  const at::Tensor weights = at::tensor({0.0, 1.0, 2.0, 5.0}, at::kDouble);
  std::vector<int64_t> first(4);
  const int64_t trials = 4000;
  for (int64_t step = 0; step < trials; ++step) {
    const at::Tensor drawn = DrawRows(weights, 2, /*seed=*/9, step);
    ASSERT_EQ(drawn.numel(), 2);
    ASSERT_NE(drawn[0].item<int64_t>(), drawn[1].item<int64_t>());
    ++first[drawn[0].item<int64_t>()];
  }
  EXPECT_EQ(first[0], 0);
  // Four standard deviations.
  EXPECT_NEAR(static_cast<double>(first[1]) / trials, 1.0 / 8, 0.021);
  EXPECT_NEAR(static_cast<double>(first[3]) / trials, 5.0 / 8, 0.031);
  EXPECT_TRUE(at::equal(DrawRows(weights, 2, 9, 17), DrawRows(weights, 2, 9, 17)));
  EXPECT_EQ(DrawRows(weights, 10, 9, 0).numel(), 3);
  EXPECT_EQ(DrawRows(at::zeros({3}, at::kDouble), 2, 9, 0).numel(), 0);
}

// A trainer whose features are dead from the start but for a few.
SaeTrainer TrainerWithTheDead() {
  ReluRecipe recipe = DictionaryLearningStandard(8, 24);
  recipe.objective.dead.unit = DeadRule::Unit::kSteps;
  recipe.loop.schedule.warmup_steps = 0;
  recipe.loop.seed = 5;
  recipe.loop.resampling = Resampling{Resampling::Rule::kErrorNorm, /*every=*/3, /*dead_after=*/1};
  SaeTrainer trainer(std::make_shared<ReluObjective>(recipe.objective), recipe.loop);
  auto state = trainer.State();
  state[kEncoderBias] = at::cat({at::zeros({4}), at::full({20}, -100.0)});
  trainer.Restore(state);
  return trainer;
}

at::Tensor Batch(int64_t step) {
  return at::sin(at::arange(0, 40 * 8, at::kDouble).mul(1.7).add(31.0 * static_cast<double>(step))).view({40, 8});
}

TEST(Resampling, RevivesInTheTrainerAndResumesToTheBit) {
  SaeTrainer through = TrainerWithTheDead(), resumed = TrainerWithTheDead();
  for (int64_t step = 0; step < 9; ++step) {
    const SaeStep done = through.Step({Batch(step), Batch(step)});
    EXPECT_EQ(done.resampled_feature_count, step == 3 ? 20 : 0) << step;
    if (step == 2) resumed.Restore(through.State());
    if (step > 2) resumed.Step({Batch(step), Batch(step)});
  }
  const auto expected = through.State(), actual = resumed.State();
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(at::equal(actual.at(name), tensor)) << name;
}

TEST(Resampling, TakesRowsOfTheCallersChoice) {
  SaeTrainer trainer = TrainerWithTheDead();
  for (int64_t step = 0; step < 3; ++step) trainer.Step({Batch(step), Batch(step)});
  const at::Tensor rows = at::cat({Batch(50), Batch(51)});
  EXPECT_EQ(trainer.Resample({rows, rows}), 20);
  const at::Tensor unit = rows.to(at::kFloat) / rows.to(at::kFloat).norm(2, 1, /*keepdim=*/true);
  const at::Tensor similarity = trainer.parameters().at(kDecoder).narrow(0, 4, 20).mm(unit.t());
  EXPECT_TRUE((std::get<0>(similarity.max(1)) > 1 - 1e-5).all().item<bool>());
}

TEST(Resampling, EndsAfterSoManyTimesAndLeavesTheRowsToTheOwner) {
  const Resampling resampling{Resampling::Rule::kSquaredLoss, /*every=*/3, /*dead_after=*/1, /*times=*/2, /*rows=*/50};
  std::vector<int64_t> steps;
  for (int64_t step = 0; step < 20; ++step) {
    if (ResamplesAfter(resampling, step)) steps.push_back(step);
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{3, 6}));
  ReluRecipe recipe = BrickenStandard(8, 24);
  recipe.loop.resampling = resampling;
  SaeTrainer trainer(std::make_shared<ReluObjective>(recipe.objective), recipe.loop);
  auto state = trainer.State();
  state[kEncoderBias] = at::cat({at::zeros({4}), at::full({20}, -100.0)});
  trainer.Restore(state);
  EXPECT_FALSE(trainer.WantsResampling());
  for (int64_t step = 0; step < 5; ++step) {
    EXPECT_EQ(trainer.Step({Batch(step), Batch(step)}).resampled_feature_count, 0);
    EXPECT_EQ(trainer.WantsResampling(), step == 3) << step;
    if (step == 3) {
      EXPECT_EQ(trainer.Resample({Batch(50), Batch(50)}), 20);
    }
  }
}

TEST(Resampling, IsRefusedWithoutADecoder) {
  ReluRecipe recipe = OpenAiRelu(8, 24);
  recipe.objective.tied = true;
  recipe.loop.resampling = Resampling{};
  const auto objective = std::make_shared<ReluObjective>(recipe.objective);
  EXPECT_THROW(SaeTrainer(objective, recipe.loop), c10::ValueError);
  recipe.loop.resampling.reset();
  recipe.loop.constraint.project_gradient = true;
  EXPECT_THROW(SaeTrainer(objective, recipe.loop), c10::ValueError);
  recipe.loop.constraint = {};
  SaeTrainer(objective, recipe.loop).Step({Batch(0), Batch(0)});
}

}  // namespace
}  // namespace lifescope
