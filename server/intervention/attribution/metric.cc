#include "server/intervention/attribution/metric.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace lifescope {
namespace {

void CheckRange(int64_t value, int64_t count, const char* field) {
  TORCH_CHECK_INDEX(0 <= value && value < count, "metric.", field, ": ", value, ", expected 0 <= ", field, " < ",
                    count);
}

struct Checker {
  const Transformer& model;
  const Document& document;

  void operator()(const LogitDifferenceMetric& metric) const {
    CheckPosition(metric.position);
    CheckRange(metric.token_a, model.hyperparameters().vocab_size, "token_a");
    CheckRange(metric.token_b, model.hyperparameters().vocab_size, "token_b");
  }
  void operator()(const LogProbabilityMetric& metric) const {
    CheckPosition(metric.position);
    CheckRange(metric.token, model.hyperparameters().vocab_size, "token");
  }
  void operator()(const ClassProbabilityMetric& metric) const {
    const ClassifierHead* head = metric.head.head.get();
    TORCH_CHECK_VALUE(head != nullptr, "metric.head: null, expected a head");
    TORCH_CHECK_VALUE(head->shape().hidden_size == model.hyperparameters().hidden_size, "metric.head: reads ",
                      head->shape().hidden_size, " channels, expected ", model.hyperparameters().hidden_size);
    CheckRange(metric.target, head->target_count(), "target");
    CheckRange(metric.class_index, head->class_count(), "class_index");
  }

 private:
  void CheckPosition(int64_t position) const {
    TORCH_CHECK_VALUE(model.hyperparameters().pretraining_heads, "metric: the model has no masked-token head");
    CheckRange(position, document.length(), "position");
  }
};

struct Evaluator {
  const Transformer& model;
  const at::Tensor& final;
  const std::vector<int64_t>& offsets;
  const Hooks& hooks;

  at::Tensor operator()(const LogitDifferenceMetric& metric) const {
    const at::Tensor logits = LogitsAt(metric.position);
    return logits.select(1, metric.token_a) - logits.select(1, metric.token_b);
  }
  at::Tensor operator()(const LogProbabilityMetric& metric) const {
    return at::log_softmax(LogitsAt(metric.position), 1).select(1, metric.token);
  }
  at::Tensor operator()(const ClassProbabilityMetric& metric) const {
    const ClassifierHead& head = *metric.head.head;
    const at::Tensor logits = head.Logits(final, offsets, {&hooks, metric.head.name});
    return head.Probabilities(logits).select(1, metric.target).select(1, metric.class_index);
  }

 private:
  at::Tensor LogitsAt(int64_t position) const {
    std::vector<int64_t> rows;
    for (size_t d = 0; d + 1 < offsets.size(); ++d) rows.push_back(offsets[d] + position);
    return model.MlmLogits(final.index_select(0, at::tensor(rows, at::kLong).to(final.device())));
  }
};

}  // namespace

void CheckMetric(const Metric& metric, const Transformer& model, const Document& document) {
  std::visit(Checker{model, document}, metric);
}

at::Tensor MetricValues(const Metric& metric, const Transformer& model, const at::Tensor& final,
                        const std::vector<int64_t>& offsets, const Hooks& hooks) {
  return std::visit(Evaluator{model, final, offsets, hooks}, metric);
}

}  // namespace lifescope
