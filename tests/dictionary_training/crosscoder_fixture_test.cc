// Crosscoders against their reference.
#include <gtest/gtest.h>

#include "server/dictionary/training/crosscoder_recipes.h"
#include "tests/dictionary_training/fixture.h"

namespace lifescope {
namespace {

FixtureCase TwoSites() {
  const Fixture fixture("crosscoder_2site");
  CrosscoderRecipe recipe =
      ModelDiffCrosscoder({fixture.input_dim(), fixture.input_dim()}, fixture.feature_count(), /*total_steps=*/100);
  recipe.objective.sparsity_coefficient = fixture.hyper()["l1_coeff"];
  recipe.loop.schedule = {fixture.hyper()["lr"]};
  recipe.loop.sparsity_warmup_steps = 0;
  return {"crosscoder_2site",
          {{kEncoder, "W_enc", true},
           {kEncoderBias, "b_enc", false},
           {kDecoder, "W_dec", false},
           {kDecoderBias, "b_dec", false}},
          std::make_shared<CrosscoderObjective>(recipe.objective),
          recipe.loop,
          {{"mse", "l2_loss"}, {"sparsity", "l1_loss"}}};
}

INSTANTIATE_TEST_SUITE_P(Crosscoder, TrainingFixture, Fixtures({{"crosscoder_2site", TwoSites}}), FixtureName);

}  // namespace
}  // namespace lifescope
