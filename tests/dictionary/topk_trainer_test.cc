#include "server/dictionary/topk_trainer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/files/saelens.h"
#include "server/dictionary/topk_gradient.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

TopKTrainerOptions SmallOptions() {
  TopKTrainerOptions options;
  options.activation_dim = 6;
  options.feature_count = 20;
  options.k = 3;
  options.warmup_steps = 2;
  options.dead_after_rows = 40;
  return options;
}

// The loss as its definition says it, dense, for autograd.
at::Tensor DenseLoss(const TopKParameters& p, const TopKObjective& objective, const at::Tensor& x,
                     const at::Tensor& dead) {
  const auto keep = [](const at::Tensor& values, int64_t k) {
    const at::Tensor chosen = std::get<1>(values.topk(k, 1));
    return at::zeros_like(values).scatter(1, chosen, values.gather(1, chosen));
  };
  const at::Tensor pre = at::addmm(p.b_enc, x - p.b_dec, p.w_enc.t()).relu();
  const at::Tensor error = x - at::addmm(p.b_dec, keep(pre, objective.k), p.w_dec);
  const at::Tensor loss = error.square().sum(1).mean();
  if (dead.numel() == 0) return loss;
  const at::Tensor kept = keep(pre.index_select(1, dead), std::min(objective.k_aux, dead.numel()));
  const at::Tensor target = error.detach();
  const at::Tensor unexplained = target - kept.mm(p.w_dec.index_select(0, dead));
  const at::Tensor deviation = (target - target.mean(0)).square().sum(1).mean();
  return loss + objective.auxk_alpha * unexplained.square().sum(1).mean() / deviation;
}

void ExpectGradientIsAutograds(int64_t k_aux, int64_t dead_after_rows) {
  RandomTensors random(11);
  // Low biases leave rows with fewer than k positive pre-activations.
  TopKParameters p{random.Normal({20, 6}), random.Normal({20}) - 1.5, random.Directions(20, 6), random.Normal({6})};
  const at::Tensor x = random.Normal({16, 6});
  at::Tensor rows_since_fired = at::zeros({20}, at::kLong);
  rows_since_fired.narrow(0, 0, 8).fill_(1000);
  const TopKObjective objective{3, k_aux, 0.5, dead_after_rows};
  const TopKGradient actual = ComputeTopKGradient(p, objective, x, rows_since_fired);
  const at::Tensor dead = (actual.rows_since_fired >= dead_after_rows).nonzero().select(1, 0);
  EXPECT_EQ(dead.numel(), actual.result.dead_feature_count);

  for (at::Tensor* parameter : {&p.w_enc, &p.b_enc, &p.w_dec, &p.b_dec}) parameter->set_requires_grad(true);
  const at::Tensor loss = DenseLoss(p, objective, x, dead);
  loss.backward();
  EXPECT_NEAR(actual.result.loss, loss.item<double>(), 1e-12);
  ExpectClose(actual.parameters.w_enc, p.w_enc.grad(), 1e-12, 0, "sae.train.autograd.f64");
  ExpectClose(actual.parameters.b_enc, p.b_enc.grad(), 1e-12, 0, "sae.train.autograd.f64");
  ExpectClose(actual.parameters.w_dec, p.w_dec.grad(), 1e-12, 0, "sae.train.autograd.f64");
  ExpectClose(actual.parameters.b_dec, p.b_dec.grad(), 1e-12, 0, "sae.train.autograd.f64");
}

