// The gradient of the pre-training loss on one batch, worked out by several threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/model/transformer.h"
#include "server/training/pretrain_loss.h"

namespace lifescope {

struct BatchGradientOptions {
  PretrainObjective objective;
  int64_t n_slots = 0;
  // Each takes its share of the documents. One thread when there is dropout: its draws come from a single generator.
  int32_t threads = 1;
};

struct BatchGradient {
  double loss = 0;
  double mlm = 0;
  double sop = 0;
  int64_t token_count = 0;
  // In the order of TrainableTensors. Undefined where the loss does not depend on the tensor.
  std::vector<at::Tensor> gradients;
};

// The losses are means over the whole batch, whatever the number of threads; the sums are in the same order every time.
BatchGradient ComputeBatchGradient(const Hyperparameters& hyperparameters, const Weights& weights,
                                   const std::vector<PretrainExample>& examples, const BatchGradientOptions& options);

// Adds losses, token counts and gradients.
void AddTo(BatchGradient& sum, const BatchGradient& part);

}  // namespace lifescope
