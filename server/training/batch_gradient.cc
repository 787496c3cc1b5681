#include "server/training/batch_gradient.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

namespace lifescope {
namespace {

// Shares of the whole batch's means that a part of it holds.
struct Share {
  double mlm = 1, sop = 1;
};

double OrderWeight(const std::vector<PretrainExample>& examples, const PretrainObjective& objective) {
  double sum = 0;
  for (const PretrainExample& example : examples) {
    sum += objective.sop_class_weights[static_cast<size_t>(example.order)];
  }
  return sum;
}

double TargetCount(const std::vector<PretrainExample>& examples) {
  double count = 0;
  for (const PretrainExample& example : examples) count += static_cast<double>(example.targets.positions.size());
  return count;
}

BatchGradient GradientOfPart(const Hyperparameters& hyperparameters, Weights weights,
                             const std::vector<PretrainExample>& examples, const Share& share,
                             const BatchGradientOptions& options) {
  // Leaves of this part's own graph, on the common storage.
  const auto leaves = TrainableTensors(weights);
  for (const auto& [name, tensor] : leaves) *tensor = tensor->detach().requires_grad_(true);
  const at::Device device = weights.embedding.token.device();
  const Dropout dropout{hyperparameters.emb_dropout, hyperparameters.fw_dropout, hyperparameters.att_dropout,
                        hyperparameters.dc_dropout};
  const Transformer model(hyperparameters, weights);
  const PretrainBatch batch = PackExamples(examples, options.n_slots, device);
  const PretrainLosses losses = ComputeLosses(model, batch, options.objective, &dropout);
  at::Tensor loss = options.objective.sop_weight * share.sop * losses.sop;
  // The mean over no targets is not a number.
  if (share.mlm > 0) loss = loss + options.objective.mlm_weight * share.mlm * losses.mlm;
  loss.backward();

  BatchGradient result;
  result.loss = loss.item<double>();
  result.mlm = share.mlm > 0 ? share.mlm * losses.mlm.item<double>() : 0;
  result.sop = share.sop * losses.sop.item<double>();
  result.token_count = batch.documents.token_count();
  for (const auto& [name, tensor] : leaves) result.gradients.push_back(tensor->grad());
  return result;
}

bool HasDropout(const Hyperparameters& h) {
  return h.emb_dropout > 0 || h.fw_dropout > 0 || h.att_dropout > 0 || h.dc_dropout > 0;
}

}  // namespace

void AddTo(BatchGradient& sum, const BatchGradient& part) {
  sum.loss += part.loss;
  sum.mlm += part.mlm;
  sum.sop += part.sop;
  sum.token_count += part.token_count;
  for (size_t i = 0; i < sum.gradients.size(); ++i) {
    if (!part.gradients[i].defined()) continue;
    sum.gradients[i] = sum.gradients[i].defined() ? sum.gradients[i] + part.gradients[i] : part.gradients[i];
  }
}

BatchGradient ComputeBatchGradient(const Hyperparameters& hyperparameters, const Weights& weights,
                                   const std::vector<PretrainExample>& examples, const BatchGradientOptions& options) {
  const size_t wanted = HasDropout(hyperparameters) ? 1 : static_cast<size_t>(std::max(1, options.threads));
  const size_t count = std::min(wanted, examples.size());
  const double targets = TargetCount(examples), order_weight = OrderWeight(examples, options.objective);
  std::vector<BatchGradient> parts(count);
  std::vector<std::exception_ptr> failures(count);
  const auto compute = [&](size_t part) {
    try {
      const std::vector<PretrainExample> mine(examples.begin() + examples.size() * part / count,
                                              examples.begin() + examples.size() * (part + 1) / count);
      const Share share{targets > 0 ? TargetCount(mine) / targets : 0,
                        OrderWeight(mine, options.objective) / order_weight};
      parts[part] = GradientOfPart(hyperparameters, weights, mine, share, options);
    } catch (...) {
      failures[part] = std::current_exception();
    }
  };
  // One part runs here, with the caller's threads; several run each on a thread of its own, which opens no others.
  std::vector<std::thread> threads;
  for (size_t part = 0; count > 1 && part < count; ++part) {
    threads.emplace_back([&compute, part] {
      at::set_num_threads(1);
      compute(part);
    });
  }
  if (count == 1) compute(0);
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  for (size_t part = 1; part < count; ++part) AddTo(parts[0], parts[part]);
  return std::move(parts[0]);
}

}  // namespace lifescope
