// What recipes make of a name, a shape and settings, and that every one of them trains.
#include "server/dictionary/training/published_recipes.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "tests/dictionary/random_tensors.h"

namespace lifescope {
namespace {

constexpr int64_t kWidth = 16, kFeatures = 64, kRows = 64;

TrainingShape ShapeOf(const std::string& recipe, int64_t steps) {
  const std::set<std::string> transcoders{"sparsify/transcoder", "sparsify/skip_transcoder",
                                          "transcoder_circuits/transcoder"};
  TrainingShape shape;
  shape.input_widths = {kWidth};
  if (recipe == "model_diff/crosscoder") shape.input_widths = {kWidth / 2, kWidth / 2};
  if (transcoders.count(recipe) > 0) shape.output_dim = kWidth + 2;
  shape.feature_count = kFeatures;
  shape.steps = steps;
  shape.batch_rows = kRows;
  return shape;
}

std::string ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const c10::ValueError& error) {
    return error.msg();
  }
  return "none";
}

// Sums of about two of 24 directions, and their linear image as the target of transcoders.
class Toy {
 public:
  TrainingRows Rows(int64_t output_dim) {
    const at::Tensor present = random_.Uniform({kRows, 24}, 0, 1) < 2.0 / 24;
    const at::Tensor input = at::mm(random_.Uniform({kRows, 24}, 0.5, 1.5) * present, directions_) + 0.1;
    if (output_dim == 0) return {input, input};
    return {input, input.mm(map_.narrow(1, 0, output_dim))};
  }

 private:
  RandomTensors random_{21};
  const at::Tensor directions_ = random_.Directions(24, kWidth), map_ = random_.Normal({kWidth, kWidth + 2});
};

class PublishedRecipe : public testing::TestWithParam<PublishedSaeRecipe> {};

TEST_P(PublishedRecipe, LearnsAndIsExported) {
  const std::string& name = GetParam().name;
  const TrainingShape shape = ShapeOf(name, 300);
  RecipeSettings settings{{"learning_rate", 3e-3}};
  const auto takes = [&](const char* setting, double value) {
    RecipeSettings with = settings;
    with[setting] = value;
    const std::string error = ErrorOf([&] { MakeTraining(name, shape, with); });
    if (error.find("has no ") == std::string::npos) settings = with;
  };
  takes("k", 4);
  takes("sparsity_coefficient", 1e-3);
  const DictionaryTraining training = MakeTraining(name, shape, settings);
  SaeTrainer trainer(training.objective, training.loop);
  Toy toy;
  double first = 0, last = 0;
  for (int64_t step = 0; step < shape.steps; ++step) {
    const double fvu = trainer.Step(toy.Rows(shape.output_dim)).fvu;
    if (step < 10) first += fvu / 10;
    if (step >= shape.steps - 10) last += fvu / 10;
  }
  EXPECT_LT(last, 0.7 * first);
  const auto dictionary =
      MakeDictionary(training.objective->Export(trainer.parameters(), trainer.state()), at::kDouble, at::kCPU);
  const TrainingRows rows = toy.Rows(shape.output_dim);
  const at::Tensor error = rows.target - dictionary->Decode(dictionary->Encode(rows.input), rows.input);
  const at::Tensor deviation = rows.target - rows.target.mean(0);
  EXPECT_LT((error.square().sum() / deviation.square().sum()).item<double>(), first);
}

INSTANTIATE_TEST_SUITE_P(All, PublishedRecipe, testing::ValuesIn(PublishedSaeRecipes()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
});