TEST(TopKGradient, IsAutogradsWithoutDeadFeatures) { ExpectGradientIsAutograds(4, 100'000); }
TEST(TopKGradient, IsAutogradsWithDeadFeatures) { ExpectGradientIsAutograds(2, 500); }
TEST(TopKGradient, IsAutogradsWithMoreAuxiliaryThanDeadFeatures) { ExpectGradientIsAutograds(19, 500); }

TEST(TopKGradient, FeatureCountsAsFiredOnlyAboveZero) {
  const TopKParameters p{at::zeros({4, 2}, at::kDouble), at::tensor({1., -1., 0., -2.}, at::kDouble),
                         at::ones({4, 2}, at::kDouble), at::zeros({2}, at::kDouble)};
  const TopKGradient gradient =
      ComputeTopKGradient(p, {3, 1, 0, 100}, at::ones({5, 2}, at::kDouble), at::full({4}, 7, at::kLong));
  EXPECT_TRUE(at::equal(gradient.rows_since_fired, at::tensor({0, 12, 12, 12}, at::kLong)));
  EXPECT_EQ(gradient.result.l0, 1);
}

TEST(LearningRate, RisesStaysAndFalls) {
  TopKTrainerOptions options;
  options.learning_rate = 1;
  options.warmup_steps = 4;
  options.decay_start = 12;
  options.total_steps = 20;
  const std::vector<double> expected{0, 0.25, 0.5,   0.75, 1,     1,   1,     1,    1,     1, 1,
                                     1, 1,    0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0, 0};
  for (size_t step = 0; step < expected.size(); ++step) {
    EXPECT_DOUBLE_EQ(LearningRate(options, static_cast<int64_t>(step)), expected[step]) << step;
  }
}

TEST(LearningRate, DefaultFallsWithTheRootOfTheWidth) {
  TopKTrainerOptions options;
  options.warmup_steps = 0;
  options.feature_count = 1 << 14;
  EXPECT_DOUBLE_EQ(LearningRate(options, 0), 2e-4);
  options.feature_count = 1 << 10;
  EXPECT_DOUBLE_EQ(LearningRate(options, 5), 8e-4);
}

TEST(TopKTrainer, SameSeedGivesTheSameWeights) {
  TopKTrainerOptions options = SmallOptions();
  const TopKTrainer a(options), b(options);
  options.seed = 1;
  const TopKTrainer c(options);
  EXPECT_TRUE(at::equal(a.parameters().at("encoder.weight"), b.parameters().at("encoder.weight")));
  EXPECT_FALSE(at::equal(a.parameters().at("encoder.weight"), c.parameters().at("encoder.weight")));
  EXPECT_TRUE(at::equal(a.parameters().at("encoder.weight"), a.parameters().at("decoder.weight").t()));
}

TEST(TopKTrainer, DirectionsHaveUnitNormAfterEveryStep) {
  TopKTrainer trainer(SmallOptions());
  RandomTensors random(5);
  for (int i = 0; i < 4; ++i) {
    trainer.Step(random.Normal({16, 6}, at::kFloat));
    const at::Tensor norms = at::norm(trainer.parameters().at("decoder.weight"), 2, 0);
    EXPECT_LT((norms - 1).abs().max().item<float>(), 1e-6);
  }
}

TEST(TopKTrainer, ResumesToTheBit) {
  RandomTensors random(3);
  std::vector<at::Tensor> batches;
  for (int i = 0; i < 10; ++i) batches.push_back(random.Normal({32, 6}, at::kFloat));
  TopKTrainer straight(SmallOptions()), first(SmallOptions());
  for (const at::Tensor& batch : batches) straight.Step(batch);
  for (int i = 0; i < 5; ++i) first.Step(batches[i]);
  const std::string path = TemporaryFolder() + "/trainer.safetensors";
  WriteSafetensors(path, first.State());

  TopKTrainerOptions options = SmallOptions();
  options.seed = 99;  // Everything that the seed decided is in the state.
  TopKTrainer resumed(options);
  const SafetensorsFile file = SafetensorsFile::Open(path);
  std::map<std::string, at::Tensor> state;
  for (const std::string& name : file.names()) state[name] = file.Read(name);
  resumed.Restore(state);
  EXPECT_EQ(resumed.step_count(), 5);
  for (int i = 5; i < 10; ++i) resumed.Step(batches[i]);

  const auto expected = straight.State(), actual = resumed.State();
  ASSERT_EQ(expected.size(), actual.size());
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(at::equal(tensor, actual.at(name))) << name;
}

TEST(TopKTrainer, StateIsACopy) {
  TopKTrainer trainer(SmallOptions());
  const auto state = trainer.State();
  const at::Tensor before = state.at("decoder.weight").clone();
  RandomTensors random(8);
  for (int i = 0; i < 3; ++i) trainer.Step(random.Normal({8, 6}, at::kFloat));
  EXPECT_TRUE(at::equal(state.at("decoder.weight"), before));
}

TEST(TopKTrainer, StateWithAFaultIsRefusedAndChangesNothing) {
  TopKTrainer trainer(SmallOptions());
  const auto good = trainer.State();
  for (const auto& [name, tensor] : good) {
    auto state = good;
    state["encoder.bias"] = at::ones({20});
    state.erase(name);
    try {
      trainer.Restore(state);
      ADD_FAILURE() << name << " was not missed";
    } catch (const c10::ValueError& error) {
      EXPECT_THAT(error.what(), HasSubstr("'" + name + "' is missing"));
    }
    state = good;
    state["encoder.bias"] = at::ones({20});
    state[name] = at::zeros({3, 3});
    EXPECT_THROW(trainer.Restore(state), c10::ValueError) << name;
  }
  EXPECT_TRUE(at::equal(trainer.parameters().at("encoder.bias"), at::zeros({20})));
}

TEST(TopKTrainer, BatchThatIsNotFiniteIsRefusedAndChangesNothing) {
  TopKTrainer trainer(SmallOptions());
  RandomTensors random(9);
  trainer.Step(random.Normal({8, 6}, at::kFloat));
  const auto before = trainer.State();
  at::Tensor rows = random.Normal({8, 6}, at::kFloat);
  rows[3][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(trainer.Step(rows), c10::ValueError);
  EXPECT_THROW(trainer.Step(at::zeros({8, 5})), c10::ValueError);
  EXPECT_THROW(trainer.Step(at::zeros({0, 6})), c10::ValueError);
  for (const auto& [name, tensor] : trainer.State()) EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
}

TEST(TopKTrainer, ConstantBatchIsLearnedByTheBias) {
  TopKTrainer trainer(SmallOptions());
  const TopKStep step = trainer.Step(at::full({8, 6}, 2.5));
  EXPECT_LT(step.reconstruction, 1e-10);
  EXPECT_TRUE(at::allclose(trainer.parameters().at("b_dec"), at::full({6}, 2.5)));
  for (const auto& [name, parameter] : trainer.parameters()) EXPECT_TRUE(at::isfinite(parameter).all().item<bool>());
}

TEST(TopKTrainer, OptionsOutOfRangeAreRefused) {
  const auto refused = [](auto change) {
    TopKTrainerOptions options = SmallOptions();
    change(options);
    EXPECT_THROW(TopKTrainer{options}, c10::ValueError);
  };
  refused([](auto& o) { o.activation_dim = 0; });
  refused([](auto& o) { o.feature_count = 0; });
  refused([](auto& o) { o.k = 0; });
  refused([](auto& o) { o.k = 21; });
  refused([](auto& o) { o.learning_rate = -1; });
  refused([](auto& o) { o.auxk_alpha = std::nan(""); });
  refused([](auto& o) { o.decay_start = 10; });
  refused([](auto& o) { o.gradient_clip = 0; });
  refused([](auto& o) { o.dtype = at::kHalf; });
}

TopKTrainer TrainedOnScaled(const at::Tensor& raw, double scale) {
  TopKTrainerOptions options = SmallOptions();
  options.dtype = at::kDouble;
  TopKTrainer trainer(options);
  for (int i = 0; i < 6; ++i) trainer.Step(raw * scale);
  return trainer;
}

TEST(TopKTrainer, FoldedDictionaryReadsRawActivations) {
  const double scale = 0.37;
  const at::Tensor raw = RandomTensors(13).Normal({64, 6}) * 4;
  const TopKTrainer trainer = TrainedOnScaled(raw, scale);
  const auto dictionary = [&](double s) { return MakeDictionary(trainer.Fold(s), at::kDouble, at::kCPU); };
  const auto scaled_dictionary = dictionary(1), raw_dictionary = dictionary(scale);
  const Dictionary &of_scaled = *scaled_dictionary, &of_raw = *raw_dictionary;
  const at::Tensor features = of_scaled.Encode(raw * scale), raw_features = of_raw.Encode(raw);
  ExpectClose(raw_features * scale, features, 1e-12, 0, "sae.fold.acts.f64");
  ExpectClose(of_raw.Decode(raw_features, raw) * scale, of_scaled.Decode(features, raw * scale), 1e-12, 0,
              "sae.fold.recon.f64");
  EXPECT_TRUE(at::equal(of_raw.DecoderDirections(), of_scaled.DecoderDirections()));
  EXPECT_THROW(trainer.Fold(0), c10::ValueError);
}

TEST(WriteSaeLens, ReadsBack) {
  const at::Tensor raw = RandomTensors(14).Normal({64, 6});
  const DictionaryWeights weights = TrainedOnScaled(raw, 2.0).Fold(2.0);
  const std::string folder = TemporaryFolder() + "/sae/layer1/";
  WriteSaeLens(folder, weights, {"small-model", "blocks.1.hook_resid_post"});
  const LoadedDictionary loaded = LoadSaeLens(folder, at::kDouble, at::kCPU);
  EXPECT_EQ(loaded.dictionary->architecture(), "topk");
  EXPECT_EQ(loaded.info.model, "small-model");
  EXPECT_EQ(loaded.info.hook_point, "blocks.1.hook_resid_post");
  const auto expected = MakeDictionary(weights, at::kDouble, at::kCPU);
  const at::Tensor acts = expected->Encode(raw);
  // The file is float32.
  ExpectClose(loaded.dictionary->Encode(raw), acts, 1e-6, 1e-6, "sae.export.acts.f64");
  ExpectClose(loaded.dictionary->Decode(acts, raw), expected->Decode(acts, raw), 1e-6, 1e-6, "sae.export.recon.f64");
}

TEST(WriteSaeLens, WritesWhatSaeLensWrites) {
  const std::string golden = GoldenPath("sae/files/saelens6/topk");
  const std::string folder = TemporaryFolder() + "/sae";
  WriteSaeLens(folder, TopKTrainer(SmallOptions()).Fold(1), {"m", "blocks.0.hook_resid_post"});
  const auto written = nlohmann::json::parse(ReadFile(folder + "/cfg.json"));
  const auto reference = nlohmann::json::parse(ReadFile(golden + "/cfg.json"));
  for (const auto& item : reference.items()) {
    ASSERT_TRUE(written.contains(item.key())) << item.key();
    EXPECT_EQ(written[item.key()].type(), item.value().type()) << item.key();
  }
  EXPECT_EQ(written.size(), reference.size());
  for (const auto& item : written["metadata"].items()) EXPECT_TRUE(reference["metadata"].contains(item.key()));
  // Without it, SAELens reads the file as one of before version 6.
  EXPECT_EQ(written["metadata"]["sae_lens_version"], reference["metadata"]["sae_lens_version"]);
  const SafetensorsFile tensors = SafetensorsFile::Open(folder + "/sae_weights.safetensors");
  EXPECT_THAT(tensors.names(), UnorderedElementsAre("W_enc", "W_dec", "b_enc", "b_dec"));
  for (const std::string& name : tensors.names()) EXPECT_EQ(tensors.Read(name).scalar_type(), at::kFloat);
  EXPECT_EQ(tensors.Read("W_enc").sizes(), at::IntArrayRef({6, 20}));
}

TEST(WriteSaeLens, NeverTouchesWhatIsThere) {
  const std::string parent = TemporaryFolder(), folder = parent + "/sae";
  const auto weights = TopKTrainer(SmallOptions()).Fold(1);
  WriteSaeLens(folder, weights, {"m", "blocks.0.hook_resid_post"});
  const std::string before = ReadFile(folder + "/cfg.json");
  EXPECT_THROW(WriteSaeLens(folder, weights, {"m", "blocks.0.hook_resid_post"}), c10::ValueError);
  EXPECT_EQ(ReadFile(folder + "/cfg.json"), before);
  EXPECT_THROW(WriteSaeLens(folder + "/cfg.json", weights, {"m", "p"}), c10::ValueError);
  int64_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(parent)) ++entries;
  EXPECT_EQ(entries, 1) << "a partial folder was left behind";
}

}  // namespace
}  // namespace lifescope
