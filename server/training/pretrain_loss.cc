#include "server/training/pretrain_loss.h"

#include <ATen/ATen.h>

namespace lifescope {
namespace {

constexpr int64_t kNoIgnoredTarget = -100;

}  // namespace

at::Tensor MlmLoss(const at::Tensor& logits, const at::Tensor& targets) {
  return at::cross_entropy_loss(logits, targets);
}

at::Tensor SopLoss(const at::Tensor& logits, const at::Tensor& orders, const PretrainObjective& objective) {
  const at::Tensor weights =
      at::tensor(at::ArrayRef<double>(objective.sop_class_weights), at::kDouble).to(logits.options());
  return at::cross_entropy_loss(logits, orders, weights, at::Reduction::Mean, kNoIgnoredTarget,
                                objective.label_smoothing);
}

PretrainBatch PackExamples(const std::vector<PretrainExample>& examples, int64_t n_slots, at::Device device) {
  std::vector<DocumentRows> rows;
  std::vector<int64_t> target_rows, target_tokens, cls_rows, orders;
  int64_t offset = 0;
  for (const PretrainExample& example : examples) {
    const Document& document = example.document;
    rows.push_back({document.token.data(), document.abspos.data(), document.age.data(), document.segment.data(),
                    document.length(), n_slots});
    for (const int64_t position : example.targets.positions) target_rows.push_back(offset + position);
    target_tokens.insert(target_tokens.end(), example.targets.tokens.begin(), example.targets.tokens.end());
    cls_rows.push_back(offset);
    orders.push_back(static_cast<int64_t>(example.order));
    offset += document.length();
  }
  const auto on_device = [&](const std::vector<int64_t>& values) { return at::tensor(values, at::kLong).to(device); };
  return {MakePackedBatch(rows, device), on_device(target_rows), on_device(target_tokens), on_device(cls_rows),
          on_device(orders)};
}

PretrainLosses ComputeLosses(const Transformer& model, const PretrainBatch& batch, const PretrainObjective& objective,
                             const Dropout* dropout) {
  ForwardOptions options;
  options.dropout = dropout;
  const at::Tensor residual = model.Forward(batch.documents, options);
  const at::Tensor mlm_logits = model.MlmLogits(residual.index_select(0, batch.target_rows), options);
  const at::Tensor sop_logits = model.SopLogits(residual.index_select(0, batch.cls_rows), options);
  return {MlmLoss(mlm_logits, batch.target_tokens), SopLoss(sop_logits, batch.orders, objective)};
}

}  // namespace lifescope
