#include "server/dictionary/training/objective.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace lifescope {

ObjectiveState Objective::InitialState() const {
  return {{kSinceFired, at::zeros({feature_count()}, at::kLong)},
          {kFireCount, at::zeros({feature_count()}, at::kLong)}};
}

void Objective::InitialiseFromRows(const TrainingRows&, Parameters&) const {}

Evaluation Objective::Evaluate(const Parameters& parameters, const ObjectiveState& state, const TrainingRows& rows,
                               const TrainingContext& context) const {
  return Differentiate(*this, parameters, state, rows, context);
}

Evaluation Differentiate(const Objective& objective, const Parameters& parameters, const ObjectiveState& state,
                         const TrainingRows& rows, const TrainingContext& context) {
  const at::AutoGradMode with_gradients(true);
  Parameters leaves;
  for (const auto& [name, tensor] : parameters) leaves[name] = tensor.detach().requires_grad_(true);
  DifferentiableLoss loss = objective.Loss(leaves, state, rows, context);
  loss.total.backward();
  Evaluation result{loss.total.item<double>(), std::move(loss.terms), {}, loss.figures, std::move(loss.next_state)};
  for (const auto& [name, leaf] : leaves) {
    if (leaf.grad().defined()) result.gradients[name] = leaf.grad();
  }
  return result;
}

}  // namespace lifescope
