#include "server/dictionary/topk_trainer.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "server/dictionary/geometric_median.h"
#include "server/dictionary/topk_gradient.h"

namespace lifescope {
namespace {

const char kEncoder[] = "encoder.weight";
const char kEncoderBias[] = "encoder.bias";
const char kDecoder[] = "decoder.weight";
const char kDecoderBias[] = "b_dec";
const char kRowsSinceFired[] = "rows_since_fired";
const char kStep[] = "step";

void CheckOptions(const TopKTrainerOptions& o) {
  TORCH_CHECK_VALUE(o.activation_dim > 0, "activation_dim is ", o.activation_dim, ", expected at least 1");
  TORCH_CHECK_VALUE(o.feature_count > 0 && o.feature_count <= std::numeric_limits<int32_t>::max(), "feature_count is ",
                    o.feature_count, ", expected 1 to 2^31 - 1");
  TORCH_CHECK_VALUE(o.k > 0 && o.k <= o.feature_count, "k is ", o.k, ", expected 1 to feature_count, ",
                    o.feature_count);
  TORCH_CHECK_VALUE(std::isfinite(o.learning_rate) && o.learning_rate >= 0, "learning_rate is ", o.learning_rate,
                    ", expected 0 or more");
  TORCH_CHECK_VALUE(std::isfinite(o.auxk_alpha) && o.auxk_alpha >= 0, "auxk_alpha is ", o.auxk_alpha,
                    ", expected 0 or more");
  TORCH_CHECK_VALUE(o.k_aux >= 0, "k_aux is ", o.k_aux, ", expected 0 or more");
  TORCH_CHECK_VALUE(o.dead_after_rows > 0, "dead_after_rows is ", o.dead_after_rows, ", expected at least 1");
  TORCH_CHECK_VALUE(o.warmup_steps >= 0, "warmup_steps is ", o.warmup_steps, ", expected 0 or more");
  TORCH_CHECK_VALUE(o.decay_start == -1 || (o.decay_start >= o.warmup_steps && o.decay_start < o.total_steps),
                    "decay_start is ", o.decay_start, ", expected -1 or warmup_steps, ", o.warmup_steps,
                    ", to below total_steps, ", o.total_steps);
  TORCH_CHECK_VALUE(o.gradient_clip > 0, "gradient_clip is ", o.gradient_clip, ", expected above 0");
  TORCH_CHECK_VALUE(o.dtype == at::kFloat || o.dtype == at::kDouble, "dtype is ", o.dtype,
                    ", expected Float or Double");
}

// In place: every row [features, activation_dim] divided by its norm.
void NormaliseRows(at::Tensor& directions) {
  const double epsilon = directions.scalar_type() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                                 : std::numeric_limits<float>::epsilon();
  directions.div_(at::norm(directions, 2, 1, true).add_(epsilon));
}

// The gradient without the part that would only change the norm of a row of `directions`.
at::Tensor OrthogonalTo(const at::Tensor& directions, const at::Tensor& gradient) {
  const at::Tensor unit = directions / at::norm(directions, 2, 1, true).add_(1e-6);
  const at::Tensor parallel = (gradient * unit).sum(1, true);
  return at::addcmul(gradient, parallel, unit, -1);
}

const at::Tensor& TensorOfState(const std::map<std::string, at::Tensor>& state, const std::string& name,
                                at::IntArrayRef sizes) {
  const auto found = state.find(name);
  TORCH_CHECK_VALUE(found != state.end(), "trainer state: tensor '", name, "' is missing");
  TORCH_CHECK_VALUE(found->second.sizes() == sizes, "trainer state: tensor '", name, "' has shape ",
                    found->second.sizes(), ", expected ", sizes);
  return found->second;
}

}  // namespace

double LearningRate(const TopKTrainerOptions& options, int64_t step) {
  const double peak = options.learning_rate > 0
                          ? options.learning_rate
                          : 2e-4 / std::sqrt(static_cast<double>(options.feature_count) / (1 << 14));
  if (step < options.warmup_steps) return peak * static_cast<double>(step) / static_cast<double>(options.warmup_steps);
  if (options.decay_start < 0 || step < options.decay_start) return peak;
  const double left = static_cast<double>(std::max<int64_t>(options.total_steps - step, 0));
  return peak * left / static_cast<double>(options.total_steps - options.decay_start);
}

TopKTrainer::TopKTrainer(const TopKTrainerOptions& options) : options_(options) {
  CheckOptions(options_);
  if (options_.k_aux == 0) options_.k_aux = std::max<int64_t>(options_.activation_dim / 2, 1);
  const int64_t width = options_.activation_dim, features = options_.feature_count;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(options_.seed);
  at::Tensor directions = at::empty({features, width}, at::kDouble).uniform_(-1, 1, generator).to(options_.dtype);
  NormaliseRows(directions);
  parameters_[kEncoder] = directions.clone();
  parameters_[kDecoder] = directions.t();
  parameters_[kEncoderBias] = at::zeros({features}, options_.dtype);
  parameters_[kDecoderBias] = at::zeros({width}, options_.dtype);
  for (const auto& [name, parameter] : parameters_) {
    adam_[name] = {at::zeros_like(parameter), at::zeros_like(parameter), 0};
  }
  rows_since_fired_ = at::zeros({features}, at::kLong);
}

TopKStep TopKTrainer::Step(const at::Tensor& rows) {
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.size(0) > 0 && rows.size(1) == options_.activation_dim, "rows have shape ",
                    rows.sizes(), ", expected [at least 1, ", options_.activation_dim, "]");
  const c10::NoGradGuard no_grad;
  const at::Tensor x = rows.to(at::kCPU, options_.dtype).contiguous();
  const at::Tensor b_dec = step_ == 0 ? GeometricMedian(x) : parameters_[kDecoderBias];
  const TopKParameters parameters{parameters_[kEncoder], parameters_[kEncoderBias], parameters_[kDecoder].t(), b_dec};
  const TopKObjective objective{options_.k, options_.k_aux, options_.auxk_alpha, options_.dead_after_rows};
  TopKGradient gradient = ComputeTopKGradient(parameters, objective, x, rows_since_fired_);
  TORCH_CHECK_VALUE(std::isfinite(gradient.result.loss), "step ", step_, ": the loss is ", gradient.result.loss,
                    ", expected a finite number");
  rows_since_fired_ = gradient.rows_since_fired;
  parameters_[kDecoderBias].copy_(b_dec);
  raw_gradients_ = {{kEncoder, gradient.parameters.w_enc},
                    {kEncoderBias, gradient.parameters.b_enc},
                    {kDecoder, gradient.parameters.w_dec.t()},
                    {kDecoderBias, gradient.parameters.b_dec}};
  Update();
  return gradient.result;
}

