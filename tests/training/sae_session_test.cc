#include "server/training/sae_session.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/dictionary/training/published_recipes.h"
#include "server/dictionary/training/relu_objective.h"
#include "server/training/activation_stream.h"
#include "tests/support/golden.h"
#include "tests/training/tiny_corpus.h"

namespace lifescope {
namespace {

class SaeSessionTest : public testing::Test {
 protected:
  SaeSessionTest() : corpus_(MakeTinyCorpus(TemporaryFolder() + "/corpus", 25)) {
    model_ = std::make_shared<const Transformer>(TinyShape(), InitializeWeights(TinyShape(), 3, 1));
    options_.batch_rows = 64;
    options_.buffer_rows = 200;
  }

  std::shared_ptr<ActivationStream> Source() const {
    ActivationStreamOptions options;
    options.buffer_rows = 200;
    options.batch_tokens = 100;
    return std::make_shared<ActivationStream>(
        std::vector<StreamedModel>{
            {model_, {HookPoint::Parse("blocks.0.hook_resid_post"), HookPoint::Parse("blocks.1.hook_resid_post")}}},
        corpus_, options);
  }

  SaePlan Plan(const std::string& name, std::vector<size_t> sites, uint64_t seed) const {
    ReluOptions objective;
    objective.input_dim = static_cast<int64_t>(sites.size()) * TinyShape().hidden_size;
    objective.feature_count = 24;
    objective.sparsity_coefficient = 0.01;
    SaeTrainerOptions trainer;
    trainer.seed = seed;
    SaePlan plan;
    plan.name = name;
    plan.objective = std::make_shared<ReluObjective>(objective);
    plan.options = trainer;
    plan.input_sites = plan.target_sites = std::move(sites);
    return plan;
  }

