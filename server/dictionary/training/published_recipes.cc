#include "server/dictionary/training/published_recipes.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <type_traits>
#include <utility>

#include "server/dictionary/training/codebook_recipes.h"
#include "server/dictionary/training/crosscoder_recipes.h"
#include "server/dictionary/training/gated_recipes.h"
#include "server/dictionary/training/jumprelu_recipes.h"
#include "server/dictionary/training/recipe_settings.h"
#include "server/dictionary/training/relu_recipes.h"
#include "server/dictionary/training/topk_recipes.h"

namespace lifescope {
namespace {

void TakeDead(const TrainingShape& shape, SettingsReader& settings, DeadRule& dead) {
  if (settings.Take("dead_after", dead.after)) return;
  const int64_t steps = std::max<int64_t>(1, shape.steps / 10);
  dead.after = std::min(dead.after, dead.unit == DeadRule::Unit::kRows ? steps * shape.batch_rows : steps);
}

// The exponent falls within the training: it starts after a quarter of it at the latest, and has fallen after three.
void TakeAnnealing(const TrainingShape& shape, SettingsReader& settings, PAnnealing& annealing) {
  if (!settings.Take("anneal_start", annealing.start)) annealing.start = std::min(annealing.start, shape.steps / 4);
  if (!settings.Take("anneal_end", annealing.end)) annealing.end = std::min(annealing.end, shape.steps * 3 / 4);
  TORCH_CHECK_VALUE(0 <= annealing.start && annealing.start < annealing.end && annealing.end <= shape.steps,
                    "anneal_start is ", annealing.start, " and anneal_end ", annealing.end,
                    ", expected 0 <= anneal_start < anneal_end <= steps, ", shape.steps);
  settings.Take("penalty_exponent_end", annealing.last_p);
  annealing.updates = std::min(annealing.updates, annealing.end - annealing.start + 1);
}

void Take(const TrainingShape& shape, SettingsReader& settings, ReluOptions& options) {
  const bool given = settings.Take("sparsity_coefficient", options.sparsity_coefficient);
  TORCH_CHECK_VALUE(given || options.sparsity_coefficient > 0,
                    "its reference has no default for sparsity_coefficient, expected one to be set");
  if (options.penalty.form == SparsityPenalty::Form::kTanh) {
    settings.Take("tanh_scale", options.penalty.tanh_scale);
  } else if (options.annealing.updates > 0) {
    TakeAnnealing(shape, settings, options.annealing);
  } else {
    settings.Take("penalty_exponent", options.penalty.exponent);
  }
}

void Take(const TrainingShape&, SettingsReader& settings, UnitDictionaryOptions& options) {
  settings.Take("sparsity_coefficient", options.l1_coefficient);
  settings.Take("bias_decay", options.bias_decay);
}

void Take(const TrainingShape&, SettingsReader& settings, GhostGradientOptions& options) {
  settings.Take("sparsity_coefficient", options.l1_coefficient);
}

void Take(const TrainingShape& shape, SettingsReader& settings, GatedOptions& options) {
  settings.Take("sparsity_coefficient", options.sparsity_coefficient);
  if (options.annealing.updates > 0) TakeAnnealing(shape, settings, options.annealing);
}

void Take(const TrainingShape&, SettingsReader& settings, CodebookOptions& options) {
  settings.Take("k", options.k);
  settings.Take("commitment_coefficient", options.commitment_coefficient);
}

void Take(const TrainingShape&, SettingsReader& settings, CrosscoderOptions& options) {
  settings.Take("sparsity_coefficient", options.sparsity_coefficient);
}

void Take(const TrainingShape&, SettingsReader& settings, JumpReluOptions& options) {
  settings.Take("sparsity_coefficient", options.sparsity_coefficient);
  settings.Take("bandwidth", options.bandwidth);
  settings.Take("initial_threshold", options.initial_threshold);
  settings.Take("pre_activation_coefficient", options.pre_activation_coefficient);
  if (options.sparsity == JumpReluOptions::Sparsity::kTanh) {
    settings.Take("tanh_scale", options.tanh_scale);
  } else if (options.l0_penalty.shape == L0Penalty::Shape::kQuadraticTarget) {
    settings.Take("target_l0", options.l0_penalty.target_l0);
  } else if (options.l0_penalty.shape == L0Penalty::Shape::kFrequencyQuadratic) {
    settings.Take("frequency_scale", options.l0_penalty.frequency_scale);
  }
}

void Take(const TrainingShape& shape, SettingsReader& settings, TopKOptions& options) {
  // The threshold of inference is a mean over steps: of a short training, over most of them.
  options.threshold.after_step = std::min(options.threshold.after_step, shape.steps / 20);
  settings.Take("k", options.selection.k);
  if (options.selection.anneal_from > 0) settings.Take("k_anneal_steps", options.selection.anneal_steps);
  options.prefixes.sampled_seed = shape.seed;
  settings.Take("auxiliary_coefficient", options.auxk.coefficient);
  settings.Take("auxiliary_k", options.auxk.k);
  settings.Take("multi_topk_weight", options.multi_topk_weight);
}

// `loop.resampling` is what the reference has, its `every` 0 where it is off until it is asked for.
void TakeResampling(const TrainingShape& shape, SettingsReader& settings, const DeadRule& dead,
                    SaeTrainerOptions& loop) {
  if (!loop.resampling) return;
  Resampling& resampling = *loop.resampling;
  if (!settings.Take("resample_every", resampling.every)) {
    resampling.every = std::min(resampling.every, shape.steps / 10);
  }
  if (resampling.every == 0) return loop.resampling.reset();
  settings.Take("resample_times", resampling.times);
  settings.Take("resample_rows", resampling.rows);
  if (!settings.Take("resample_dead_after", resampling.dead_after)) resampling.dead_after = resampling.every / 2;
  if (dead.unit == DeadRule::Unit::kRows) resampling.dead_after *= shape.batch_rows;
  CheckResampling(resampling);
  if (resampling.rule == Resampling::Rule::kErrorNorm) loop.schedule.restart_every = resampling.every;
}

void TakeCosine(SettingsReader& settings, RateSchedule& schedule) {
  if (!settings.Take("cosine_cycles", schedule.cycles)) return;
  schedule.course = RateSchedule::Course::kCosine;
  if (!settings.Take("cosine_end", schedule.cosine_end)) schedule.cosine_end = schedule.peak / 10;
}

void TakeLoop(const TrainingShape& shape, bool has_sparsity, SettingsReader& settings, SaeTrainerOptions& loop) {
  RateSchedule& schedule = loop.schedule;
  schedule.total_steps = shape.steps;
  settings.Take("learning_rate", schedule.peak);
  if (!settings.Take("warmup_steps", schedule.warmup_steps)) {
    schedule.warmup_steps = std::min(schedule.warmup_steps, shape.steps / 20);
  }
  const bool begins_anew = schedule.restart_every > 0;
  if (!settings.Take("decay_start", schedule.decay_start) && !begins_anew) {
    schedule.decay_start = std::max(schedule.warmup_steps, shape.steps * 4 / 5);
  }
  TakeCosine(settings, schedule);
  TORCH_CHECK_VALUE(!begins_anew || (schedule.decay_start == -1 && schedule.warmup_steps < schedule.restart_every &&
                                     schedule.course == RateSchedule::Course::kConstant),
                    "resample_every is ", schedule.restart_every,
                    ", with which the learning rate begins anew: expected more than warmup_steps, ",
                    schedule.warmup_steps, ", and neither decay_start nor cosine_cycles");
  TORCH_CHECK_VALUE(schedule.warmup_steps < shape.steps, "warmup_steps is ", schedule.warmup_steps,
                    ", expected below the steps, ", shape.steps);
  CheckSchedule(schedule);
  // Who warms up over the whole training does so in a short one too.
  const bool given = has_sparsity && settings.Take("sparsity_warmup_steps", loop.sparsity_warmup_steps);
  if (!given && loop.sparsity_warmup_steps != shape.steps) {
    loop.sparsity_warmup_steps = std::min(loop.sparsity_warmup_steps, shape.steps / 20);
  }
  settings.Take("gradient_clip", loop.gradient_clip);
  if (loop.optimiser != SaeTrainerOptions::Optimiser::kAdam) return;
  settings.Take("beta1", loop.adam.beta1);
  settings.Take("beta2", loop.adam.beta2);
  settings.Take("epsilon", loop.adam.epsilon);
}

using Make = std::function<DictionaryTraining(const TrainingShape&, SettingsReader&)>;

// An objective of these options in this loop, once the settings are taken.
template <typename SomeObjective, typename Recipe>
DictionaryTraining Finish(Recipe recipe, const TrainingShape& shape, SettingsReader& settings) {
  constexpr bool kHasSparsity =
      !std::is_same_v<SomeObjective, TopKObjective> && !std::is_same_v<SomeObjective, CodebookObjective>;
  Take(shape, settings, recipe.objective);
  TakeDead(shape, settings, recipe.objective.dead);
  TakeResampling(shape, settings, recipe.objective.dead, recipe.loop);
  TakeLoop(shape, kHasSparsity, settings, recipe.loop);
  return {std::make_shared<SomeObjective>(recipe.objective), recipe.loop};
}

// Of a dictionary that reads one hook point and reconstructs it.
void CheckIsAutoencoder(const TrainingShape& shape) {
  TORCH_CHECK_VALUE(shape.input_widths.size() == 1 && shape.output_dim == 0, "it reads ", shape.input_widths.size(),
                    " hook points", shape.output_dim == 0 ? "" : " and predicts another",
                    "; expected one, which it reconstructs");
}

template <typename SomeObjective, typename Recipe>
Make Autoencoder(Recipe (*recipe)(int64_t input_dim, int64_t feature_count)) {
  return [recipe](const TrainingShape& shape, SettingsReader& settings) {
    CheckIsAutoencoder(shape);
    return Finish<SomeObjective>(recipe(shape.input_widths[0], shape.feature_count), shape, settings);
  };
}

// Of one whose published settings depend on the length of the training.
template <typename SomeObjective, typename Recipe>
Make AutoencoderOfLength(Recipe (*recipe)(int64_t input_dim, int64_t feature_count, int64_t total_steps)) {
  return [recipe](const TrainingShape& shape, SettingsReader& settings) {
    CheckIsAutoencoder(shape);
    return Finish<SomeObjective>(recipe(shape.input_widths[0], shape.feature_count, shape.steps), shape, settings);
  };
}

// Of nested widths: n / 16, n / 8, n / 4, n / 2 and n (Bussmann et al. 2025).
Make Matryoshka(TopKRecipe (*recipe)(int64_t, int64_t, const std::vector<int64_t>&)) {
  return [recipe](const TrainingShape& shape, SettingsReader& settings) {
    CheckIsAutoencoder(shape);
    const int64_t n = shape.feature_count;
    TORCH_CHECK_VALUE(n >= 16, "it has ", n, " features, expected at least 16");
    const std::vector<int64_t> widths{n / 16, n / 8, n / 4, n / 2, n};
    return Finish<TopKObjective>(recipe(shape.input_widths[0], n, widths), shape, settings);
  };
}

template <typename SomeObjective, typename Recipe>
Make Transcoder(Recipe (*recipe)(int64_t input_dim, int64_t output_dim, int64_t feature_count)) {
  return [recipe](const TrainingShape& shape, SettingsReader& settings) {
    TORCH_CHECK_VALUE(shape.input_widths.size() == 1 && shape.output_dim > 0, "it reads ", shape.input_widths.size(),
                      " hook points and predicts ", shape.output_dim > 0 ? "one" : "none", "; expected one of each");
    return Finish<SomeObjective>(recipe(shape.input_widths[0], shape.output_dim, shape.feature_count), shape, settings);
  };
}

DictionaryTraining MakeCrosscoder(const TrainingShape& shape, SettingsReader& settings) {
  TORCH_CHECK_VALUE(shape.output_dim == 0,
                    "it predicts another hook point; expected none: it reconstructs all it reads");
  return Finish<CrosscoderObjective>(ModelDiffCrosscoder(shape.input_widths, shape.feature_count, shape.steps), shape,
                                     settings);
}

struct Entry {
  const char* name;
  const char* reference;
  Make make;
};

const std::vector<Entry>& Entries() {
  static const auto* entries = new std::vector<Entry>{
      {"bricken/standard", "ReLU with L1, unit directions and neuron resampling (Bricken et al. 2023)",
       Autoencoder<ReluObjective>(BrickenStandard)},
      {"dictionary_learning/topk", "TopK with AuxK, unit directions (Gao et al. 2024)",
       Autoencoder<TopKObjective>(DictionaryLearningTopK)},
      {"dictionary_learning/batchtopk", "BatchTopK with AuxK (Bussmann et al. 2024)",
       Autoencoder<TopKObjective>(DictionaryLearningBatchTopK)},
      {"dictionary_learning/matryoshka", "Matryoshka BatchTopK (Bussmann et al. 2025)",
       Autoencoder<TopKObjective>(DictionaryLearningMatryoshka)},
      {"dictionary_learning/standard", "ReLU with L1, unit directions; resamples on demand",
       Autoencoder<ReluObjective>(DictionaryLearningStandard)},
      {"dictionary_learning/april", "ReLU with L1 times decoder norms (Anthropic, April 2024)",
       Autoencoder<ReluObjective>(DictionaryLearningApril)},
      {"dictionary_learning/p_anneal", "Lp penalty with falling p (Karvonen et al. 2024)",
       Autoencoder<ReluObjective>(DictionaryLearningPAnneal)},
      {"dictionary_learning/gated", "Gated (Rajamanoharan et al. 2024)",
       Autoencoder<GatedObjective>(DictionaryLearningGated)},
      {"dictionary_learning/gated_anneal", "Gated with a falling exponent of its sparsity (Karvonen et al. 2024)",
       AutoencoderOfLength<GatedObjective>(DictionaryLearningGatedAnneal)},
      {"dictionary_learning/jumprelu", "JumpReLU that holds L0 at a target (Google DeepMind)",
       Autoencoder<JumpReluObjective>(DictionaryLearningJumpRelu)},
      {"saelens/topk", "TopK of SAELens 6", Autoencoder<TopKObjective>(SaeLensTopK)},
      {"saelens/batchtopk", "BatchTopK of SAELens 6", Autoencoder<TopKObjective>(SaeLensBatchTopK)},
      {"saelens/matryoshka", "Matryoshka BatchTopK of SAELens 6", Matryoshka(SaeLensMatryoshka)},
      {"saelens/standard", "ReLU with L1 times decoder norms of SAELens 6",
       Autoencoder<ReluObjective>(SaeLensStandard)},
      {"saelens/gated", "Gated of SAELens 6", Autoencoder<GatedObjective>(SaeLensGated)},
      {"saelens/jumprelu", "JumpReLU with step loss of SAELens 6", Autoencoder<JumpReluObjective>(SaeLensJumpRelu)},
      {"saelens/jumprelu_tanh", "JumpReLU with tanh loss of SAELens 6",
       Autoencoder<JumpReluObjective>(SaeLensJumpReluTanh)},
      {"bussmann/vanilla", "ReLU with L1 of BatchTopK's authors", Autoencoder<ReluObjective>(BatchTopKVanilla)},
      {"bussmann/topk", "TopK of BatchTopK's authors", Autoencoder<TopKObjective>(BussmannTopK)},
      {"bussmann/batchtopk", "BatchTopK of its authors", Autoencoder<TopKObjective>(BussmannBatchTopK)},
      {"bussmann/matryoshka", "Matryoshka BatchTopK of its authors", Matryoshka(BussmannMatryoshka)},
      {"bussmann/jumprelu", "JumpReLU of BatchTopK's authors", Autoencoder<JumpReluObjective>(BussmannJumpRelu)},
      {"nabeshima/matryoshka", "Matryoshka with prefixes drawn at every step",
       Autoencoder<TopKObjective>(NabeshimaMatryoshka)},
      {"openai/relu", "ReLU with normalised losses", Autoencoder<ReluObjective>(OpenAiRelu)},
      {"openai/relu_tied", "The same, its encoder the decoder as well", Autoencoder<ReluObjective>(OpenAiReluTied)},
      {"openai/topk", "TopK of layer-normed rows with AuxK and running means of the weights (Gao et al. 2024)",
       Autoencoder<TopKObjective>(OpenAiTopKByBatch)},
      {"sparsify/topk", "TopK on the fraction of variance unexplained (EleutherAI)",
       Autoencoder<TopKObjective>(SparsifyTopK)},
      {"sparsify/groupmax", "GroupMax (EleutherAI)", Autoencoder<TopKObjective>(SparsifyGroupMax)},
      {"sparsify/sign_descent", "TopK by sign descent (EleutherAI)", Autoencoder<TopKObjective>(SparsifySignDescent)},
      {"sparsify/transcoder", "TopK transcoder (EleutherAI)", Transcoder<TopKObjective>(SparsifyTranscoder)},
      {"sparsify/skip_transcoder", "TopK transcoder with a linear path (Paulo et al. 2025)",
       Transcoder<TopKObjective>(SparsifySkipTranscoder)},
      {"ai_safety_foundation/standard", "ReLU with L1 on mean squared error; resamples on demand",
       Autoencoder<ReluObjective>(AiSafetyFoundation)},
      {"cunningham/untied", "ReLU with L1, dictionary normalised in the loss (Cunningham et al. 2023)",
       Autoencoder<UnitDictionaryObjective>(Cunningham)},
      {"cunningham/tied", "The same, its encoder the dictionary as well",
       Autoencoder<UnitDictionaryObjective>(CunninghamTied)},
      {"transcoder_circuits/ghost", "ReLU with L1 and ghost gradients (Anthropic, January 2024)",
       Autoencoder<GhostGradientObjective>(TranscoderCircuitsGhost)},
      {"transcoder_circuits/transcoder", "ReLU transcoder with L1 and ghost gradients (Dunefsky et al. 2024)",
       Transcoder<GhostGradientObjective>(TranscoderCircuitsTranscoder)},
      {"gemma_scope/jumprelu", "JumpReLU of Gemma Scope (Lieberum et al. 2024)",
       Autoencoder<JumpReluObjective>(GemmaScopeJumpRelu)},
      {"deepmind/jumprelu_frequency", "The same against features that fire nearly always (Google DeepMind)",
       Autoencoder<JumpReluObjective>(DeepMindFrequency)},
      {"anthropic/tanh", "ReLU with tanh penalty (Anthropic, January 2024)", Autoencoder<ReluObjective>(AnthropicTanh)},
      {"anthropic/jumprelu", "JumpReLU with tanh penalty (Anthropic, January 2025)",
       AutoencoderOfLength<JumpReluObjective>(AnthropicJumpRelu)},
      {"codebook_features/base", "Codebook by inner product (Tamkin et al. 2023)",
       Autoencoder<CodebookObjective>(CodebookBase)},
      {"codebook_features/aeloss", "The same, codes drawn to their rows too",
       Autoencoder<CodebookObjective>(CodebookAeLoss)},
      {"codebook_features/vqvae", "Codebook by distance, codes drawn to their rows alone",
       Autoencoder<CodebookObjective>(CodebookVqVae)},
      {"model_diff/crosscoder", "Crosscoder over layers or models (Lindsey et al. 2024)", MakeCrosscoder},
  };
  return *entries;
}

}  // namespace

DictionaryTraining MakeTraining(const std::string& recipe, const TrainingShape& shape, const RecipeSettings& settings) {
  TORCH_CHECK_VALUE(!shape.input_widths.empty() && shape.steps > 0 && shape.batch_rows > 0, "reads ",
                    shape.input_widths.size(), " hook points, ", shape.steps, " steps of ", shape.batch_rows,
                    " rows: expected at least 1 of each");
  std::string names;
  for (const Entry& entry : Entries()) {
    names += (names.empty() ? "" : ", ") + std::string(entry.name);
    if (recipe != entry.name) continue;
    SettingsReader reader(settings);
    DictionaryTraining training;
    try {
      training = entry.make(shape, reader);
    } catch (const c10::ValueError& error) {
      TORCH_CHECK_VALUE(false, "recipe '", recipe, "': ", error.msg());
    }
    reader.ExpectNoneLeft(recipe);
    training.loop.seed = shape.seed;
    return training;
  }
  TORCH_CHECK_VALUE(false, "no recipe '", recipe, "'; there are ", names);
}

std::string NormalisationOf(const std::string& recipe) {
  if (recipe == "openai/topk") return "layer_norm";
  if (recipe == "dictionary_learning/april") return "sqrt_width";
  if (recipe.rfind("codebook_features/", 0) == 0) return "none";
  for (const char* author : {"saelens/", "bussmann/", "nabeshima/", "anthropic/", "model_diff/"}) {
    if (recipe.rfind(author, 0) == 0) return "sqrt_width";
  }
  return "unit_mean_square";
}

std::vector<PublishedSaeRecipe> PublishedSaeRecipes() {
  std::vector<PublishedSaeRecipe> result;
  for (const Entry& entry : Entries()) result.push_back({entry.name, entry.reference});
  return result;
}

}  // namespace lifescope
