#include "server/evaluation/logistic_regression.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace lifescope {
namespace {

constexpr int kIterations = 100;
constexpr int kHalvings = 40;
// Of the largest weight. Convergence is quadratic: the step that is below this is the last one.
constexpr double kLastStep = 1e-6;

// The objective over w and b together, [width + 1].
class Objective {
 public:
  Objective(const at::Tensor& x, const at::Tensor& labels, double c)
      : x_(at::cat({x.to(at::kDouble), at::ones({x.size(0), 1}, at::kDouble)}, 1)),
        sign_(labels.to(at::kDouble) * 2 - 1),
        penalty_(at::ones({x.size(1) + 1}, at::kDouble)),
        c_(c) {
    penalty_[x.size(1)] = 0;
  }

  double Value(const at::Tensor& w) const {
    const double loss = at::softplus(-sign_ * x_.mv(w)).sum().item<double>();
    return (penalty_ * w * w).sum().item<double>() / 2 + c_ * loss;
  }

  at::Tensor NewtonStep(const at::Tensor& w) const {
    const at::Tensor wrong = at::sigmoid(-sign_ * x_.mv(w));
    const at::Tensor gradient = penalty_ * w - c_ * x_.t().mv(sign_ * wrong);
    const at::Tensor curvature = c_ * wrong * (1 - wrong);
    const at::Tensor hessian = x_.t().mm(x_ * curvature.unsqueeze(1)) + at::diag(penalty_);
    return at::linalg_solve(hessian, gradient);
  }

 private:
  at::Tensor x_, sign_, penalty_;
  double c_;
};

}  // namespace

at::Tensor LogisticModel::Predict(const at::Tensor& x) const { return x.to(at::kDouble).mv(weights) + intercept > 0; }

LogisticModel FitLogisticRegression(const at::Tensor& x, const at::Tensor& labels, double c) {
  TORCH_CHECK_VALUE(
      x.dim() == 2 && labels.dim() == 1 && labels.size(0) == x.size(0) && labels.scalar_type() == at::kBool,
      "x: ", x.sizes(), ", labels: ", labels.scalar_type(), " ", labels.sizes(),
      ", expected [rows, width] and BOOL [rows]");
  const int64_t positives = labels.sum().item<int64_t>();
  TORCH_CHECK_VALUE(0 < positives && positives < labels.size(0), "labels: ", positives, " of ", labels.size(0),
                    " are true, expected some of each");
  TORCH_CHECK_VALUE(c > 0, "c: ", c, ", expected a positive number");
  const Objective objective(x, labels, c);
  at::Tensor w = at::zeros({x.size(1) + 1}, at::kDouble);
  double value = objective.Value(w);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    at::Tensor step = objective.NewtonStep(w);
    at::Tensor next = w - step;
    const bool is_last = step.abs().max().item<double>() <= kLastStep * next.abs().max().item<double>();
    double next_value = objective.Value(next);
    for (int halving = 0; !is_last && halving < kHalvings && !(next_value <= value); ++halving) {
      step = step / 2;
      next = w - step;
      next_value = objective.Value(next);
    }
    w = next;
    value = next_value;
    if (is_last) break;
  }
  return {w.narrow(0, 0, x.size(1)).clone(), w[x.size(1)].item<double>()};
}

}  // namespace lifescope