  std::shared_ptr<const Corpus> corpus_;
  std::shared_ptr<const Transformer> model_;
  SaeSessionOptions options_;
};

TEST_F(SaeSessionTest, EachDictionaryLearnsAsItWouldAlone) {
  SaeSession both(Source(), {Plan("a", {0}, 1), Plan("b", {1}, 2)}, options_);
  SaeSession alone(Source(), {Plan("b", {1}, 2)}, options_);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(both.Step()[1]->loss, alone.Step()[0]->loss);
  EXPECT_TRUE(at::equal(both.Export(1).tensors.at("W_enc"), alone.Export(0).tensors.at("W_enc")));
}

TEST_F(SaeSessionTest, RestoredSessionGoesOnToTheBit) {
  SaeSession session(Source(), {Plan("a", {0}, 1), Plan("b", {0, 1}, 2)}, options_);
  for (int i = 0; i < 5; ++i) session.Step();
  const SavedState state = session.State();
  SaeSession restored(Source(), {Plan("a", {0}, 1), Plan("b", {0, 1}, 2)}, options_);
  restored.Restore(state);
  EXPECT_EQ(restored.step_count(), 5);
  for (int i = 0; i < 9; ++i) {
    session.Step();
    restored.Step();
  }
  const SavedState expected = session.State(), actual = restored.State();
  ASSERT_EQ(expected.size(), actual.size());
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(at::equal(actual.at(name), tensor)) << name;
}

// A rate at which the second step overflows.
TEST_F(SaeSessionTest, OneThatDivergesIsStoppedAndTheOthersGoOn) {
  SaePlan bad = Plan("bad", {0}, 1);
  bad.options.schedule.peak = 1e30;
  SaeSession both(Source(), {bad, Plan("b", {1}, 2)}, options_);
  SaeSession alone(Source(), {Plan("b", {1}, 2)}, options_);
  double last_loss = 0;
  SavedState before;
  for (int64_t i = 1; i <= 6; ++i) {
    const SavedState state = both.State();
    const bool was_stopped = both.stop(0).has_value();
    const auto steps = both.Step();
    EXPECT_EQ(steps[1]->loss, alone.Step()[0]->loss);
    EXPECT_EQ(steps[0].has_value(), !both.stop(0));
    if (steps[0]) last_loss = steps[0]->loss;
    if (both.stop(0) && !was_stopped) {
      EXPECT_EQ(both.stop(0)->step, i);
      EXPECT_EQ(both.stop(0)->last_finite_loss, last_loss);
      before = state;
    }
  }
  ASSERT_TRUE(both.stop(0));
  EXPECT_FALSE(both.stop(1));
  EXPECT_FALSE(both.all_stopped());
  for (const auto& [name, tensor] : both.State()) {
    if (name.rfind("dictionary.bad.", 0) != 0 || name == "dictionary.bad.stopped_at") continue;
    EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
  }

  SaeSession restored(Source(), {bad, Plan("b", {1}, 2)}, options_);
  restored.Restore(both.State());
  ASSERT_TRUE(restored.stop(0));
  EXPECT_EQ(restored.stop(0)->step, both.stop(0)->step);
  EXPECT_EQ(restored.stop(0)->last_finite_loss, last_loss);
  const auto steps = restored.Step();
  EXPECT_FALSE(steps[0]);
  EXPECT_EQ(steps[1]->loss, both.Step()[1]->loss);
  restored.Restore(before);
  EXPECT_FALSE(restored.stop(0));
}

// A recipe by its name, over the first site.
SaePlan PlanOfRecipe(const std::string& base, const RecipeSettings& settings) {
  TrainingShape shape;
  shape.input_widths = {TinyShape().hidden_size};
  shape.feature_count = 24;
  shape.steps = 14;
  shape.batch_rows = 64;
  shape.seed = 5;
  const DictionaryTraining training = MakeTraining(base, shape, settings);
  SaePlan plan;
  plan.name = base;
  plan.objective = training.objective;
  plan.options = training.loop;
  plan.scale = ParseActivationScale(NormalisationOf(base));
  plan.input_sites = plan.target_sites = {0};
  return plan;
}

TEST_F(SaeSessionTest, ResamplingReadsAheadChangesNoOthersRowsAndResumesToTheBit) {
  // With so high a rate and penalty features die within steps.
  const auto plans = [&] {
    return std::vector<SaePlan>{
        PlanOfRecipe(
            "bricken/standard",
            {{"resample_every", 2}, {"resample_dead_after", 0}, {"learning_rate", 0.1}, {"sparsity_coefficient", 5}}),
        Plan("b", {1}, 2)};
  };
  SaeSession session(Source(), plans(), options_), alone(Source(), {Plan("b", {1}, 2)}, options_);
  SavedState middle;
  int64_t resampled = 0;
  for (int step = 0; step < 14; ++step) {
    if (step == 5) middle = session.State();
    const auto done = session.Step();
    const bool may_resample = step % 2 == 0 && step > 0 && step <= 8;
    EXPECT_TRUE(may_resample || done[0]->resampled_feature_count == 0) << step;
    if (step > 4) resampled += done[0]->resampled_feature_count;
    EXPECT_EQ(done[1]->loss, alone.Step()[0]->loss) << step;
  }
  EXPECT_GT(resampled, 0);
  SaeSession restored(Source(), plans(), options_);
  restored.Restore(middle);
  for (int step = 5; step < 14; ++step) restored.Step();
  const SavedState expected = session.State(), actual = restored.State();
  ASSERT_EQ(expected.size(), actual.size());
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(at::equal(actual.at(name), tensor)) << name;
}

TEST_F(SaeSessionTest, LayerNormIsTheExportedDictionarysOwn) {
  SaeSession session(Source(), {PlanOfRecipe("openai/topk", {{"k", 4}})}, options_);
  for (int i = 0; i < 3; ++i) session.Step();
  const DictionaryWeights weights = session.Export(0);
  EXPECT_EQ(weights.normalisation, Normalisation::kLayerNorm);
  const auto dictionary = MakeDictionary(weights, at::kDouble, at::kCPU);
  const at::Tensor x = Source()->Next(50).to(at::kDouble).narrow(1, 0, TinyShape().hidden_size);
  const at::Tensor mean = x.mean(1, true), deviation = x.std(1, /*unbiased=*/true, /*keepdim=*/true);
  const at::Tensor rows = ScaleRows(ActivationScale::kLayerNorm, 1, x);
  EXPECT_TRUE(at::allclose(rows, (x - mean) / (deviation + 1e-5)));
  DictionaryWeights plain = weights;
  plain.normalisation = Normalisation::kNone;
  const auto inner = MakeDictionary(plain, at::kDouble, at::kCPU);
  const at::Tensor acts = inner->Encode(rows);
  EXPECT_TRUE(at::allclose(dictionary->Encode(x), acts, 1e-9, 1e-9));
  EXPECT_TRUE(at::allclose(dictionary->Decode(acts, x), inner->Decode(acts, rows) * deviation + mean, 1e-9, 1e-9));
  SaePlan both = Plan("both", {0, 1}, 1);
  both.scale = ActivationScale::kLayerNorm;
  EXPECT_THROW(SaeSession(Source(), {both}, options_), c10::ValueError);
}

TEST_F(SaeSessionTest, CodebookIsExportedAsItIs) {
  SaeSession session(Source(), {PlanOfRecipe("codebook_features/aeloss", {{"k", 3}})}, options_);
  for (int i = 0; i < 3; ++i) session.Step();
  const DictionaryWeights weights = session.Export(0);
  EXPECT_EQ(weights.architecture, "codebook");
  EXPECT_TRUE(at::equal(weights.tensors.at("codes"),
                        session.State().at("dictionary.codebook_features/aeloss." + std::string(kDecoder))));
}

// The exported dictionary reads raw activations; the trainer saw them times the scale.
TEST_F(SaeSessionTest, ScaleIsFoldedIntoTheExportedDictionary) {
  SaeSession session(Source(), {Plan("one", {0}, 1), Plan("cross", {0, 1}, 1)}, options_);
  for (int i = 0; i < 3; ++i) session.Step();
  const at::Tensor raw = Source()->Next(50).to(at::kDouble);
  const int64_t width = TinyShape().hidden_size;
  for (const size_t plan : {size_t{0}, size_t{1}}) {
    const std::vector<double>& scales = session.scales(plan).input;
    const at::Tensor columns = at::cat(
        {at::full({width}, scales[0], at::kDouble), at::full({plan == 0 ? 0 : width}, scales.back(), at::kDouble)});
    const at::Tensor rows = raw.narrow(1, 0, columns.numel());
    const auto dictionary = MakeDictionary(session.Export(plan), at::kDouble, at::kCPU);
    const at::Tensor recon = dictionary->Decode(dictionary->Encode(rows), rows);

    const SavedState state = session.State();
    const std::string prefix = plan == 0 ? "dictionary.one." : "dictionary.cross.";
    const auto parameter = [&](const char* name) { return state.at(prefix + name).to(at::kDouble); };
    const at::Tensor scaled = rows * columns;
    const at::Tensor acts =
        at::relu(at::addmm(parameter(kEncoderBias), scaled - parameter(kDecoderBias), parameter(kEncoder).t()));
    const at::Tensor expected = at::addmm(parameter(kDecoderBias), acts, parameter(kDecoder)) / columns;
    EXPECT_GT(acts.count_nonzero().item<int64_t>(), 0);
    EXPECT_TRUE(at::allclose(recon, expected, 1e-9, 1e-9)) << plan;
  }
}

TEST_F(SaeSessionTest, WidthsThatAreNotThoseOfTheSitesAreRefused) {
  SaePlan plan = Plan("a", {0}, 1);
  plan.input_sites = {0, 1};
  try {
    SaeSession(Source(), {plan}, options_);
    FAIL() << "expected an error";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.msg(),
                testing::HasSubstr("a: reads 16 and writes 16 dimensions, expected those of its hook points, 32"));
  }
}

TEST(EstimateScaleTest, FollowsItsDefinition) {
  const at::Tensor rows = at::tensor({3.0, 4.0, 0.0, 1.0}).reshape({2, 2});
  EXPECT_EQ(EstimateScale(ActivationScale::kNone, rows), 1);
  EXPECT_NEAR(EstimateScale(ActivationScale::kUnitMeanSquare, rows), 1 / std::sqrt(13.0), 1e-15);
  EXPECT_NEAR(EstimateScale(ActivationScale::kSqrtWidth, rows), std::sqrt(2.0) / 3, 1e-15);
  EXPECT_THROW(EstimateScale(ActivationScale::kUnitMeanSquare, at::zeros({2, 2})), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
