#include "server/intervention/direct_logit.h"

#include <ATen/ATen.h>

#include <string>

namespace lifescope {
namespace {

// The norm's lower bound in the head.
constexpr double kMinimumNorm = 1e-12;

at::Tensor Wide(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

// [rows, n] -> [rows, 1].
at::Tensor RowDot(const at::Tensor& a, const at::Tensor& b) { return (a * b).sum(1, /*keepdim=*/true); }

// The head at some rows, linear in s = V x + b and so in x: logit = gradient.x + bias + gap.
struct LinearHead {
  at::Tensor logit;      // [rows, 1]
  at::Tensor gradient;   // [rows, hidden]
  at::Tensor bias, gap;  // [rows, 1]

  LinearHead(const DirectLogitRead& read, const Transformer& model, const at::Tensor& x) {
    const MlmHeadWeights& w = model.weights().mlm;
    at::Tensor direction = model.mlm_decoder()[read.token_a];
    if (read.token_b) direction = direction - model.mlm_decoder()[*read.token_b];
    const at::Tensor u = Wide(w.g) * Wide(direction).unsqueeze(0);
    const at::Tensor v = Wide(w.v), b = Wide(w.b_v).unsqueeze(0);

    const at::Tensor s = at::matmul(x, v.t()) + b, h = s.tanh();
    const at::Tensor norm = h.norm(2, {-1}, /*keepdim=*/true).clamp_min(kMinimumNorm);
    const at::Tensor unit = h / norm;
    logit = RowDot(unit, u);
    const at::Tensor in_s = read.linearisation == Linearisation::kPoint
                                ? (1 - h.square()) * (u - unit * logit) / norm
                                : at::where(s.eq(0), at::ones_like(s), h / s) * u / norm;
    gradient = at::matmul(in_s, v);
    bias = RowDot(in_s, b);
    gap = logit - RowDot(in_s, s);
  }
};

std::string LayerName(int64_t layer) { return "blocks." + std::to_string(layer); }

// Contributions of a layer's heads and of its output bias, from z [rows, hidden]; appends columns.
void AddHeads(const Transformer& model, int64_t layer, const at::Tensor& z, const at::Tensor& gradient,
              std::vector<std::string>* names, std::vector<at::Tensor>* columns) {
  const BlockWeights& w = model.weights().blocks[layer];
  const int64_t heads = model.hyperparameters().n_heads, head_dim = model.hyperparameters().head_dim();
  const at::Tensor in_out = gradient * Wide(w.gate_attention);
  columns->push_back((z * at::matmul(in_out, Wide(w.w_o))).view({z.size(0), heads, head_dim}).sum(2));
  columns->push_back(at::matmul(in_out, Wide(w.b_o)).unsqueeze(1));
  for (int64_t head = 0; head < heads; ++head) {
    names->push_back(LayerName(layer) + ".attn.heads." + std::to_string(head));
  }
  names->push_back(LayerName(layer) + ".attn.bias");
}

}  // namespace

std::vector<HookPoint> DirectLogitPoints(const DirectLogitRead& read, const Hyperparameters& hyperparameters) {
  const Site attention = read.components == DirectLogitRead::Components::kHeads ? Site::kZ : Site::kAttnContrib;
  std::vector<HookPoint> points = {{Site::kEmbedToken}, {Site::kEmbedAge}, {Site::kEmbedAbspos}, {Site::kEmbedSegment}};
  for (int64_t layer = 0; layer < hyperparameters.n_encoders; ++layer) {
    points.push_back({attention, layer});
    points.push_back({Site::kMlpContrib, layer});
  }
  return points;
}

DirectLogitValue DirectLogit(const DirectLogitRead& read, const Transformer& model, const at::Tensor& final,
                             const std::function<at::Tensor(const HookPoint&)>& rows_at) {
  const at::Tensor x = Wide(final);
  const LinearHead head(read, model, x);
  DirectLogitValue value;
  std::vector<at::Tensor> columns;
  for (const HookPoint& point : DirectLogitPoints(read, model.hyperparameters())) {
    const at::Tensor rows = Wide(rows_at(point));
    if (point.site == Site::kZ) {
      AddHeads(model, point.layer, rows, head.gradient, &value.components, &columns);
    } else {
      value.components.push_back(point.ToString());
      columns.push_back(RowDot(rows, head.gradient));
    }
  }
  value.components.push_back("edits");
  columns.push_back(RowDot(x, head.gradient) - at::cat(columns, 1).sum(1, /*keepdim=*/true));
  const auto as_run = [&](const at::Tensor& tensor) { return tensor.to(at::kCPU, final.scalar_type()); };
  value.contributions = as_run(at::cat(columns, 1));
  value.logit = as_run(head.logit.squeeze(1));
  value.bias = as_run(head.bias.squeeze(1));
  value.gap = as_run(head.gap.squeeze(1));
  return value;
}

}  // namespace lifescope
