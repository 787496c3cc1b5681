#include "server/dictionary/training/published_recipes.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <type_traits>
#include <utility>

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

void Take(const TrainingShape& shape, SettingsReader& settings, ReluOptions& options) {
  const bool given = settings.Take("sparsity_coefficient", options.sparsity_coefficient);
  TORCH_CHECK_VALUE(given || options.sparsity_coefficient > 0,
                    "its reference has no default for sparsity_coefficient, expected one to be set");
  PAnnealing& annealing = options.annealing;
  if (annealing.updates == 0) {
    settings.Take("penalty_exponent", options.penalty.exponent);
  } else if (annealing.end >= shape.steps) {
    annealing.start = shape.steps / 4;
    annealing.end = shape.steps * 3 / 4;
    annealing.updates = std::min(annealing.updates, annealing.end - annealing.start + 1);
  }
}

void Take(const TrainingShape&, SettingsReader& settings, UnitDictionaryOptions& options) {
  settings.Take("sparsity_coefficient", options.l1_coefficient);
}

void Take(const TrainingShape&, SettingsReader& settings, GhostGradientOptions& options) {
  settings.Take("sparsity_coefficient", options.l1_coefficient);
}

void Take(const TrainingShape&, SettingsReader& settings, GatedOptions& options) {
  settings.Take("sparsity_coefficient", options.sparsity_coefficient);
}

void Take(const TrainingShape&, SettingsReader& settings, CrosscoderOptions& options) {
  settings.Take("sparsity_coefficient", options.sparsity_coefficient);
}

void Take(const TrainingShape&, SettingsReader& settings, JumpReluOptions& options) {
  settings.Take("sparsity_coefficient", options.sparsity_coefficient);
  settings.Take("bandwidth", options.bandwidth);
  settings.Take("initial_threshold", options.initial_threshold);
  if (options.l0_penalty.shape == L0Penalty::Shape::kQuadraticTarget) {
    settings.Take("target_l0", options.l0_penalty.target_l0);
  }
}

void Take(const TrainingShape& shape, SettingsReader& settings, TopKOptions& options) {
  // The threshold of inference is a mean over steps: of a short training, over most of them.
  options.threshold.after_step = std::min(options.threshold.after_step, shape.steps / 20);
  settings.Take("k", options.selection.k);
  settings.Take("auxiliary_coefficient", options.auxk.coefficient);
  settings.Take("auxiliary_k", options.auxk.k);
  settings.Take("multi_topk_weight", options.multi_topk_weight);
}

void TakeLoop(const TrainingShape& shape, bool has_sparsity, SettingsReader& settings, SaeTrainerOptions& loop) {
  RateSchedule& schedule = loop.schedule;
  schedule.total_steps = shape.steps;
  settings.Take("learning_rate", schedule.peak);
  if (!settings.Take("warmup_steps", schedule.warmup_steps)) {
    schedule.warmup_steps = std::min(schedule.warmup_steps, shape.steps / 20);
  }
  if (!settings.Take("decay_start", schedule.decay_start)) {
    schedule.decay_start = std::max(schedule.warmup_steps, shape.steps * 4 / 5);
  }
  TORCH_CHECK_VALUE(schedule.warmup_steps < shape.steps, "warmup_steps is ", schedule.warmup_steps,
                    ", expected below the steps, ", shape.steps);
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
  constexpr bool kHasSparsity = !std::is_same_v<SomeObjective, TopKObjective>;
  Take(shape, settings, recipe.objective);
  TakeDead(shape, settings, recipe.objective.dead);
  TakeLoop(shape, kHasSparsity, settings, recipe.loop);
  return {std::make_shared<SomeObjective>(recipe.objective), recipe.loop};
}

// Of a dictionary that reads one hook point and reconstructs it.
template <typename SomeObjective, typename Recipe>
Make Autoencoder(Recipe (*recipe)(int64_t input_dim, int64_t feature_count)) {
  return [recipe](const TrainingShape& shape, SettingsReader& settings) {
    TORCH_CHECK_VALUE(shape.input_widths.size() == 1 && shape.output_dim == 0, "it reads ", shape.input_widths.size(),
                      " hook points", shape.output_dim == 0 ? "" : " and predicts another",
                      "; expected one, which it reconstructs");
    return Finish<SomeObjective>(recipe(shape.input_widths[0], shape.feature_count), shape, settings);
  };
}

