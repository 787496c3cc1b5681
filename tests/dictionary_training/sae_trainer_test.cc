// What the training loop promises, whatever it trains; by a TopK objective.
#include "server/dictionary/training/sae_trainer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/dictionary/training/codebook_objective.h"
#include "server/dictionary/training/gated_recipes.h"
#include "server/dictionary/training/jumprelu_recipes.h"
#include "server/dictionary/training/relu_recipes.h"
#include "server/dictionary/training/topk_recipes.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

TopKRecipe SmallRecipe() {
  TopKRecipe recipe = DictionaryLearningTopK(6, 20);
  recipe.objective.selection.k = 3;
  recipe.objective.dead.after = 40;
  recipe.loop.schedule.warmup_steps = 2;
  recipe.loop.average_decay = 0.9;
  return recipe;
}

SaeTrainer MakeTrainer(const TopKRecipe& recipe) {
  return SaeTrainer(std::make_shared<TopKObjective>(recipe.objective), recipe.loop);
}

SaeStep Train(SaeTrainer& trainer, const at::Tensor& rows) { return trainer.Step({rows, rows}); }

TEST(SaeTrainer, SameSeedGivesTheSameWeights) {
  TopKRecipe recipe = SmallRecipe();
  const SaeTrainer a = MakeTrainer(recipe), b = MakeTrainer(recipe);
  recipe.loop.seed = 1;
  const SaeTrainer c = MakeTrainer(recipe);
  EXPECT_TRUE(at::equal(a.parameters().at(kEncoder), b.parameters().at(kEncoder)));
  EXPECT_FALSE(at::equal(a.parameters().at(kEncoder), c.parameters().at(kEncoder)));
  EXPECT_TRUE(at::equal(a.parameters().at(kEncoder), a.parameters().at(kDecoder)));
}

TEST(SaeTrainer, DirectionsHaveUnitNormAfterEveryStep) {
  SaeTrainer trainer = MakeTrainer(SmallRecipe());
  RandomTensors random(5);
  for (int i = 0; i < 4; ++i) {
    Train(trainer, random.Normal({16, 6}, at::kFloat));
    EXPECT_LT((trainer.parameters().at(kDecoder).norm(2, 1) - 1).abs().max().item<float>(), 1e-6);
  }
}

TEST(SaeTrainer, ResumesToTheBit) {
  RandomTensors random(3);
  std::vector<at::Tensor> batches;
  for (int i = 0; i < 10; ++i) batches.push_back(random.Normal({32, 6}, at::kFloat));
  for (const auto optimiser : {SaeTrainerOptions::Optimiser::kAdam, SaeTrainerOptions::Optimiser::kSignDescent}) {
    TopKRecipe recipe = SmallRecipe();
    recipe.loop.optimiser = optimiser;
    SaeTrainer straight = MakeTrainer(recipe), first = MakeTrainer(recipe);
    for (const at::Tensor& batch : batches) Train(straight, batch);
    for (int i = 0; i < 5; ++i) Train(first, batches[i]);
    const std::string path = TemporaryFolder() + "/trainer.safetensors";
    WriteSafetensors(path, first.State());

    recipe.loop.seed = 99;  // Everything that the seed decided is in the state.
    SaeTrainer resumed = MakeTrainer(recipe);
    const SafetensorsFile file = SafetensorsFile::Open(path);
    std::map<std::string, at::Tensor> state;
    for (const std::string& name : file.names()) state[name] = file.Read(name);
    resumed.Restore(state);
    EXPECT_EQ(resumed.step_count(), 5);
    for (int i = 5; i < 10; ++i) Train(resumed, batches[i]);

    const auto expected = straight.State(), actual = resumed.State();
    ASSERT_EQ(expected.size(), actual.size());
    for (const auto& [name, tensor] : expected) EXPECT_TRUE(at::equal(tensor, actual.at(name))) << name;
  }
}

TEST(SaeTrainer, StateIsACopy) {
  SaeTrainer trainer = MakeTrainer(SmallRecipe());
  const auto state = trainer.State();
  const at::Tensor before = state.at(kDecoder).clone();
  RandomTensors random(8);
  for (int i = 0; i < 3; ++i) Train(trainer, random.Normal({8, 6}, at::kFloat));
  EXPECT_FALSE(at::equal(trainer.parameters().at(kDecoder), before));
  EXPECT_TRUE(at::equal(state.at(kDecoder), before));
}

