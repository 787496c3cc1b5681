// Logistic regression with an L2 penalty, converged: minimises ||w||^2 / 2 + c sum_r log(1 + exp(-s_r (w x_r + b))),
// s_r = 1 where the label is true, else -1; b is not penalised (scikit-learn's LogisticRegression).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lifescope {

struct LogisticModel {
  at::Tensor weights;  // DOUBLE [width]
  double intercept = 0;

  // Rows whose w x + b is above 0: [rows, width] -> BOOL [rows].
  at::Tensor Predict(const at::Tensor& x) const;
};

// `x` [rows, width], `labels` BOOL [rows]. By Newton's method with step halving: width^3 per iteration, to about
// 1e-12 of the largest weight. Throws c10::ValueError when shapes do not fit, all labels are alike,
// or c is not positive.
LogisticModel FitLogisticRegression(const at::Tensor& x, const at::Tensor& labels, double c = 1);

}  // namespace lifescope
