#include "server/dictionary/training/sae_trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "server/optimizer/sign_descent.h"

namespace lifescope {
namespace {

const char kStep[] = "step";
const char kStatePrefix[] = "state.";

std::string AverageName(const std::string& name) { return name + ".average"; }

const at::Tensor& TensorOfState(const std::map<std::string, at::Tensor>& state, const std::string& name,
                                at::IntArrayRef sizes) {
  const auto found = state.find(name);
  TORCH_CHECK_VALUE(found != state.end(), "trainer state: tensor '", name, "' is missing");
  TORCH_CHECK_VALUE(found->second.sizes() == sizes, "trainer state: tensor '", name, "' has shape ",
                    found->second.sizes(), ", expected ", sizes);
  return found->second;
}

// `value` is finite where all is that `what` stands for.
void CheckIsFinite(int64_t step, const std::string& what, double value) {
  if (std::isfinite(value)) return;
  throw DivergedError({__func__, __FILE__, static_cast<uint32_t>(__LINE__)},
                      c10::str("step ", step, ": ", what, " is ", value, ", expected a finite number"));
}

void CheckIsFinite(int64_t step, const Evaluation& evaluation) {
  CheckIsFinite(step, "the loss", evaluation.loss);
  for (const auto& [name, gradient] : evaluation.gradients) {
    CheckIsFinite(step, c10::str("the summed gradient of ", name), gradient.sum().item<double>());
  }
}

}  // namespace

using Normalise = DecoderConstraint::Normalise;

SaeTrainer::SaeTrainer(std::shared_ptr<const Objective> objective, const SaeTrainerOptions& options)
    : objective_(std::move(objective)), options_(options) {
  CheckSchedule(options_.schedule);
  TORCH_CHECK_VALUE(options_.gradient_clip >= 0, "gradient_clip is ", options_.gradient_clip, ", expected 0 or more");
  const AdamOptions& adam = options_.adam;
  TORCH_CHECK_VALUE(adam.beta1 >= 0 && adam.beta1 < 1 && adam.beta2 >= 0 && adam.beta2 < 1 && adam.epsilon > 0,
                    "beta1 ", adam.beta1, ", beta2 ", adam.beta2, ", epsilon ", adam.epsilon,
                    ": expected betas from 0 to below 1 and an epsilon above 0");
  TORCH_CHECK_VALUE(options_.sparsity_warmup_steps >= 0, "sparsity_warmup_steps is ", options_.sparsity_warmup_steps,
                    ", expected 0 or more");
  TORCH_CHECK_VALUE(options_.average_decay >= 0 && options_.average_decay < 1, "average_decay is ",
                    options_.average_decay, ", expected 0 to below 1");
  TORCH_CHECK_VALUE(options_.dtype == at::kFloat || options_.dtype == at::kDouble, "dtype is ", options_.dtype,
                    ", expected Float or Double");
  for (const auto& [name, value] : objective_->Initialise(options_.seed)) {
    parameters_[name] = value.to(options_.dtype).contiguous().clone();
    if (options_.optimiser == SaeTrainerOptions::Optimiser::kAdam) {
      adam_[name] = {at::zeros_like(parameters_[name]), at::zeros_like(parameters_[name]), 0};
    }
    if (options_.average_decay > 0) averages_[name] = at::zeros_like(parameters_[name]);
  }
  state_ = objective_->InitialState();
  TORCH_CHECK_VALUE(parameters_.count(kDecoder) > 0 ||
                        (options_.constraint.normalise == Normalise::kNever && !options_.constraint.project_gradient),
                    "constraint: the objective has no parameter '", kDecoder, "' to constrain");
  if (options_.matmul == Matmul::kBfloat16) {
    TORCH_CHECK_VALUE(options_.dtype == at::kFloat, "matmul is bfloat16 and dtype ", options_.dtype,
                      ", expected Float");
    TORCH_CHECK_VALUE(parameters_.count(kEncoder) > 0, "matmul is bfloat16: the objective has no parameter '", kEncoder,
                      "', expected matmul float32");
    TORCH_CHECK_VALUE(parameters_.count(kDecoder) > 0, "matmul is bfloat16: the objective has no parameter '", kDecoder,
                      "', its encoder is the decoder as well and would be rounded; expected matmul float32");
  }
  if (!options_.resampling) return;
  CheckResampling(*options_.resampling);
  for (const char* name : {kEncoder, kEncoderBias, kDecoder}) {
    TORCH_CHECK_VALUE(parameters_.count(name) > 0, "resampling: the objective has no parameter '", name, "'");
  }
  TORCH_CHECK_VALUE(state_.count(kSinceFired) > 0, "resampling: the objective does not count which features fire");
}

TrainingRows SaeTrainer::Checked(const TrainingRows& rows) const {
  const auto checked = [&](const char* name, const at::Tensor& tensor, int64_t width) {
    TORCH_CHECK_VALUE(tensor.dim() == 2 && tensor.size(0) > 0 && tensor.size(1) == width, name, " rows have shape ",
                      tensor.sizes(), ", expected [at least 1, ", width, "]");
    return tensor.to(options_.dtype).contiguous();
  };
  const at::Tensor input = checked("input", rows.input, objective_->input_dim());
  if (rows.target.is_same(rows.input)) return {input, input};
  const at::Tensor target = checked("target", rows.target, objective_->output_dim());
  TORCH_CHECK_VALUE(target.size(0) == input.size(0), "there are ", target.size(0), " target rows, expected as many as ",
                    "input rows, ", input.size(0));
  return {input, target};
}

SaeStep SaeTrainer::Step(const TrainingRows& given) {
  const c10::NoGradGuard no_grad;
  const TrainingRows rows = Checked(given);
  // Changes of this step's own are made on copies until the loss and the gradients are known to be finite.
  Parameters parameters = parameters_;
  if (step_ == 0) objective_->InitialiseFromRows(rows, parameters);
  if (options_.constraint.normalise == DecoderConstraint::Normalise::kBeforeForward) {
    parameters[kDecoder] = parameters[kDecoder].clone();
    NormaliseRows(options_.constraint.norm_epsilon, parameters[kDecoder]);
  }
  const TrainingContext context{step_, SparsityScaleAt(options_.sparsity_warmup_steps, step_), options_.matmul};
  Parameters operands = parameters;
  if (options_.matmul != Matmul::kFull) operands[kEncoder] = Operand(options_.matmul, operands[kEncoder]);
  Evaluation evaluation = objective_->Evaluate(operands, state_, rows, context);
  CheckIsFinite(step_, evaluation);
  parameters_ = std::move(parameters);
  state_ = std::move(evaluation.next_state);
  Update(std::move(evaluation.gradients));
  const bool resamples =
      options_.resampling && options_.resampling->rows == 0 && ResamplesAfter(*options_.resampling, context.step);
  const int64_t resampled = resamples ? Resample(rows) : 0;

  const double count = static_cast<double>(rows.input.size(0));
  const double deviation = (rows.target - rows.target.mean(0)).square().sum().item<double>();
  return {evaluation.loss,
          std::move(evaluation.terms),
          evaluation.figures.squared_error / deviation,
          evaluation.figures.active_entries / count,
          evaluation.figures.dead_feature_count,
          resampled};
}

int64_t SaeTrainer::Resample(const TrainingRows& given) {
  TORCH_CHECK_VALUE(options_.resampling, "resampling is not among the options of this trainer");
  const c10::NoGradGuard no_grad;
  const TrainingRows rows = Checked(given);
  const Resampling& resampling = *options_.resampling;
  const at::Tensor dead = (state_.at(kSinceFired) > resampling.dead_after).nonzero().select(1, 0);
  if (dead.numel() == 0) return 0;
  const DictionaryWeights exported = objective_->Export(parameters_, state_);
  for (const auto& [name, tensor] : exported.tensors) {
    CheckIsFinite(step_, c10::str("before resampling, the sum of ", name), tensor.sum(at::kDouble).item<double>());
  }
  const auto dictionary = MakeDictionary(exported, options_.dtype, rows.input.device());
  constexpr int64_t kRowsAtOnce = 1024;
  std::vector<at::Tensor> squared_errors;
  for (int64_t row = 0; row < rows.input.size(0); row += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, rows.input.size(0) - row);
    const at::Tensor x = rows.input.narrow(0, row, count);
    const at::Tensor error = rows.target.narrow(0, row, count) - dictionary->Decode(dictionary->Encode(x), x);
    squared_errors.push_back(error.square().sum(1));
  }
  const at::Tensor weights = ResamplingWeights(resampling.rule, at::cat(squared_errors));
  CheckIsFinite(step_, "before resampling, the sum of the rows' errors", weights.sum().item<double>());
  const at::Tensor drawn = DrawRows(weights, dead.numel(), options_.seed, step_);
  RestartFeatures(resampling.rule, dead, rows.input.index_select(0, drawn), parameters_, adam_);
  return drawn.numel();
}