void TopKTrainer::Update() {
  at::Tensor directions = parameters_[kDecoder].t();
  applied_gradients_.clear();
  std::vector<at::Tensor> gradients;
  for (const auto& [name, raw] : raw_gradients_) {
    const at::Tensor applied = name == kDecoder ? OrthogonalTo(directions, raw.t()).t() : raw.clone();
    applied_gradients_[name] = applied;
    gradients.push_back(applied);
  }
  ClipGradientNorm(gradients, options_.gradient_clip);
  AdamOptions adam;
  adam.learning_rate = LearningRate(options_, step_);
  for (auto& [name, parameter] : parameters_) AdamStep(adam, applied_gradients_[name], parameter, adam_[name]);
  NormaliseRows(directions);
  ++step_;
}

std::map<std::string, at::Tensor> TopKTrainer::State() const {
  std::map<std::string, at::Tensor> state;
  for (const auto& [name, parameter] : parameters_) {
    state[name] = parameter.clone(at::MemoryFormat::Contiguous);
    SaveAdamState(name, adam_.at(name), state);
  }
  state[kRowsSinceFired] = rows_since_fired_.clone();
  state[kStep] = at::scalar_tensor(step_, at::kLong);
  return state;
}

void TopKTrainer::Restore(const std::map<std::string, at::Tensor>& state) {
  std::map<std::string, AdamState> adam;
  for (const auto& [name, parameter] : parameters_) {
    TensorOfState(state, name, parameter.sizes());
    TensorOfState(state, name + ".first_moment", parameter.sizes());
    TensorOfState(state, name + ".second_moment", parameter.sizes());
    adam[name] = LoadAdamState(name, state);
  }
  const at::Tensor& rows_since_fired = TensorOfState(state, kRowsSinceFired, rows_since_fired_.sizes());
  const int64_t step = TensorOfState(state, kStep, {}).item<int64_t>();
  for (auto& [name, parameter] : parameters_) {
    parameter.copy_(state.at(name));
    // Copied into place, so that the layout of the parameter is kept.
    adam_[name].first_moment.copy_(adam[name].first_moment);
    adam_[name].second_moment.copy_(adam[name].second_moment);
    adam_[name].step = adam[name].step;
  }
  rows_since_fired_ = rows_since_fired.to(at::kLong).clone();
  step_ = step;
}

DictionaryWeights TopKTrainer::Fold(double scale) const {
  TORCH_CHECK_VALUE(std::isfinite(scale) && scale > 0, "scale is ", scale, ", expected a finite number above 0");
  // relu and top-k commute with a positive factor: with biases / scale the encoder of raw rows gives features / scale,
  // and the decoder brings these back to raw rows.
  return {"topk",
          {{"W_enc", parameters_.at(kEncoder).t().contiguous()},
           {"b_enc", parameters_.at(kEncoderBias) / scale},
           {"W_dec", parameters_.at(kDecoder).t().clone()},
           {"b_dec", parameters_.at(kDecoderBias) / scale}},
          options_.k};
}

}  // namespace lifescope