// Of nested widths: n / 16, n / 8, n / 4, n / 2 and n (Bussmann et al. 2025).
Make Matryoshka(TopKRecipe (*recipe)(int64_t, int64_t, const std::vector<int64_t>&)) {
  return [recipe](const TrainingShape& shape, SettingsReader& settings) {
    const int64_t n = shape.feature_count;
    TORCH_CHECK_VALUE(shape.input_widths.size() == 1 && shape.output_dim == 0 && n >= 16, "it reads ",
                      shape.input_widths.size(), " hook points into ", n,
                      " features; expected one, which it reconstructs from at least 16");
    const std::vector<int64_t> widths{n / 16, n / 8, n / 4, n / 2, n};
    return Finish<TopKObjective>(recipe(shape.input_widths[0], n, widths), shape, settings);
  };
}

DictionaryTraining MakeTranscoder(const TrainingShape& shape, SettingsReader& settings) {
  TORCH_CHECK_VALUE(shape.input_widths.size() == 1 && shape.output_dim > 0, "it reads ", shape.input_widths.size(),
                    " hook points and predicts ", shape.output_dim > 0 ? "one" : "none", "; expected one of each");
  return Finish<TopKObjective>(SparsifySkipTranscoder(shape.input_widths[0], shape.output_dim, shape.feature_count),
                               shape, settings);
}

DictionaryTraining MakeCrosscoder(const TrainingShape& shape, SettingsReader& settings) {
  TORCH_CHECK_VALUE(shape.output_dim == 0,
                    "it predicts another hook point; expected none: it reconstructs all it reads");
  return Finish<CrosscoderObjective>(ModelDiffCrosscoder(shape.input_widths, shape.feature_count, shape.steps), shape,
                                     settings);
}

// Rows have a mean squared norm of 1, so that the elements' mean square is one over the width.
TopKRecipe OpenAiTopKOfUnitRows(int64_t input_dim, int64_t feature_count) {
  return OpenAiTopK(input_dim, feature_count, 1 / static_cast<double>(input_dim));
}

TopKRecipe NabeshimaFromFixedSeed(int64_t input_dim, int64_t feature_count) {
  return NabeshimaMatryoshka(input_dim, feature_count, /*seed=*/1);
}

Make AnthropicJumpReluOfLength() {
  return [](const TrainingShape& shape, SettingsReader& settings) {
    const int64_t steps = shape.steps;
    TORCH_CHECK_VALUE(shape.input_widths.size() == 1 && shape.output_dim == 0,
                      "expected one hook point, which it reconstructs");
    return Finish<JumpReluObjective>(AnthropicJumpRelu(shape.input_widths[0], shape.feature_count, steps), shape,
                                     settings);
  };
}

struct Entry {
  const char* name;
  const char* reference;
  Make make;
};

// Recipes whose settings are for rows of mean norm sqrt(width); the others' are for a mean squared norm of 1.
bool ExpectsSqrtWidth(const std::string& recipe) {
  for (const char* author : {"saelens/", "bussmann/", "nabeshima/", "anthropic/", "model_diff/"}) {
    if (recipe.rfind(author, 0) == 0) return true;
  }
  return recipe == "dictionary_learning/april";
}