bool SaeTrainer::WantsResampling() const {
  return options_.resampling && options_.resampling->rows > 0 && step_ > 0 &&
         ResamplesAfter(*options_.resampling, step_ - 1);
}

void SaeTrainer::Update(Parameters gradients) {
  const DecoderConstraint& constraint = options_.constraint;
  if (constraint.normalise == Normalise::kBeforeUpdate) NormaliseRows(constraint.norm_epsilon, parameters_[kDecoder]);
  const auto decoder = gradients.find(kDecoder);
  if (constraint.project_gradient && decoder != gradients.end()) {
    RemoveParallel(parameters_[kDecoder], constraint.projection_epsilon, decoder->second);
  }
  if (options_.gradient_clip > 0) {
    std::vector<at::Tensor> all;
    for (const auto& [name, gradient] : gradients) all.push_back(gradient);
    ClipGradientNorm(all, options_.gradient_clip);
  }
  for (auto& [name, average] : averages_) {
    average.mul_(options_.average_decay).add_(parameters_[name], 1 - options_.average_decay);
  }
  AdamOptions adam = options_.adam;
  adam.learning_rate = RateAt(options_.schedule, step_);
  for (const auto& [name, gradient] : gradients) {
    if (options_.optimiser == SaeTrainerOptions::Optimiser::kAdam) {
      AdamStep(adam, gradient, parameters_[name], adam_[name]);
    } else {
      SignStep(adam.learning_rate, gradient, parameters_[name]);
    }
  }
  if (constraint.normalise == Normalise::kAfterUpdate) NormaliseRows(constraint.norm_epsilon, parameters_[kDecoder]);
  ++step_;
}