TEST(PublishedRecipes, ResamplingIsScaledToTheTraining) {
  TrainingShape shape = ShapeOf("bricken/standard", 2000);
  Resampling resampling = MakeTraining("bricken/standard", shape, {}).loop.resampling.value();
  EXPECT_EQ(resampling.every, 200);
  EXPECT_EQ(resampling.dead_after, 100);
  EXPECT_EQ(resampling.times, 4);
  EXPECT_EQ(resampling.rows, 819'200);
  shape.steps = 1'000'000;
  resampling = MakeTraining("bricken/standard", shape, {}).loop.resampling.value();
  EXPECT_EQ(resampling.every, 25'000);
  EXPECT_EQ(resampling.dead_after, 12'500);
  const RecipeSettings all{
      {"resample_every", 7}, {"resample_times", 2}, {"resample_dead_after", 3}, {"resample_rows", 11}};
  resampling = MakeTraining("bricken/standard", shape, all).loop.resampling.value();
  EXPECT_EQ(resampling.every, 7);
  EXPECT_EQ(resampling.times, 2);
  EXPECT_EQ(resampling.dead_after, 3);
  EXPECT_EQ(resampling.rows, 11);
  EXPECT_FALSE(MakeTraining("bricken/standard", shape, {{"resample_every", 0}}).loop.resampling.has_value());
}

TEST(PublishedRecipes, DictionaryLearningResamplesOnDemandAndBeginsItsRateAnew) {
  const std::string name = "dictionary_learning/standard";
  const TrainingShape shape = ShapeOf(name, 2000);
  EXPECT_FALSE(MakeTraining(name, shape, {}).loop.resampling.has_value());
  const SaeTrainerOptions loop = MakeTraining(name, shape, {{"resample_every", 500}}).loop;
  // The objective counts rows.
  EXPECT_EQ(loop.resampling.value().dead_after, 250 * kRows);
  EXPECT_EQ(loop.resampling.value().rows, 0);
  EXPECT_EQ(RateAt(loop.schedule, 1000), 0);
  EXPECT_EQ(RateAt(loop.schedule, 1999), loop.schedule.peak);
  const auto refused = [&](const RecipeSettings& settings) {
    return ErrorOf([&] { MakeTraining(name, shape, settings); });
  };
  const std::string expected = "with which the learning rate begins anew: expected more than warmup_steps, 100";
  EXPECT_THAT(refused({{"resample_every", 500}, {"decay_start", 1500}}), testing::HasSubstr(expected));
  EXPECT_THAT(refused({{"resample_every", 100}}), testing::HasSubstr(expected));
  EXPECT_THAT(refused({{"resample_every", -1}}), testing::HasSubstr("resampling every -1 steps"));
  EXPECT_THAT(ErrorOf([&] {
                MakeTraining("dictionary_learning/p_anneal", shape, {{"resample_every", 500}});
              }),
              testing::HasSubstr("has no resample_every"));
}

TEST(PublishedRecipes, ExponentsFallWithinTheTraining) {
  for (const std::string name : {"dictionary_learning/p_anneal", "dictionary_learning/gated_anneal"}) {
    const TrainingShape shape = ShapeOf(name, 40);
    const DictionaryTraining training = MakeTraining(name, shape, {{"penalty_exponent_end", 0.5}});
    SaeTrainer trainer(training.objective, training.loop);
    Toy toy;
    std::vector<int64_t> updates;
    for (int64_t step = 0; step < 40; ++step) {
      trainer.Step(toy.Rows(0));
      updates.push_back(trainer.state().at("annealing.updates").item<int64_t>());
    }
    EXPECT_EQ(updates[9], 0) << name;
    EXPECT_EQ(updates[10], 1) << name;
    EXPECT_EQ(updates[29], 9) << name;
    EXPECT_EQ(updates[30], 10) << name;
  }
}

TEST(PublishedRecipes, ExponentsThatCannotFallAreRefused) {
  for (const std::string name : {"dictionary_learning/p_anneal", "dictionary_learning/gated_anneal"}) {
    const TrainingShape shape = ShapeOf(name, 40);
    const auto error = [&](double start, double end) {
      return ErrorOf([&] { MakeTraining(name, shape, {{"anneal_start", start}, {"anneal_end", end}}); });
    };
    EXPECT_EQ(error(0, 40), "none") << name;
    EXPECT_THAT(error(20, 19), testing::HasSubstr("anneal_start is 20 and anneal_end 19, expected 0 <= anneal_start < "
                                                  "anneal_end <= steps, 40"))
        << name;
    for (const auto& [start, end] : std::vector<std::pair<double, double>>{{20, 20}, {-1, 20}, {20, 41}}) {
      EXPECT_THAT(error(start, end), testing::HasSubstr("expected 0 <= anneal_start")) << name << start << " " << end;
    }
  }
}

TEST(PublishedRecipes, PrefixesAreDrawnFromTheDictionarysSeed) {
  TrainingShape shape = ShapeOf("nabeshima/matryoshka", 100);
  const TrainingRows rows = Toy().Rows(0);
  const auto loss = [&](uint64_t seed) {
    shape.seed = seed;
    const auto objective = MakeTraining("nabeshima/matryoshka", shape, {}).objective;
    return objective->Evaluate(objective->Initialise(1), objective->InitialState(), rows, {}).loss;
  };
  EXPECT_EQ(loss(1), loss(1));
  EXPECT_NE(loss(1), loss(2));
  shape.seed = 2;
  EXPECT_EQ(MakeTraining("nabeshima/matryoshka", shape, {}).loop.seed, 2u);
}

TEST(PublishedRecipes, TheRateMayFallAlongCosines) {
  const TrainingShape shape = ShapeOf("saelens/topk", 100);
  const RecipeSettings settings{{"k", 4}, {"cosine_cycles", 2}, {"decay_start", -1}, {"learning_rate", 1}};
  const RateSchedule schedule = MakeTraining("saelens/topk", shape, settings).loop.schedule;
  EXPECT_DOUBLE_EQ(RateAt(schedule, 25), 0.55);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 50), 1);
  EXPECT_THAT(ErrorOf([&] {
                MakeTraining("saelens/topk", shape, {{"k", 4}, {"cosine_cycles", 200}});
              }),
              testing::HasSubstr("recipe 'saelens/topk': cycles is 200"));
}

TEST(PublishedRecipes, KOfTheRecipesThatHaveItIsAnnealed) {
  const TrainingShape shape = ShapeOf("sparsify/topk", 100);
  const auto selects = [&](const std::string& name, int64_t step) {
    const auto objective = MakeTraining(name, shape, {{"k", 4}, {"k_anneal_steps", 10}}).objective;
    Parameters parameters = objective->Initialise(1);
    parameters[kEncoderBias] += 100;  // All pre-activations are positive.
    return objective->Evaluate(parameters, objective->InitialState(), Toy().Rows(0), {step, 1}).figures.active_entries;
  };
  EXPECT_EQ(selects("sparsify/topk", 0), kFeatures * kRows);
  EXPECT_EQ(selects("dictionary_learning/topk", 0), kWidth * kRows);
  EXPECT_EQ(selects("dictionary_learning/batchtopk", 10), 4 * kRows);
  for (const char* name : {"saelens/topk", "sparsify/groupmax"}) {
    EXPECT_THAT(ErrorOf([&] { selects(name, 0); }), testing::HasSubstr("has no k_anneal_steps"));
  }
}

TEST(PublishedRecipes, NormalisationIsTheirs) {
  EXPECT_EQ(NormalisationOf("openai/topk"), "layer_norm");
  EXPECT_EQ(NormalisationOf("openai/relu"), "unit_mean_square");
  EXPECT_EQ(NormalisationOf("anthropic/tanh"), "sqrt_width");
  EXPECT_EQ(NormalisationOf("codebook_features/base"), "none");
}

}  // namespace
}  // namespace lifescope
