#include "server/command/sae_recipe.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace lifescope {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const c10::ValueError& error) {
    return error.msg();
  }
  return "none";
}

const std::vector<ActivationSite> kSites{{"blocks.0.hook_resid_post", 16}, {"blocks.1.hook_mlp_out", 12}};

v1::SaeRecipe RecipeOf(const std::string& base, const std::vector<std::string>& fields) {
  v1::SaeRecipe recipe;
  recipe.add_dictionaries()->set_base(base);
  recipe.mutable_dictionaries(0)->set_features(64);
  SetDictionaryFields(fields, recipe);
  CompleteSaeRecipe("one", kSites[0].name, recipe);
  return recipe;
}

SaePlan PlanOf(const std::string& base, const std::vector<std::string>& fields) {
  return PlansOf(RecipeOf(base, fields), kSites).at(0);
}

TEST(SaeRecipe, EveryNumberIsASettingOfSomeBase) {
  using Field = google::protobuf::FieldDescriptor;
  const auto* descriptor = v1::SaeDictionaryRecipe::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const Field* field = descriptor->field(i);
    if (field->cpp_type() != Field::CPPTYPE_DOUBLE && field->cpp_type() != Field::CPPTYPE_INT64) continue;
    const std::string& name = field->name();
    // Room for the largest k, four times. The setting that another needs comes with it.
    std::vector<std::string> assignments{"features=512", name + "=1"};
    if (name == "cosine_end") assignments.emplace_back("cosine_cycles=1");
    std::string word(" ");
    word += name;
    word += ' ';
    bool taken = false;
    for (const PublishedSaeRecipe& recipe : PublishedSaeRecipes()) {
      // A value that is refused as such was read too; a field that a recipe lacks is what it "has no".
      const std::string error = ErrorOf([&] { PlanOf(recipe.name, assignments); });
      const bool refused = error.find(word) != std::string::npos && error.find("has no ") == std::string::npos;
      taken = taken || error == "none" || refused;
    }
    EXPECT_TRUE(taken) << name;
  }
}

TEST(SaeRecipe, ResamplingIsSetByItsFields) {
  const SaePlan plan = PlanOf("bricken/standard", {"resample_every=30", "resample_times=2", "resample_rows=500"});
  ASSERT_TRUE(plan.options.resampling.has_value());
  EXPECT_EQ(plan.options.resampling->every, 30);
  EXPECT_EQ(plan.options.resampling->dead_after, 15);
  EXPECT_EQ(plan.options.resampling->times, 2);
  EXPECT_EQ(plan.options.resampling->rows, 500);
  EXPECT_THAT(ErrorOf([] { PlanOf("dictionary_learning/topk", {"resample_every=30"}); }),
              HasSubstr("has no resample_every"));
}

TEST(SaeRecipe, NormalisationIsTheBases) {
  EXPECT_EQ(PlanOf("openai/topk", {}).scale, ActivationScale::kLayerNorm);
  EXPECT_EQ(PlanOf("openai/topk", {"normalisation='none'"}).scale, ActivationScale::kNone);
  EXPECT_EQ(PlanOf("codebook_features/base", {"k=4"}).scale, ActivationScale::kNone);
  EXPECT_THAT(ErrorOf([] { PlanOf("codebook_features/base", {"normalisation='sqrt_width'"}); }),
              HasSubstr("dictionary 'one': normalisation is sqrt_width, expected none"));
}

TEST(SaeRecipe, TranscodersPredictAnotherHookPoint) {
  const std::string predicts = "predicts='" + kSites[1].name + "'";
  for (const char* base : {"sparsify/transcoder", "sparsify/skip_transcoder", "transcoder_circuits/transcoder"}) {
    const SaePlan plan = PlanOf(base, {predicts});
    EXPECT_EQ(plan.objective->input_dim(), 16) << base;
    EXPECT_EQ(plan.objective->output_dim(), 12) << base;
    EXPECT_THAT(ErrorOf([&] { PlanOf(base, {}); }), HasSubstr("predicts none; expected one of each"));
  }
  EXPECT_THAT(ErrorOf([&] { PlanOf("openai/topk", {predicts}); }), HasSubstr("predicts another"));
}

TEST(SaeRecipe, ADictionaryHasTheSeedOfItsOwnOrOfTheRecipe) {
  EXPECT_EQ(PlanOf("openai/topk", {"seed=9"}).options.seed, 9u);
  v1::SaeRecipe recipe = RecipeOf("openai/topk", {});
  recipe.mutable_dictionaries(0)->clear_seed();
  recipe.set_seed(4);
  CompleteSaeRecipe("one", kSites[0].name, recipe);
  EXPECT_EQ(PlansOf(recipe, kSites).at(0).options.seed, 4u);
}

}  // namespace
}  // namespace lifescope
