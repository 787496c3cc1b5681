// The scalar that an attribution explains: one number of a document's run, differentiable.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <variant>
#include <vector>

#include "server/corpus/document.h"
#include "server/intervention/run.h"
#include "server/model/transformer.h"

namespace lifescope {

// logit(token_a) - logit(token_b) of the masked-token head at a position.
struct LogitDifferenceMetric {
  int64_t position = 0;
  int32_t token_a = 0;
  int32_t token_b = 0;
};

// Natural log-probability of a token at a position.
struct LogProbabilityMetric {
  int64_t position = 0;
  int32_t token = 0;
};

// Probability of a class that a fine-tuned head gives the person.
struct ClassProbabilityMetric {
  RunHead head;
  int64_t target = 0;
  int64_t class_index = 0;
};

using Metric = std::variant<LogitDifferenceMetric, LogProbabilityMetric, ClassProbabilityMetric>;

// Throws c10::IndexError or c10::ValueError naming the metric's field: a position outside the document, a token outside
// the vocabulary, a missing head, a target or class that it does not have.
void CheckMetric(const Metric& metric, const Transformer& model, const Document& document);

// The metric of every document of a batch, [documents], from the final residual stream [tokens, hidden]; document d is
// rows offsets[d] .. offsets[d + 1). `hooks` apply within the head of a class probability.
at::Tensor MetricValues(const Metric& metric, const Transformer& model, const at::Tensor& final,
                        const std::vector<int64_t>& offsets, const Hooks& hooks = {});

}  // namespace lifescope
