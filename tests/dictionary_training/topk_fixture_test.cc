// TopK dictionaries against their references.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/dictionary/training/topk_recipes.h"
#include "tests/dictionary_training/fixture.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

const std::vector<NamedParameter> kDlMatryoshka{{kEncoder, "W_enc", true},
                                                {kEncoderBias, "b_enc", false},
                                                {kDecoder, "W_dec", false},
                                                {kDecoderBias, "b_dec", false}};
const std::vector<NamedParameter> kDictionaryLearning{{kEncoder, "encoder.weight", false},
                                                      {kEncoderBias, "encoder.bias", false},
                                                      {kDecoder, "decoder.weight", true},
                                                      {kDecoderBias, "b_dec", false}};
const std::vector<NamedParameter> kSaeLens = kDlMatryoshka;
const std::vector<NamedParameter> kBussmann{
    {kEncoder, "W_enc", true}, {kDecoder, "W_dec", false}, {kDecoderBias, "b_dec", false}};
const std::vector<NamedParameter> kOpenAi{{kEncoder, "encoder.weight", false},
                                          {kEncoderBias, "latent_bias", false},
                                          {kDecoder, "decoder.weight", true},
                                          {kDecoderBias, "pre_bias", false}};
const std::vector<NamedParameter> kSparsify{{kEncoder, "encoder.weight", false},
                                            {kEncoderBias, "encoder.bias", false},
                                            {kDecoder, "W_dec", false},
                                            {kDecoderBias, "b_dec", false}};

// What every fixture says of its own run.
FixtureCase CaseOf(const Fixture& fixture, const std::string& name, const std::vector<NamedParameter>& parameters,
                   TopKRecipe recipe) {
  const nlohmann::json& hyper = fixture.hyper();
  recipe.objective.selection.k = hyper["k"];
  recipe.loop.schedule.peak = hyper["lr"];
  FixtureCase result;
  result.name = name;
  result.parameters = parameters;
  result.inference_differs = recipe.objective.selection.over == TopKSelection::Over::kBatch;
  result.objective = std::make_shared<TopKObjective>(recipe.objective);
  result.options = recipe.loop;
  return result;
}

using Recipe = TopKRecipe (*)(int64_t input_dim, int64_t feature_count);

FixtureCase Dl(const std::string& name, const std::vector<NamedParameter>& parameters, Recipe recipe_of) {
  const Fixture fixture(name);
  const nlohmann::json& hyper = fixture.hyper();
  TopKRecipe recipe = recipe_of(fixture.input_dim(), fixture.feature_count());
  recipe.objective.threshold.decay = hyper["threshold_beta"];
  recipe.objective.threshold.after_step = hyper["threshold_start_step"];
  if (hyper.contains("group_fractions")) {
    recipe.objective.prefixes.fixed = DictionaryLearningPrefixes(hyper["group_fractions"], fixture.feature_count());
  }
  recipe.loop.schedule.warmup_steps = hyper["warmup_steps"];
  FixtureCase result = CaseOf(fixture, name, parameters, recipe);
  result.terms = {{"reconstruction", "l2_loss"}, {"auxiliary", "auxk_loss"}};
  result.initial_state = {{kSinceFired, fixture.file().Read("in/num_tokens_since_fired0")}};
  result.state = {{kSinceFired, "num_tokens_since_fired"}, {kInferenceThreshold, "threshold"}};
  return result;
}

FixtureCase DlTopK() { return Dl("dl_topk_auxk", kDictionaryLearning, DictionaryLearningTopK); }
FixtureCase DlBatchTopK() { return Dl("dl_batchtopk_auxk", kDictionaryLearning, DictionaryLearningBatchTopK); }
FixtureCase DlMatryoshka() { return Dl("dl_matryoshka_batchtopk", kDlMatryoshka, DictionaryLearningMatryoshka); }

