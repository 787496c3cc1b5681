#include "server/training/pretrain_run.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <string_view>

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Names in a saved state.
constexpr char kWeights[] = "weights.", kBest[] = "best.", kAdam[] = "adam.", kExamples[] = "examples.";
constexpr char kProjectionRandom[] = "projections.random", kDropoutRandom[] = "dropout.random";
constexpr char kCounts[] = "counts", kLosses[] = "losses";

// Parameters whose state-dict name contains one of these do not decay (the published groups, substrings as there).
bool Decays(std::string_view name) {
  for (const char* part : {"bias", "norm", "age", "abspos", "token", "decoder.g"}) {
    if (name.find(part) != std::string_view::npos) return false;
  }
  return true;
}

PretrainOptions Filled(PretrainOptions options, const Corpus& corpus) {
  CheckPretrainOptions(options);
  Hyperparameters& shape = options.hyperparameters;
  shape.vocab_size = corpus.vocabulary().size();
  if (shape.max_length == 0) shape.max_length = corpus.manifest().max_length;
  if (options.n_slots == 0) options.n_slots = shape.max_length;
  TORCH_CHECK_VALUE(options.n_slots <= shape.max_length, "n_slots: ", options.n_slots,
                    ", expected at most max_length, ", shape.max_length);
  return options;
}

OneCycleOptions Cycle(const PretrainOptions& options) {
  return {options.steps, options.learning_rate, options.rising_share, options.div_factor, options.final_div_factor,
          options.beta1, options.min_beta1};
}

at::Tensor DropoutRandom() {
  at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void SetDropoutRandom(const at::Tensor& state) {
  at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

// Copies `from` into the tensors of `into`, name by name.
void CopyInto(const std::map<std::string, at::Tensor>& into, const SavedState& from) {
  for (const auto& [name, tensor] : into) {
    const at::Tensor& saved = SavedTensor(from, name, tensor.scalar_type());
    TORCH_CHECK_VALUE(saved.sizes() == tensor.sizes(), "saved state: '", name, "' has shape ", saved.sizes(),
                      ", expected ", tensor.sizes());
    tensor.detach().copy_(saved);
  }
}

}  // namespace

PretrainRun::PretrainRun(const Corpus& corpus, const PretrainOptions& options)
    : options_(Filled(options, corpus)),
      hyperparameters_(options_.hyperparameters),
      cycle_(Cycle(options_)),
      projection_random_(options_.seed + 1),
      examples_(corpus, options_),
      validation_(ValidationBatches(corpus, options_)),
      unigram_loss_(UnigramLoss(corpus, options_, validation_)),
      weights_(InitializeWeights(hyperparameters_, options_.seed, options_.initialization)),
      parameters_(TrainableTensors(weights_)),
      last_validation_loss_(kNan),
      best_validation_loss_(kNan) {
  TORCH_CHECK_VALUE(std::isfinite(unigram_loss_), "the validation documents have no token to mask");
  at::manual_seed(options_.seed);
}

BatchGradient PretrainRun::NextGradient() {
  const BatchGradientOptions how{options_.objective, options_.n_slots, options_.threads};
  BatchGradient sum = ComputeBatchGradient(hyperparameters_, weights_, examples_.Next(), how);
  if (options_.accumulation == 1) return sum;
  for (int64_t i = 1; i < options_.accumulation; ++i) {
    AddTo(sum, ComputeBatchGradient(hyperparameters_, weights_, examples_.Next(), how));
  }
  const double share = 1 / static_cast<double>(options_.accumulation);
  sum.loss *= share;
  sum.mlm *= share;
  sum.sop *= share;
  for (at::Tensor& gradient : sum.gradients) {
    if (gradient.defined()) gradient = gradient * share;
  }
  return sum;
}

PretrainStep PretrainRun::Step() {
  // Before the step: the weights that are validated and kept have been trained with their projections.
  if (RedrawIsDue()) {
    RedrawProjections(
        hyperparameters_, [this] { return projection_random_.NextBits(); }, weights_);
  }
  BatchGradient batch = NextGradient();
  TORCH_CHECK_VALUE(std::isfinite(batch.loss), "the loss of step ", step_ + 1, " is ", batch.loss,
                    ": the learning rate ", options_.learning_rate, " is too high for this model");
  const double learning_rate = OneCycle(cycle_, step_).learning_rate;
  Update(batch.gradients);
  ++step_;
  return {learning_rate, batch.loss, batch.mlm, batch.sop, batch.token_count};
}

void PretrainRun::Update(std::vector<at::Tensor>& gradients) {
  ClipGradientNorm(gradients, options_.gradient_clip);
  const OneCyclePoint point = OneCycle(cycle_, step_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, tensor] = parameters_[i];
    if (!gradients[i].defined()) continue;
    AdamOptions adam;
    adam.learning_rate = point.learning_rate;
    adam.beta1 = point.beta1;
    adam.beta2 = options_.beta2;
    adam.epsilon = hyperparameters_.epsilon;
    adam.weight_decay = Decays(name) ? options_.weight_decay : 0;
    AdamStep(adam, gradients[i], *tensor, adam_[name]);
  }
}