const std::vector<Entry>& Entries() {
  static const auto* entries = new std::vector<Entry>{
      {"dictionary_learning/topk", "TopK with AuxK, unit directions (Gao et al. 2024)",
       Autoencoder<TopKObjective>(DictionaryLearningTopK)},
      {"dictionary_learning/batchtopk", "BatchTopK with AuxK (Bussmann et al. 2024)",
       Autoencoder<TopKObjective>(DictionaryLearningBatchTopK)},
      {"dictionary_learning/matryoshka", "Matryoshka BatchTopK (Bussmann et al. 2025)",
       Autoencoder<TopKObjective>(DictionaryLearningMatryoshka)},
      {"dictionary_learning/standard", "ReLU with L1, unit directions (Bricken et al. 2023)",
       Autoencoder<ReluObjective>(DictionaryLearningStandard)},
      {"dictionary_learning/april", "ReLU with L1 times decoder norms (Anthropic, April 2024)",
       Autoencoder<ReluObjective>(DictionaryLearningApril)},
      {"dictionary_learning/p_anneal", "Lp penalty with falling p (Karvonen et al. 2024)",
       Autoencoder<ReluObjective>(DictionaryLearningPAnneal)},
      {"dictionary_learning/gated", "Gated (Rajamanoharan et al. 2024)",
       Autoencoder<GatedObjective>(DictionaryLearningGated)},
      {"dictionary_learning/jumprelu", "JumpReLU that holds L0 at a target (Google DeepMind)",
       Autoencoder<JumpReluObjective>(DictionaryLearningJumpRelu)},
      {"saelens/topk", "TopK of SAELens 6", Autoencoder<TopKObjective>(SaeLensTopK)},
      {"saelens/batchtopk", "BatchTopK of SAELens 6", Autoencoder<TopKObjective>(SaeLensBatchTopK)},
      {"saelens/matryoshka", "Matryoshka BatchTopK of SAELens 6", Matryoshka(SaeLensMatryoshka)},
      {"saelens/standard", "ReLU with L1 times decoder norms of SAELens 6",
       Autoencoder<ReluObjective>(SaeLensStandard)},
      {"saelens/gated", "Gated of SAELens 6", Autoencoder<GatedObjective>(SaeLensGated)},
      {"saelens/jumprelu", "JumpReLU with step loss of SAELens 6", Autoencoder<JumpReluObjective>(SaeLensJumpRelu)},
      {"bussmann/vanilla", "ReLU with L1 of BatchTopK's authors", Autoencoder<ReluObjective>(BatchTopKVanilla)},
      {"bussmann/topk", "TopK of BatchTopK's authors", Autoencoder<TopKObjective>(BussmannTopK)},
      {"bussmann/batchtopk", "BatchTopK of its authors", Autoencoder<TopKObjective>(BussmannBatchTopK)},
      {"bussmann/matryoshka", "Matryoshka BatchTopK of its authors", Matryoshka(BussmannMatryoshka)},
      {"bussmann/jumprelu", "JumpReLU of BatchTopK's authors", Autoencoder<JumpReluObjective>(BussmannJumpRelu)},
      {"nabeshima/matryoshka", "Matryoshka with prefixes drawn at every step",
       Autoencoder<TopKObjective>(NabeshimaFromFixedSeed)},
      {"openai/relu", "ReLU with normalised losses", Autoencoder<ReluObjective>(OpenAiRelu)},
      {"openai/topk", "TopK with AuxK and running means of the weights (Gao et al. 2024)",
       Autoencoder<TopKObjective>(OpenAiTopKOfUnitRows)},
      {"sparsify/topk", "TopK on the fraction of variance unexplained (EleutherAI)",
       Autoencoder<TopKObjective>(SparsifyTopK)},
      {"sparsify/groupmax", "GroupMax (EleutherAI)", Autoencoder<TopKObjective>(SparsifyGroupMax)},
      {"sparsify/sign_descent", "TopK by sign descent (EleutherAI)", Autoencoder<TopKObjective>(SparsifySignDescent)},
      {"sparsify/skip_transcoder", "TopK transcoder with a linear path (Paulo et al. 2025)", MakeTranscoder},
      {"ai_safety_foundation/standard", "ReLU with L1 on mean squared error",
       Autoencoder<ReluObjective>(AiSafetyFoundation)},
      {"cunningham/untied", "ReLU with L1, dictionary normalised in the loss (Cunningham et al. 2023)",
       Autoencoder<UnitDictionaryObjective>(Cunningham)},
      {"transcoder_circuits/ghost", "ReLU with L1 and ghost gradients (Anthropic, January 2024)",
       Autoencoder<GhostGradientObjective>(TranscoderCircuitsGhost)},
      {"gemma_scope/jumprelu", "JumpReLU of Gemma Scope (Lieberum et al. 2024)",
       Autoencoder<JumpReluObjective>(GemmaScopeJumpRelu)},
      {"anthropic/jumprelu", "JumpReLU with tanh penalty (Anthropic, January 2025)", AnthropicJumpReluOfLength()},
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
    return training;
  }
  TORCH_CHECK_VALUE(false, "no recipe '", recipe, "'; there are ", names);
}

std::string NormalisationOf(const std::string& recipe) {
  return ExpectsSqrtWidth(recipe) ? "sqrt_width" : "unit_mean_square";
}

std::vector<PublishedSaeRecipe> PublishedSaeRecipes() {
  std::vector<PublishedSaeRecipe> result;
  for (const Entry& entry : Entries()) result.push_back({entry.name, entry.reference});
  return result;
}

}  // namespace lifescope
