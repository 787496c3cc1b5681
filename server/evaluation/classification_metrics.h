// How well class probabilities of persons fit their true classes, with intervals bootstrapped over persons.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/evaluation/bootstrap.h"

namespace lifescope {

// What was predicted of some persons and what is true of them.
struct ClassPredictions {
  int64_t class_count = 2;
  std::vector<double> probabilities;  // [persons, classes], row by row
  std::vector<int64_t> classes;       // [persons], the truth

  int64_t person_count() const { return static_cast<int64_t>(classes.size()); }
};

// From `probabilities` DOUBLE [persons, classes] and `classes` INT64 [persons]; persons of class -1 (none) are left
// out.
ClassPredictions ToClassPredictions(const at::Tensor& probabilities, const at::Tensor& classes);

// Positive-unlabelled data: which share of the persons labelled positive, and of those labelled negative, is positive
// in truth. The defaults say that the labels are the truth; published for mortality: 1 and 0.025.
struct LabelRates {
  double beta = 1;
  double alpha = 0;
};

// Throws c10::ValueError unless 0 <= alpha < beta <= 1.
void CheckLabelRates(const LabelRates& rates);

// Each function needs every person's class in range and gives NaN where it is not defined (a class is missing).

// Two classes, of which 1 is the positive one and s its probability; P the positives, n all persons.
//   AUC = mean over p in P and q not in P of [s_p > s_q] + 1/2 [s_p = s_q]
//   AUL = mean over p in P and every person j of the same (Huang et al. 2023), which needs no true negatives;
//         with the share c of positives it is c/2 + (1 - c) AUC.
double Auc(const ClassPredictions& predictions);
double Aul(const ClassPredictions& predictions);

// Two classes, predicted positive where the probability of 1 is above 1/2. With the observed rates of true and false
// positives g and v, share of positives c, share of positive predictions t, corrected (Ramola et al. 2019) to
//   g' = ((1 - alpha) g - (1 - beta) v) / (beta - alpha),  v' = (beta v - alpha g) / (beta - alpha),
//   c' = c beta + (1 - c) alpha:
//   balanced accuracy = (1 + g' - v') / 2
//   F1                = 2 c' g' / (c' + t)
//   MCC               = sqrt(c' (1 - c') / (t (1 - t))) (g' - v'); 0 where all predictions are alike
double BalancedAccuracy(const ClassPredictions& predictions, const LabelRates& rates = {});
double F1(const ClassPredictions& predictions, const LabelRates& rates = {});
double Mcc(const ClassPredictions& predictions, const LabelRates& rates = {});

// Any number of classes; a person's prediction is the most probable one, the first of several.
// Mean over the classes that some have and some have not of the AUC of the class against the others.
double MacroAuc(const ClassPredictions& predictions);
// Mean over the classes of 2 TP / (2 TP + FP + FN), over those that someone has or is given.
double MacroF1(const ClassPredictions& predictions);
// R_K (Gorodkin 2004), which is the MCC for two classes: with s persons, k correct, t_c of class c, p_c predicted c,
// (k s - sum t_c p_c) / sqrt((s^2 - sum p_c^2) (s^2 - sum t_c^2)); 0 where all predictions are alike.
double MultiClassMcc(const ClassPredictions& predictions);
// Cohen's kappa with weights (i - j)^2: 1 - sum w_ij observed_ij / sum w_ij expected_ij. For classes with an order.
double QuadraticKappa(const ClassPredictions& predictions);

// Two classes: AUC, AUL, balanced accuracy, F1, MCC; more: macro AUC, macro F1, MCC, quadratic kappa. Persons are drawn
// with replacement, all metrics from the same draws; intervals as WithInterval.
// Deterministic. Throws c10::ValueError when there are no persons or resamples, or a class is out of range.
std::vector<Measurement> Measure(const ClassPredictions& predictions, const LabelRates& rates = {},
                                 const BootstrapOptions& options = {});

}  // namespace lifescope
