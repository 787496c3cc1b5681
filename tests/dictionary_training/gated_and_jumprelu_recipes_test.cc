// Published recipes, from their own initialisation: they learn, and what they export is what they trained.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "server/dictionary/training/crosscoder_recipes.h"
#include "server/dictionary/training/gated_recipes.h"
#include "server/dictionary/training/jumprelu_recipes.h"
#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

constexpr int64_t kWidth = 16, kDirections = 24, kFeatures = 48, kRows = 256, kSteps = 600;

struct Trained {
  double first_fvu = 0, last_fvu = 0, last_l0 = 0;
};

// Sparse sums of directions, about two in a row; every step sees fresh rows.
class Toy {
 public:
  explicit Toy(int64_t width) : directions_(random_.Directions(kDirections, width)) {}
  at::Tensor Rows() {
    const at::Tensor present = random_.Uniform({kRows, kDirections}, 0, 1) < 2.0 / kDirections;
    return at::mm(random_.Uniform({kRows, kDirections}, 0.5, 1.5) * present, directions_);
  }

 private:
  RandomTensors random_{21};
  at::Tensor directions_;
};

// The recipe's own but for the warm-ups and the rate, which are made for long trainings.
Trained Train(const std::shared_ptr<const Objective>& objective, SaeTrainerOptions loop) {
  loop.schedule = {};
  loop.schedule.peak = 3e-3;
  loop.sparsity_warmup_steps = 50;
  SaeTrainer trainer(objective, loop);
  Toy toy(objective->input_dim());
  Trained result;
  for (int64_t step = 0; step < kSteps; ++step) {
    const at::Tensor rows = toy.Rows();
    const SaeStep done = trainer.Step({rows, rows});
    if (step == 0) result.first_fvu = done.fvu;
    result.last_fvu = done.fvu;
    result.last_l0 = done.l0;
  }
  const auto dictionary =
      MakeDictionary(objective->Export(trainer.parameters(), trainer.state()), at::kFloat, at::kCPU);
  // The dictionary on rows of the same kind.
  const at::Tensor rows = toy.Rows().to(at::kFloat);
  const at::Tensor acts = dictionary->Encode(rows);
  const at::Tensor error = rows - dictionary->Decode(acts, rows);
  const double fvu = (error.square().sum() / (rows - rows.mean(0)).square().sum()).item<double>();
  EXPECT_NEAR(fvu, result.last_fvu, 0.1);
  EXPECT_NEAR(static_cast<double>(acts.count_nonzero().item<int64_t>()) / kRows, result.last_l0,
              1 + 0.2 * result.last_l0);
  return result;
}

void ExpectLearnt(const Trained& trained, double fvu) {
  EXPECT_GT(trained.first_fvu, 2 * trained.last_fvu);
  EXPECT_LT(trained.last_fvu, fvu);
  // Rows have two directions.
  EXPECT_GT(trained.last_l0, 0.5);
  EXPECT_LT(trained.last_l0, 10);
}

TEST(GatedRecipes, Learn) {
  for (const GatedRecipe& recipe : {DictionaryLearningGated(kWidth, kFeatures), SaeLensGated(kWidth, kFeatures)}) {
    GatedOptions options = recipe.objective;
    options.sparsity_coefficient = 0.5;
    ExpectLearnt(Train(std::make_shared<GatedObjective>(options), recipe.loop), 0.1);
  }
}

TEST(JumpReluRecipes, Learn) {
  std::vector<JumpReluRecipe> recipes{GemmaScopeJumpRelu(kWidth, kFeatures),
                                      DictionaryLearningJumpRelu(kWidth, kFeatures), SaeLensJumpRelu(kWidth, kFeatures),
                                      AnthropicJumpRelu(kWidth, kFeatures, kSteps),
                                      BussmannJumpRelu(kWidth, kFeatures)};
  recipes[0].objective.sparsity_coefficient = 0.1;
  recipes[1].objective.l0_penalty.target_l0 = 2;
  recipes[2].objective.sparsity_coefficient = 0.1;
  recipes[3].objective.sparsity_coefficient = 0.1;
  recipes[4].objective.sparsity_coefficient = 0.003;
  for (JumpReluRecipe& recipe : recipes) {
    // Published thresholds and bandwidths are for trainings a thousand times as long.
    recipe.objective.initial_threshold = 0.1;
    recipe.objective.bandwidth = std::max(recipe.objective.bandwidth, 0.1);
    ExpectLearnt(Train(std::make_shared<JumpReluObjective>(recipe.objective), recipe.loop), 0.25);
  }
}

TEST(CrosscoderRecipes, Learn) {
  CrosscoderRecipe recipe = ModelDiffCrosscoder({kWidth / 2, kWidth / 2}, kFeatures, kSteps);
  recipe.objective.sparsity_coefficient = 0.3;
  ExpectLearnt(Train(std::make_shared<CrosscoderObjective>(recipe.objective), recipe.loop), 0.25);
}

}  // namespace
}  // namespace lifescope
