#include "server/optimizer/adam.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace lifescope {
namespace {

std::string FirstMomentName(const std::string& name) { return name + ".first_moment"; }
std::string SecondMomentName(const std::string& name) { return name + ".second_moment"; }
std::string StepName(const std::string& name) { return name + ".step"; }

const at::Tensor& Required(const std::map<std::string, at::Tensor>& in, const std::string& name) {
  const auto found = in.find(name);
  TORCH_CHECK_VALUE(found != in.end(), "optimiser state: tensor '", name, "' is missing");
  return found->second;
}

}  // namespace

void AdamStep(const AdamOptions& options, const at::Tensor& gradient, at::Tensor& parameter, AdamState& state) {
  TORCH_CHECK_VALUE(gradient.sizes() == parameter.sizes(), "Adam: the gradient has shape ", gradient.sizes(),
                    ", expected that of the parameter, ", parameter.sizes());
  const c10::NoGradGuard no_grad;
  if (!state.first_moment.defined()) {
    state.first_moment = at::zeros_like(parameter);
    state.second_moment = at::zeros_like(parameter);
  }
  ++state.step;
  const double first_correction = 1 - std::pow(options.beta1, static_cast<double>(state.step));
  const double second_correction = 1 - std::pow(options.beta2, static_cast<double>(state.step));
  if (options.weight_decay != 0) parameter.mul_(1 - options.learning_rate * options.weight_decay);
  state.first_moment.mul_(options.beta1).add_(gradient, 1 - options.beta1);
  state.second_moment.mul_(options.beta2).addcmul_(gradient, gradient, 1 - options.beta2);
  const at::Tensor denominator = state.second_moment.sqrt().div_(std::sqrt(second_correction)).add_(options.epsilon);
  parameter.addcdiv_(state.first_moment, denominator, -options.learning_rate / first_correction);
}

double ClipGradientNorm(std::vector<at::Tensor>& gradients, double max_norm) {
  const c10::NoGradGuard no_grad;
  double squares = 0;
  for (const at::Tensor& gradient : gradients) {
    if (!gradient.defined()) continue;
    const double norm = gradient.norm().item<double>();
    squares += norm * norm;
  }
  const double norm = std::sqrt(squares);
  const double factor = max_norm / (norm + 1e-6);
  // A NaN norm fails this test too and spreads, as in torch: the caller sees it in the returned norm.
  if (factor >= 1) return norm;
  for (at::Tensor& gradient : gradients) {
    if (gradient.defined()) gradient.mul_(factor);
  }
  return norm;
}

void SaveAdamState(const std::string& name, const AdamState& state, std::map<std::string, at::Tensor>& out) {
  if (!state.first_moment.defined()) return;
  out[FirstMomentName(name)] = state.first_moment.clone(at::MemoryFormat::Contiguous);
  out[SecondMomentName(name)] = state.second_moment.clone(at::MemoryFormat::Contiguous);
  out[StepName(name)] = at::scalar_tensor(state.step, at::kLong);
}

AdamState LoadAdamState(const std::string& name, const std::map<std::string, at::Tensor>& in) {
  AdamState state;
  if (in.count(FirstMomentName(name)) + in.count(SecondMomentName(name)) + in.count(StepName(name)) == 0) return state;
  state.first_moment = Required(in, FirstMomentName(name)).clone();
  state.second_moment = Required(in, SecondMomentName(name)).clone();
  const at::Tensor& step = Required(in, StepName(name));
  TORCH_CHECK_VALUE(step.numel() == 1 && step.scalar_type() == at::kLong, "optimiser state: tensor '", StepName(name),
                    "' is ", step.scalar_type(), " of shape ", step.sizes(), ", expected one Long");
  TORCH_CHECK_VALUE(state.first_moment.sizes() == state.second_moment.sizes(), "optimiser state: the moments of '",
                    name, "' have shapes ", state.first_moment.sizes(), " and ", state.second_moment.sizes());
  state.step = step.item<int64_t>();
  return state;
}

}  // namespace lifescope
