#include "server/evaluation/concept_activation.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <numeric>

#include "server/corpus/random.h"
#include "server/evaluation/logistic_regression.h"
#include "server/intervention/engine.h"

namespace lifescope {
namespace {

constexpr int64_t kMinimumRows = 4;

void CheckRows(const char* name, const at::Tensor& rows, int64_t width, int64_t minimum) {
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.size(1) == width && rows.size(0) >= minimum, name, ": shape ", rows.sizes(),
                    ", expected at least ", minimum, " rows of ", width);
}

at::Tensor Direction(const LogisticModel& model) { return model.weights / model.weights.norm().clamp_min(1e-300); }

// Share of the positive ones among those that are not 0.
double SignCount(const at::Tensor& derivatives) {
  const auto up = derivatives.gt(0).sum().item<int64_t>(), down = derivatives.lt(0).sum().item<int64_t>();
  return up + down == 0 ? 0.5 : static_cast<double>(up) / static_cast<double>(up + down);
}

// Rows 0 .. count in random order, every second one to `second`.
struct Halves {
  at::Tensor first, second;
};
Halves Split(const at::Tensor& rows, Random& random) {
  std::vector<int64_t> order(static_cast<size_t>(rows.size(0)));
  std::iota(order.begin(), order.end(), 0);
  random.Shuffle(order);
  const at::Tensor shuffled = rows.index_select(0, at::tensor(order, at::kLong));
  return {shuffled.slice(0, 0, rows.size(0), 2), shuffled.slice(0, 1, rows.size(0), 2)};
}

at::Tensor Labels(int64_t positive, int64_t negative) {
  return at::cat({at::ones({positive}, at::kBool), at::zeros({negative}, at::kBool)});
}

}  // namespace

ConceptActivation MeasureConceptActivation(const at::Tensor& positive, const at::Tensor& negative,
                                           const at::Tensor& gradients, const ConceptActivationOptions& options) {
  TORCH_CHECK_VALUE(positive.dim() == 2, "positive: shape ", positive.sizes(), ", expected [rows, width]");
  CheckRows("positive", positive, positive.size(1), kMinimumRows);
  CheckRows("negative", negative, positive.size(1), kMinimumRows);
  CheckRows("gradients", gradients, positive.size(1), 1);
  Random random(options.seed);
  const Halves with = Split(positive.to(at::kCPU, at::kDouble), random);
  const Halves without = Split(negative.to(at::kCPU, at::kDouble), random);
  const at::Tensor g = gradients.to(at::kCPU, at::kDouble);
  const at::Tensor train = at::cat({with.first, without.first});
  const at::Tensor labels = Labels(with.first.size(0), without.first.size(0));

  ConceptActivation result;
  const auto fit = [&](const at::Tensor& of) {
    if (options.cancelled && options.cancelled()) throw Cancelled();
    return FitLogisticRegression(train, of, options.c);
  };
  const LogisticModel separator = fit(labels);
  result.direction = Direction(separator);
  const at::Tensor held = Labels(with.second.size(0), without.second.size(0));
  result.accuracy =
      separator.Predict(at::cat({with.second, without.second})).eq(held).to(at::kDouble).mean().item<double>();
  const at::Tensor derivatives = at::mv(g, result.direction);
  const double all = derivatives.abs().sum().item<double>();
  TORCH_CHECK_VALUE(all != 0, "the metric does not depend on the activation at the chosen positions");
  result.sign_count = SignCount(derivatives);
  result.magnitude = derivatives.clamp_min(0).sum().item<double>() / all;

  int64_t as_far = 1;
  for (int64_t i = 0; i < options.random_count; ++i) {
    std::vector<int64_t> order(static_cast<size_t>(labels.numel()));
    std::iota(order.begin(), order.end(), 0);
    random.Shuffle(order);
    const at::Tensor shuffled = labels.index_select(0, at::tensor(order, at::kLong));
    const double score = SignCount(at::mv(g, Direction(fit(shuffled))));
    as_far += std::abs(score - 0.5) >= std::abs(result.sign_count - 0.5) ? 1 : 0;
    result.random_sign_counts.push_back(score);
  }
  result.p_value = static_cast<double>(as_far) / static_cast<double>(options.random_count + 1);
  return result;
}

}  // namespace lifescope
