#include "server/training/classification_loss.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <vector>

#include "server/model/decoder.h"

namespace lifescope {
namespace {

at::Tensor ClassDistanceLoss(const at::Tensor& logits, const at::Tensor& classes, double power) {
  constexpr double kEpsilon = 1e-5;
  const at::Tensor probabilities = SigSoftmax(logits, 1);
  const at::Tensor index = at::arange(logits.size(1), logits.options());
  const at::Tensor distance = (index - classes.unsqueeze(1)).abs();
  return -(at::log(1 - probabilities + kEpsilon) * at::log1p(distance).pow(power)).sum(1).mean();
}

at::Tensor AsymmetricLoss(const at::Tensor& logits, const at::Tensor& classes, double positive_weight) {
  TORCH_CHECK_VALUE(logits.size(1) == 2, "the asymmetric loss is for two classes, found ", logits.size(1));
  const at::Tensor log_probabilities = at::log_softmax(logits, 1);
  at::Tensor loss = at::zeros({}, logits.options());
  for (const int64_t c : {0, 1}) {
    const at::Tensor persons = classes.eq(c).nonzero().squeeze(1);
    if (persons.size(0) == 0) continue;
    const double weight = c == 1 ? positive_weight : 1 - positive_weight;
    loss = loss - weight * log_probabilities.select(1, c).index_select(0, persons).mean();
  }
  return loss;
}

// Of one target, for persons who all have a class: logits [persons, classes].
at::Tensor TargetLoss(const at::Tensor& logits, const at::Tensor& classes, const ClassificationLossOptions& options) {
  switch (options.loss) {
    case ClassificationLoss::kCrossEntropy:
      return at::cross_entropy_loss(logits, classes);
    case ClassificationLoss::kClassDistance:
      return ClassDistanceLoss(logits, classes, options.power);
    case ClassificationLoss::kAsymmetric:
      return AsymmetricLoss(logits, classes, options.positive_weight);
  }
  TORCH_CHECK(false, "loss ", static_cast<int>(options.loss), " is not in the enum");
}

}  // namespace

ClassificationLoss ParseClassificationLoss(const std::string& name) {
  if (name == "cross-entropy") return ClassificationLoss::kCrossEntropy;
  if (name == "class-distance") return ClassificationLoss::kClassDistance;
  TORCH_CHECK_VALUE(name == "asymmetric", "loss '", name, "', expected cross-entropy, class-distance or asymmetric");
  return ClassificationLoss::kAsymmetric;
}

at::Tensor ClassificationLossOf(const at::Tensor& logits, const at::Tensor& classes,
                                const ClassificationLossOptions& options) {
  std::vector<at::Tensor> losses;
  for (int64_t target = 0; target < logits.size(1); ++target) {
    const at::Tensor of_target = classes.select(1, target);
    const at::Tensor persons = of_target.ge(0).nonzero().squeeze(1);
    if (persons.size(0) == 0) continue;
    losses.push_back(
        TargetLoss(logits.select(1, target).index_select(0, persons), of_target.index_select(0, persons), options));
  }
  return losses.empty() ? logits.sum() * 0 : at::stack(losses).mean();
}

}  // namespace lifescope
