// Adam and AdamW (Kingma & Ba 2015; Loshchilov & Hutter 2019), with a state that can be saved and restored
// to the bit: both trainers resume exactly.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lifescope {

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  // Decoupled (AdamW): the parameter shrinks by learning_rate * weight_decay before the update.
  double weight_decay = 0;
};

// The moments of one parameter.
struct AdamState {
  at::Tensor first_moment;   // as the parameter
  at::Tensor second_moment;  // as the parameter
  int64_t step = 0;
};

// One update of `parameter` in place, in PyTorch's order of operations. An empty state is initialised. On the CPU,
// where all four tensors are dense in the same order, one pass over them; else AdamStepByAten.
void AdamStep(const AdamOptions& options, const at::Tensor& gradient, at::Tensor& parameter, AdamState& state);

// The same in plain ATen, on any device: what AdamStep is held against.
void AdamStepByAten(const AdamOptions& options, const at::Tensor& gradient, at::Tensor& parameter, AdamState& state);

// Scales all gradients by min(1, max_norm / (norm + 1e-6)) over their common 2-norm (torch semantics); returns
// the norm before. Undefined tensors are skipped.
double ClipGradientNorm(std::vector<at::Tensor>& gradients, double max_norm);

// Moments as named tensors and back ("<name>.first_moment", ".second_moment", ".step"), for checkpoints. Saving
// copies; an empty state saves nothing, and loading nothing gives an empty state. Throws c10::ValueError when
// only some of the three are there.
void SaveAdamState(const std::string& name, const AdamState& state, std::map<std::string, at::Tensor>& out);
AdamState LoadAdamState(const std::string& name, const std::map<std::string, at::Tensor>& in);

}  // namespace lifescope
