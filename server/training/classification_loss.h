// The losses that life2vec's heads are fine-tuned with.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace lifescope {

enum class ClassificationLoss {
  // -log softmax(z)_c.
  kCrossEntropy,
  // Class-distance-weighted (Polat et al. 2022), for ordered classes, with the published transform:
  // -sum_i log(1 - p_i + 1e-5) ln(1 + |i - c|)^power, p = SigSoftmax(z).
  kClassDistance,
  // Asymmetric, for positive-unlabelled data with two classes: pi times the mean of -log softmax(z)_1 over the persons
  // labelled positive, plus 1 - pi times the mean of -log softmax(z)_0 over the unlabelled ones.
  kAsymmetric,
};

// "cross-entropy", "class-distance", "asymmetric". Throws c10::ValueError naming them.
ClassificationLoss ParseClassificationLoss(const std::string& name);

struct ClassificationLossOptions {
  ClassificationLoss loss = ClassificationLoss::kCrossEntropy;
  double power = 1;              // of kClassDistance
  double positive_weight = 0.5;  // pi of kAsymmetric
};

// Scalar. `logits` [persons, targets, classes]; `classes` INT64 [persons, targets], -1 where a person has none. The
// mean over the targets that someone has of the mean over their persons; 0 when nobody has any. Throws c10::ValueError
// when kAsymmetric is given other than two classes.
at::Tensor ClassificationLossOf(const at::Tensor& logits, const at::Tensor& classes,
                                const ClassificationLossOptions& options);

}  // namespace lifescope