FixtureCase Sl(const std::string& name, TopKRecipe recipe) {
  const Fixture fixture(name);
  const nlohmann::json& hyper = fixture.hyper();
  recipe.objective.auxk.coefficient = hyper["aux_loss_coefficient"];
  if (hyper.contains("topk_threshold_lr")) {
    recipe.objective.threshold.decay = 1 - hyper["topk_threshold_lr"].get<double>();
  }
  FixtureCase result = CaseOf(fixture, name, kSaeLens, recipe);
  result.initial_state = {{kSinceFired, fixture.file().Read("in/n_forward_passes_since_fired0").to(at::kLong)}};
  result.state = {{kSinceFired, "n_forward_passes_since_fired"}, {kFireCount, "act_freq_scores"}};
  if (hyper.contains("topk_threshold_lr")) result.state[kInferenceThreshold] = "topk_threshold";
  return result;
}

FixtureCase SlTopK() {
  FixtureCase result = Sl("sl_topk_aux", SaeLensTopK(32, 128));
  result.terms = {{"reconstruction", "mse_loss"}};
  return result;
}
FixtureCase SlBatchTopK() {
  FixtureCase result = Sl("sl_batchtopk_aux", SaeLensBatchTopK(32, 128));
  result.terms = {{"reconstruction", "mse_loss"}};
  return result;
}
FixtureCase SlMatryoshka() {
  return Sl("sl_matryoshka_batchtopk",
            SaeLensMatryoshka(32, 128, Fixture("sl_matryoshka_batchtopk").hyper()["matryoshka_widths"]));
}

FixtureCase Bussmann(const std::string& name, TopKRecipe recipe) {
  const Fixture fixture(name);
  recipe.objective.auxk.k = fixture.hyper()["top_k_aux"];
  FixtureCase result = CaseOf(fixture, name, kBussmann, recipe);
  result.terms = {{"reconstruction", "l2_loss"}};
  result.initial_state = {{kSinceFired, fixture.file().Read("in/dead_mask0").to(at::kLong) * 6}};
  result.state = {{kSinceFired, "num_batches_not_active"}};
  return result;
}

FixtureCase BbTopK() { return Bussmann("bb_topk", BussmannTopK(32, 128)); }
FixtureCase BbBatchTopK() { return Bussmann("bb_batchtopk", BussmannBatchTopK(32, 128)); }
FixtureCase BbMatryoshka() {
  std::vector<int64_t> widths;
  for (const int64_t size : Fixture("bb_matryoshka_batchtopk").hyper()["group_sizes"].get<std::vector<int64_t>>()) {
    widths.push_back((widths.empty() ? 0 : widths.back()) + size);
  }
  FixtureCase result = Bussmann("bb_matryoshka_batchtopk", BussmannMatryoshka(32, 128, widths));
  result.state[kInferenceThreshold] = "threshold";
  return result;
}

FixtureCase OaiTopK() {
  const Fixture fixture("oai_topk_auxk");
  const nlohmann::json& hyper = fixture.hyper();
  const at::Tensor data = fixture.file().Read("in/x").to(at::kDouble).flatten(0, 1);
  const double deviation = (data - data.mean(0)).square().mean().item<double>();
  TopKRecipe recipe = OpenAiTopK(32, 128, deviation);
  recipe.objective.auxk.k = hyper["auxk"];
  recipe.objective.dead = {DeadRule::Unit::kSteps, hyper["dead_steps_threshold"], false, true, true};
  recipe.objective.bias_start = TopKOptions::BiasStart::kZero;
  recipe.loop.average_decay = hyper["ema_multiplier"];
  FixtureCase result = CaseOf(fixture, "oai_topk_auxk", kOpenAi, recipe);
  result.terms = {{"reconstruction", "train_recons"}};
  result.initial_state = {{kSinceFired, fixture.file().Read("in/stats_last_nonzero0")}};
  result.state = {{kSinceFired, "stats_last_nonzero"}};
  result.has_averages = true;
  return result;
}

FixtureCase Spf(const std::string& name, TopKRecipe recipe) {
  const Fixture fixture(name);
  const nlohmann::json& hyper = fixture.hyper();
  recipe.objective.auxk.coefficient = hyper["auxk_alpha"];
  if (hyper.value("multi_topk", false)) recipe.objective.multi_topk_weight = 1.0 / 8;
  // The fixture's bias is its own.
  recipe.objective.bias_start = TopKOptions::BiasStart::kZero;
  recipe.loop.schedule.warmup_steps = 0;
  FixtureCase result = CaseOf(fixture, name, kSparsify, recipe);
  result.terms = {{"reconstruction", "fvu"}, {"auxiliary", "auxk_loss"}};
  result.initial_state = {{kSinceFired, fixture.file().Read("in/num_tokens_since_fired0")}};
  if (fixture.file().Contains("f64/s1/num_tokens_since_fired")) {
    result.state = {{kSinceFired, "num_tokens_since_fired"}};
  }
  return result;
}