Parameters SaeTrainer::AverageParameters() const {
  TORCH_CHECK_VALUE(options_.average_decay > 0 && step_ > 0, "there is no running mean of weights: average_decay is ",
                    options_.average_decay, " and ", step_, " steps were made");
  const double weight = 1 - std::pow(options_.average_decay, static_cast<double>(step_));
  Parameters means;
  for (const auto& [name, average] : averages_) means[name] = average / weight;
  return means;
}

std::map<std::string, at::Tensor> SaeTrainer::State() const {
  std::map<std::string, at::Tensor> out;
  for (const auto& [name, parameter] : parameters_) {
    out[name] = parameter.clone();
  }
  for (const auto& [name, moments] : adam_) SaveAdamState(name, moments, out);
  for (const auto& [name, average] : averages_) out[AverageName(name)] = average.clone();
  for (const auto& [name, tensor] : state_) out[kStatePrefix + name] = tensor.clone();
  out[kStep] = at::scalar_tensor(step_, at::kLong);
  return out;
}

void SaeTrainer::Restore(const std::map<std::string, at::Tensor>& saved) {
  Parameters parameters, averages;
  std::map<std::string, AdamState> adam;
  ObjectiveState state;
  for (const auto& [name, parameter] : parameters_) {
    parameters[name] = TensorOfState(saved, name, parameter.sizes()).to(options_.dtype).contiguous().clone();
  }
  for (const auto& [name, moments] : adam_) {
    TensorOfState(saved, name + ".first_moment", moments.first_moment.sizes());
    TensorOfState(saved, name + ".second_moment", moments.second_moment.sizes());
    adam[name] = LoadAdamState(name, saved);
  }
  for (const auto& [name, average] : averages_) {
    averages[name] = TensorOfState(saved, AverageName(name), average.sizes()).to(options_.dtype).clone();
  }
  for (const auto& [name, tensor] : state_) {
    state[name] = TensorOfState(saved, kStatePrefix + name, tensor.sizes()).to(tensor.scalar_type()).clone();
  }
  step_ = TensorOfState(saved, kStep, {}).item<int64_t>();
  parameters_ = std::move(parameters);
  adam_ = std::move(adam);
  averages_ = std::move(averages);
  state_ = std::move(state);
}

}  // namespace lifescope
