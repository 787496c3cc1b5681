#include "server/dictionary/baselines/sparse_coding_trainer.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "server/dictionary/baselines/matched_l1.h"
#include "server/dictionary/baselines/random_directions.h"
#include "server/dictionary/sparse_codes.h"

namespace lifescope {
namespace {

// Steps that the mean squared code looks back on.
constexpr double kHistory = 300;
// How fast l1 follows the distance from k.
constexpr double kL1Rate = 0.2;

void CheckOptions(const SparseCodingTrainerOptions& o) {
  TORCH_CHECK_VALUE(o.activation_dim > 0, "activation_dim is ", o.activation_dim, ", expected at least 1");
  TORCH_CHECK_VALUE(o.feature_count > 0, "feature_count is ", o.feature_count, ", expected at least 1");
  TORCH_CHECK_VALUE(std::isfinite(o.l1) && o.l1 >= 0, "l1 is ", o.l1, ", expected 0 or more");
  TORCH_CHECK_VALUE(o.k >= 0 && o.k <= o.feature_count, "k is ", o.k, ", expected 0 to feature_count, ",
                    o.feature_count);
  TORCH_CHECK_VALUE(o.iterations > 0, "iterations: ", o.iterations, ", expected at least 1");
  TORCH_CHECK_VALUE(o.step_size > 0 && o.lowest_activation > 0, "step_size is ", o.step_size, ", lowest_activation is ",
                    o.lowest_activation, ", expected above 0");
}

}  // namespace

at::Tensor StepDirections(const at::Tensor& directions, const at::Tensor& codes, const at::Tensor& residual,
                          const at::Tensor& mean_squared_codes, double step_size, double lowest_activation) {
  const double scale = step_size / static_cast<double>(codes.size(0));
  const at::Tensor step =
      codes.t().mm(residual).mul_(scale).div_((mean_squared_codes + lowest_activation).unsqueeze(1));
  const at::Tensor moved = directions + step;
  return moved / at::norm(moved, 2, 1, true);
}

SparseCodingTrainer::SparseCodingTrainer(const SparseCodingTrainerOptions& options)
    : options_(options), l1_(options.l1) {
  CheckOptions(options_);
  directions_ = RandomDirections(options_.feature_count, options_.activation_dim, options_.seed).to(options_.dtype);
  squared_codes_ = at::zeros({options_.feature_count}, options_.dtype);
}

SparseCodingStep SparseCodingTrainer::Step(const at::Tensor& rows) {
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.size(0) > 0 && rows.size(1) == options_.activation_dim, "rows have shape ",
                    rows.sizes(), ", expected [at least 1, ", options_.activation_dim, "]");
  const at::Tensor x = rows.to(at::kCPU, options_.dtype);
  const auto k = static_cast<double>(options_.k);
  if (options_.k > 0 && step_ == 0) l1_ = MatchedL1(x, directions_, k, options_.iterations);
  const at::Tensor codes = ShrinkageCodes(x, directions_, LargestEigenvalue(directions_), {l1_, options_.iterations});
  const at::Tensor residual = at::addmm(x, codes, directions_, 1, -1);
  const double keep = 1 - 1 / kHistory;
  squared_codes_.mul_(keep).add_(codes.square().mean(0));
  squared_codes_weight_ = squared_codes_weight_ * keep + 1;
  directions_ = StepDirections(directions_, codes, residual, squared_codes_ / squared_codes_weight_, options_.step_size,
                               options_.lowest_activation);
  ++step_;
  const SparseCodingStep step{residual.to(at::kDouble).square().sum().item<double>() /
                                  (x.to(at::kDouble) - x.to(at::kDouble).mean(0)).square().sum().item<double>(),
                              static_cast<double>((codes > 0).sum().item<int64_t>()) / static_cast<double>(x.size(0))};
  if (options_.k > 0) l1_ *= std::exp(kL1Rate * std::clamp(step.l0 / k - 1, -1.0, 1.0));
  return step;
}

}  // namespace lifescope