FixtureCase SpfTopK() {
  FixtureCase result = Spf("spf_topk_auxk_multitopk", SparsifyTopK(32, 128));
  result.terms["multi_topk"] = "multi_topk_fvu";
  return result;
}
FixtureCase SpfGroupMax() { return Spf("spf_groupmax", SparsifyGroupMax(32, 128)); }
FixtureCase SpfSign() {
  FixtureCase result = Spf("spf_topk_signsgd", SparsifySignDescent(32, 128));
  result.options.schedule.peak = Fixture("spf_topk_signsgd").hyper()["lr_sign"];
  return result;
}
FixtureCase SpfTranscoder() {
  FixtureCase result = Spf("spf_transcoder_skip", SparsifySkipTranscoder(32, 32, 128));
  result.parameters.push_back({kSkip, "W_skip", false});
  return result;
}

INSTANTIATE_TEST_SUITE_P(TopK, TrainingFixture,
                         Fixtures({{"dl_topk_auxk", DlTopK},
                                   {"dl_batchtopk_auxk", DlBatchTopK},
                                   {"dl_matryoshka_batchtopk", DlMatryoshka},
                                   {"sl_topk_aux", SlTopK},
                                   {"sl_batchtopk_aux", SlBatchTopK},
                                   {"sl_matryoshka_batchtopk", SlMatryoshka},
                                   {"bb_topk", BbTopK},
                                   {"bb_batchtopk", BbBatchTopK},
                                   {"bb_matryoshka_batchtopk", BbMatryoshka},
                                   {"oai_topk_auxk", OaiTopK},
                                   {"spf_topk_auxk_multitopk", SpfTopK},
                                   {"spf_groupmax", SpfGroupMax},
                                   {"spf_topk_signsgd", SpfSign},
                                   {"spf_transcoder_skip", SpfTranscoder}}),
                         FixtureName);

// Forward only: rows are brought to mean 0 and standard deviation 1 before the encoder.
TEST(OpenAiLayerNorm, ForwardIsTheReference) {
  if (!HasGolden("sae/train/oai_topk_layernorm_forward")) GTEST_SKIP() << "the small golden set lacks it";
  const Fixture fixture("oai_topk_layernorm_forward");
  const auto read = [&](const char* name) { return fixture.file().Read(name); };
  DictionaryWeights weights;
  weights.architecture = "topk";
  weights.k = fixture.hyper()["k"];
  weights.normalisation = Normalisation::kLayerNorm;
  weights.tensors = {{"W_enc", read("w0/encoder.weight").t().contiguous()},
                     {"b_enc", read("w0/latent_bias")},
                     {"W_dec", read("w0/decoder.weight").t().contiguous()},
                     {"b_dec", read("w0/pre_bias")}};
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const bool is_double = dtype == at::kDouble;
    const std::string suffix = is_double ? ".f64" : ".f32";
    const auto dictionary = MakeDictionary(weights, dtype, at::kCPU);
    const at::Tensor x = read("in/x").to(dtype), acts = dictionary->Encode(x);
    // The README's rule for float32: ten times the reference's own deviation, and 1e-7.
    const double in_float = 10 * fixture.json()["f32_vs_f64"]["recon"]["max_abs"].get<double>() + 1e-7;
    const double allowed = is_double ? 1e-10 : in_float;
    ExpectClose(acts, read("f64/acts"), allowed, 0, "sae.train.oai_topk_layernorm_forward.acts" + suffix);
    ExpectClose(dictionary->Decode(acts, x), read("f64/recon"), allowed, 0,
                "sae.train.oai_topk_layernorm_forward.recon" + suffix);
  }
}

}  // namespace
}  // namespace lifescope
