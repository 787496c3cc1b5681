#include "server/optimizer/adam.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "server/vector/vector_kernels.h"

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

// Elements that one task of a parallel loop takes at least; also those of which one task makes one sum.
constexpr int64_t kGrain = 16384;

void CheckAndInitialise(const at::Tensor& gradient, const at::Tensor& parameter, AdamState& state) {
  TORCH_CHECK_VALUE(gradient.sizes() == parameter.sizes(), "Adam: the gradient has shape ", gradient.sizes(),
                    ", expected that of the parameter, ", parameter.sizes());
  if (state.first_moment.defined()) return;
  state.first_moment = at::zeros_like(parameter);
  state.second_moment = at::zeros_like(parameter);
}

bool IsFloating(const at::Tensor& tensor) {
  return tensor.is_cpu() && (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble);
}

// Whether element i in memory is the same element of all four.
bool CanRunFlat(const at::Tensor& gradient, const at::Tensor& parameter, const AdamState& state) {
  const auto alike = [&](const at::Tensor& other) {
    return other.is_cpu() && other.scalar_type() == parameter.scalar_type() && other.sizes() == parameter.sizes() &&
           other.strides() == parameter.strides();
  };
  return IsFloating(parameter) && parameter.is_non_overlapping_and_dense() && alike(gradient) &&
         alike(state.first_moment) && alike(state.second_moment);
}

template <typename T>
AdamFactors<T> FactorsOf(const AdamOptions& options, int64_t step) {
  const double first_correction = 1 - std::pow(options.beta1, static_cast<double>(step));
  const double second_correction = 1 - std::pow(options.beta2, static_cast<double>(step));
  return {static_cast<T>(1 - options.learning_rate * options.weight_decay),
          static_cast<T>(options.beta1),
          static_cast<T>(1 - options.beta1),
          static_cast<T>(options.beta2),
          static_cast<T>(1 - options.beta2),
          static_cast<T>(1 / std::sqrt(second_correction)),
          static_cast<T>(options.epsilon),
          static_cast<T>(options.learning_rate / first_correction)};
}

// In double, of sums over parts that do not depend on the number of threads.
double SquaredNorm(const at::Tensor& tensor) {
  if (!IsFloating(tensor) || !tensor.is_contiguous()) {
    const double norm = tensor.norm().item<double>();
    return norm * norm;
  }
  const int64_t count = tensor.numel(), part_count = (count + kGrain - 1) / kGrain;
  std::vector<double> sums(part_count);
  AT_DISPATCH_FLOATING_TYPES(tensor.scalar_type(), "SquaredNorm", [&] {
    const scalar_t* values = tensor.data_ptr<scalar_t>();
    at::parallel_for(0, part_count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        const scalar_t* in = values + part * kGrain;
        sums[part] = Kernels<scalar_t>().dot(in, in, std::min(kGrain, count - part * kGrain));
      }
    });
  });
  double squares = 0;
  for (const double sum : sums) squares += sum;
  return squares;
}

}  // namespace

void AdamStep(const AdamOptions& options, const at::Tensor& gradient, at::Tensor& parameter, AdamState& state) {
  CheckAndInitialise(gradient, parameter, state);
  if (!CanRunFlat(gradient, parameter, state)) return AdamStepByAten(options, gradient, parameter, state);
  ++state.step;
  AT_DISPATCH_FLOATING_TYPES(parameter.scalar_type(), "AdamStep", [&] {
    const AdamFactors<scalar_t> factors = FactorsOf<scalar_t>(options, state.step);
    const scalar_t* in = gradient.data_ptr<scalar_t>();
    scalar_t* first_moment = state.first_moment.data_ptr<scalar_t>();
    scalar_t* second_moment = state.second_moment.data_ptr<scalar_t>();
    scalar_t* out = parameter.data_ptr<scalar_t>();
    at::parallel_for(0, parameter.numel(), kGrain, [&](int64_t begin, int64_t end) {
      Kernels<scalar_t>().adam(factors, in + begin, end - begin, first_moment + begin, second_moment + begin,
                               out + begin);
    });
  });
}

void AdamStepByAten(const AdamOptions& options, const at::Tensor& gradient, at::Tensor& parameter, AdamState& state) {
  const c10::NoGradGuard no_grad;
  CheckAndInitialise(gradient, parameter, state);
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
    if (gradient.defined()) squares += SquaredNorm(gradient);
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
