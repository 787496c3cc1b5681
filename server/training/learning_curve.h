// The picture of a training: its losses over the steps.
#pragma once

#include <string>
#include <vector>

#include "server/training/loss_log.h"

namespace lifescope {

// SVG: the masked-token loss of the batches, faint, and its running mean; the validation loss; and the loss of whoever
// knows the token frequencies alone.
std::string LearningCurve(const std::string& model, const std::vector<LossLine>& lines, double unigram_loss);

}  // namespace lifescope