bool PretrainRun::RedrawIsDue() {
  const bool interval_is_over = options_.redraw_interval > 0 && step_ > 0 && step_ % options_.redraw_interval == 0;
  const bool epoch_is_over = options_.redraw_each_epoch && examples_.epoch() != redrawn_epoch_;
  redrawn_epoch_ = examples_.epoch();
  return interval_is_over || epoch_is_over;
}

double PretrainRun::Validate() {
  const c10::NoGradGuard no_grad;
  const Transformer model(hyperparameters_, weights_);
  double sum = 0;
  int64_t count = 0;
  for (const PretrainBatch& batch : validation_) {
    const int64_t targets = batch.target_tokens.size(0);
    if (targets == 0) continue;
    const at::Tensor residual = model.Forward(batch.documents);
    const at::Tensor logits = model.MlmLogits(residual.index_select(0, batch.target_rows));
    sum += MlmLoss(logits, batch.target_tokens).item<double>() * static_cast<double>(targets);
    count += targets;
  }
  last_validation_loss_ = sum / static_cast<double>(count);
  if (best_step_ < 0 || last_validation_loss_ < best_validation_loss_) {
    best_validation_loss_ = last_validation_loss_;
    best_step_ = step_;
    for (const auto& [name, tensor] : Last()) best_[name] = tensor.clone();
  }
  return last_validation_loss_;
}

SavedState PretrainRun::State() const {
  SavedState state;
  PutUnder(kWeights, Last(), state);
  PutUnder(kBest, best_, state);
  PutUnder(kExamples, examples_.State(), state);
  for (const auto& [name, adam] : adam_) SaveAdamState(kAdam + name, adam, state);
  state[kProjectionRandom] = ToTensor(projection_random_);
  state[kDropoutRandom] = DropoutRandom();
  state[kCounts] = Int64Tensor({step_, redrawn_epoch_, best_step_});
  state[kLosses] = at::tensor({last_validation_loss_, best_validation_loss_}, at::kDouble);
  return state;
}

void PretrainRun::Restore(const SavedState& state) {
  const c10::NoGradGuard no_grad;
  const std::vector<int64_t> counts = Int64Values(state, kCounts, 3);
  const at::Tensor& losses = SavedTensor(state, kLosses, at::kDouble);
  TORCH_CHECK_VALUE(losses.numel() == 2, "saved state: '", kLosses, "' holds ", losses.numel(), " values, expected 2");
  projection_random_.set_state(RandomStateOf(state, kProjectionRandom));
  examples_.Restore(Under(kExamples, state));
  CopyInto(Last(), Under(kWeights, state));
  best_ = Under(kBest, state);
  TORCH_CHECK_VALUE(best_.size() == (counts[2] < 0 ? 0 : Last().size()), "saved state: ", best_.size(),
                    " tensors under '", kBest, "', expected a model");
  for (const auto& [name, tensor] : parameters_) adam_[name] = LoadAdamState(kAdam + name, state);
  SetDropoutRandom(SavedTensor(state, kDropoutRandom, at::kByte));
  step_ = counts[0];
  redrawn_epoch_ = counts[1];
  best_step_ = counts[2];
  last_validation_loss_ = losses[0].item<double>();
  best_validation_loss_ = losses[1].item<double>();
}

}  // namespace lifescope
