// 1-D probe loss (Gao et al. 2024, arXiv:2406.04093, section 4.2): how well one feature alone tells a binary label,
//   min over features i of min_{w,b} mean_r [-y log s(w f_ri + b) - (1 - y) log(1 - s(w f_ri + b))],  unregularised.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"

namespace lifescope {

// The best logistic regression on one feature. Where a feature separates the labels, w has no finite optimum: `loss` is
// then its infimum to within 1e-9, and w is merely large.
struct FeatureProbe {
  double weight = 0;
  double intercept = 0;
  double loss = 0;  // nats per row
};

// One per feature, by Newton's method over the rows where it is active (its inactive rows are two counts). `labels`
// BOOL [rows]. Independent of the number of threads. Throws c10::ValueError when the shapes do not fit or all labels
// are alike.
std::vector<FeatureProbe> FitFeatureProbes(const SparseActivations& codes, const at::Tensor& labels);

struct ProbeLoss {
  int64_t feature = 0;  // the first of equally good ones
  double weight = 0, intercept = 0;
  double loss = 0;
  double constant_loss = 0;  // of the best constant: the entropy of the labels
};
ProbeLoss MeasureProbeLoss(const SparseActivations& codes, const at::Tensor& labels);

// The loss of a probe on each of other rows, in nats: DOUBLE [rows]. Throws c10::ValueError when the shapes do not fit.
at::Tensor LossesOf(const ProbeLoss& probe, const SparseActivations& codes, const at::Tensor& labels);

}  // namespace lifescope