TEST(SaeTrainer, StateWithAFaultIsRefusedAndChangesNothing) {
  SaeTrainer trainer = MakeTrainer(SmallRecipe());
  const auto good = trainer.State();
  for (const auto& [name, tensor] : good) {
    auto state = good;
    state[kEncoderBias] = at::ones({20});
    state.erase(name);
    try {
      trainer.Restore(state);
      ADD_FAILURE() << name << " was not missed";
    } catch (const c10::ValueError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("'" + name + "' is missing"));
    }
    state = good;
    state[kEncoderBias] = at::ones({20});
    state[name] = at::zeros({3, 3});
    EXPECT_THROW(trainer.Restore(state), c10::ValueError) << name;
  }
  EXPECT_TRUE(at::equal(trainer.parameters().at(kEncoderBias), at::zeros({20})));
}

TEST(SaeTrainer, BatchThatIsNotFiniteIsRefusedAndChangesNothing) {
  SaeTrainer trainer = MakeTrainer(SmallRecipe());
  RandomTensors random(9);
  Train(trainer, random.Normal({8, 6}, at::kFloat));
  const auto before = trainer.State();
  at::Tensor rows = random.Normal({8, 6}, at::kFloat);
  rows[3][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(Train(trainer, rows), c10::ValueError);
  EXPECT_THROW(Train(trainer, at::zeros({8, 5})), c10::ValueError);
  EXPECT_THROW(Train(trainer, at::zeros({0, 6})), c10::ValueError);
  EXPECT_THROW(trainer.Step({at::zeros({8, 6}), at::zeros({7, 6})}), c10::ValueError);
  for (const auto& [name, tensor] : trainer.State()) EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
}

// Its loss is 0, and the slope of a square root there is not a number.
class RootOfNothing final : public Objective {
 public:
  DictionaryWidths widths() const override { return {6, 6, 4}; }
  Parameters Initialise(uint64_t) const override { return {{kDecoder, at::ones({4, 6}, at::kDouble)}}; }
  DifferentiableLoss Loss(const Parameters& p, const ObjectiveState& state, const TrainingRows&,
                          const TrainingContext&) const override {
    const at::Tensor& decoder = p.at(kDecoder);
    return {(decoder - decoder.detach()).abs().sqrt().sum(), {}, {}, state};
  }
  DictionaryWeights Export(const Parameters&, const ObjectiveState&) const override { return {}; }
};

TEST(SaeTrainer, GradientThatIsNotFiniteIsRefusedToo) {
  SaeTrainerOptions options;
  SaeTrainer trainer(std::make_shared<RootOfNothing>(), options);
  try {
    Train(trainer, at::ones({8, 6}));
    FAIL() << "expected an error";
  } catch (const DivergedError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("step 0: the summed gradient of decoder is "));
  }
  EXPECT_EQ(trainer.step_count(), 0);
  EXPECT_TRUE(at::equal(trainer.parameters().at(kDecoder), at::ones({4, 6})));
}

TEST(SaeTrainer, ConstantBatchIsLearnedByTheBias) {
  SaeTrainer trainer = MakeTrainer(SmallRecipe());
  const SaeStep step = Train(trainer, at::full({8, 6}, 2.5));
  EXPECT_LT(step.loss, 1e-10);
  EXPECT_TRUE(at::allclose(trainer.parameters().at(kDecoderBias), at::full({6}, 2.5)));
  for (const auto& [name, parameter] : trainer.parameters()) EXPECT_TRUE(at::isfinite(parameter).all().item<bool>());
}

TEST(SaeTrainer, MeanOfWeightsThatRestIsTheWeights) {
  TopKRecipe recipe = SmallRecipe();
  recipe.loop.schedule.warmup_steps = 1;  // The rate of the first step is 0.
  SaeTrainer trainer = MakeTrainer(recipe);
  EXPECT_THROW(trainer.AverageParameters(), c10::ValueError);
  Train(trainer, RandomTensors(4).Normal({8, 6}, at::kFloat));
  const Parameters means = trainer.AverageParameters();
  for (const auto& [name, parameter] : trainer.parameters()) {
    EXPECT_TRUE(at::allclose(means.at(name), parameter, 1e-6, 1e-7)) << name;
  }
}

