// k-sparse probing (Gurnee et al. 2023, arXiv:2305.01610; as in SAEBench): the k features whose means differ most
// between the classes, |mean over positives - mean over negatives| on the training rows, are read by a logistic
// regression (L2, c = 1), of which the accuracy on test rows is reported.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/evaluation/logistic_regression.h"

namespace lifescope {

// Rows with a binary label. A row is what is classified: a token, or the mean of a document's tokens.
struct LabelledCodes {
  SparseActivations codes;
  at::Tensor labels;  // BOOL [rows]
};

struct SparseProbe {
  std::vector<int64_t> features;  // ascending
  LogisticModel model;            // over them, in that order
  double train_accuracy = 0;
  at::Tensor test_predictions;  // BOOL [test rows]
  double test_accuracy = 0;
  double test_f1 = 0;
};

enum class MeanDifference { kAbsolute, kPositive };

// The k features of largest difference, best first; of equal ones the first. kPositive: largest with its sign, of
// features that speak for the label. Throws c10::ValueError when shapes do not fit, all labels are alike, or k is not
// in 1 .. features.
std::vector<int64_t> FeaturesByMeanDifference(const LabelledCodes& rows, int64_t k,
                                              MeanDifference difference = MeanDifference::kAbsolute);

// A probe on given features. Throws c10::ValueError when shapes do not fit or all labels of `train` are alike.
SparseProbe ProbeFeatures(const LabelledCodes& train, const LabelledCodes& test, std::vector<int64_t> features,
                          double c = 1);

// On the k features of largest absolute difference. Throws c10::ValueError as FeaturesByMeanDifference.
SparseProbe ProbeSparsely(const LabelledCodes& train, const LabelledCodes& test, int64_t k, double c = 1);

}  // namespace lifescope