// Steps of every family, each from the same weights: within the rounding of the encoder's operands (2^-9 of each), and
// not without.
TEST(SaeTrainer, Bfloat16StepsAreCloseToThoseOfFloat32) {
  const ReluRecipe relu = DictionaryLearningStandard(24, 60);
  const GatedRecipe gated = DictionaryLearningGated(24, 60);
  const JumpReluRecipe jumprelu = DictionaryLearningJumpRelu(24, 60);
  TopKRecipe topk = DictionaryLearningTopK(24, 60), batch = DictionaryLearningBatchTopK(24, 60);
  topk.objective.selection.k = batch.objective.selection.k = 6;
  const std::vector<std::pair<std::shared_ptr<const Objective>, SaeTrainerOptions>> trainings{
      {std::make_shared<ReluObjective>(relu.objective), relu.loop},
      {std::make_shared<GatedObjective>(gated.objective), gated.loop},
      {std::make_shared<JumpReluObjective>(jumprelu.objective), jumprelu.loop},
      {std::make_shared<TopKObjective>(topk.objective), topk.loop},
      {std::make_shared<TopKObjective>(batch.objective), batch.loop}};
  const at::Tensor rows = RandomTensors(6).Normal({300, 24}, at::kFloat);
  for (size_t i = 0; i < trainings.size(); ++i) {
    SCOPED_TRACE(i);
    auto [objective, options] = trainings[i];
    options.schedule = {};
    options.schedule.peak = 1e-3;
    options.sparsity_warmup_steps = 0;
    SaeTrainer full(objective, options);
    options.matmul = Matmul::kBfloat16;
    SaeTrainer half(objective, options);
    for (int step = 0; step < 5; ++step) {
      half.Restore(full.State());
      const SaeStep expected = Train(full, rows), actual = Train(half, rows);
      EXPECT_NEAR(actual.loss, expected.loss, 1e-2 * expected.loss);
      EXPECT_NEAR(actual.l0, expected.l0, 0.03 * expected.l0);
      EXPECT_NE(actual.loss, expected.loss);
    }
    // Parameters are not rounded.
    const at::Tensor& encoder = half.parameters().at(kEncoder);
    EXPECT_EQ(encoder.scalar_type(), at::kFloat);
    EXPECT_FALSE(at::equal(encoder, Operand(Matmul::kBfloat16, encoder)));
    EXPECT_LT((encoder - full.parameters().at(kEncoder)).norm().item<double>(), 0.02 * encoder.norm().item<double>());
  }
}

TEST(SaeTrainer, Bfloat16WantsFloat32AndAnEncoder) {
  TopKRecipe recipe = SmallRecipe();
  recipe.loop.matmul = Matmul::kBfloat16;
  recipe.loop.dtype = at::kDouble;
  try {
    MakeTrainer(recipe);
    FAIL() << "expected an error";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("matmul is bfloat16 and dtype Double, expected Float"));
  }
  CodebookOptions codebook;
  codebook.width = 6;
  codebook.code_count = 8;
  codebook.k = 2;
  SaeTrainerOptions options;
  options.matmul = Matmul::kBfloat16;
  EXPECT_THROW(SaeTrainer(std::make_shared<CodebookObjective>(codebook), options), c10::ValueError);
}

TEST(SaeTrainer, Bfloat16IsRefusedWhereEncoderAndDecoderAreTied) {
  ReluRecipe recipe = OpenAiReluTied(24, 60);
  const auto objective = std::make_shared<ReluObjective>(recipe.objective);
  EXPECT_NO_THROW(SaeTrainer(objective, recipe.loop));
  recipe.loop.matmul = Matmul::kBfloat16;
  try {
    SaeTrainer trainer(objective, recipe.loop);
    FAIL() << "expected an error";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("its encoder is the decoder as well and would be rounded"));
  }
}

TEST(SaeTrainer, ResamplingWhatIsNotFiniteIsADivergence) {
  const ReluRecipe recipe = BrickenStandard(6, 8);
  SaeTrainer trainer(std::make_shared<ReluObjective>(recipe.objective), recipe.loop);
  const at::Tensor rows = RandomTensors(6).Normal({8, 6}, at::kFloat);
  auto all_dead = trainer.State();
  all_dead.at(std::string("state.") + kSinceFired).fill_(recipe.loop.resampling->dead_after + 1);
  auto overflown = all_dead;
  overflown[kDecoder] = overflown.at(kDecoder).clone();
  overflown.at(kDecoder)[2].fill_(std::numeric_limits<float>::infinity());
  trainer.Restore(overflown);
  EXPECT_THROW(trainer.Resample({rows, rows}), DivergedError);
  trainer.Restore(all_dead);
  EXPECT_THROW(trainer.Resample({rows, rows * std::numeric_limits<float>::infinity()}), DivergedError);
  EXPECT_EQ(trainer.Resample({rows, rows}), 8);
}

TEST(SaeTrainer, OptionsOutOfRangeAreRefused) {
  const auto refused = [](void (*change)(SaeTrainerOptions&)) {
    TopKRecipe recipe = SmallRecipe();
    change(recipe.loop);
    EXPECT_THROW(MakeTrainer(recipe), c10::ValueError);
  };
  refused([](SaeTrainerOptions& o) { o.schedule.peak = -1; });
  refused([](SaeTrainerOptions& o) { o.schedule.decay_start = 10; });
  refused([](SaeTrainerOptions& o) { o.gradient_clip = -1; });
  refused([](SaeTrainerOptions& o) { o.sparsity_warmup_steps = -1; });
  refused([](SaeTrainerOptions& o) { o.average_decay = 1; });
  refused([](SaeTrainerOptions& o) { o.dtype = at::kHalf; });
}

}  // namespace
}  // namespace lifescope
