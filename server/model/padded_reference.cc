#include "server/model/padded_reference.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <vector>

namespace lifescope {
namespace {

at::Tensor Act(Activation activation, const at::Tensor& x) {
  switch (activation) {
    case Activation::kRelu:
      return x.clamp_min(0);
    case Activation::kSwish:
      return x * at::sigmoid(x);
    case Activation::kGelu:
    case Activation::kGeluCustom:
      return x * 0.5 * (1 + at::erf(x / std::sqrt(2.0)));
    case Activation::kGeluGoogle:
      break;
  }
  return 0.5 * x * (1 + at::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

at::Tensor UnitRows(const at::Tensor& x, double epsilon) { return x / (x * x).sum(-1, true).sqrt().clamp_min(epsilon); }

}  // namespace

PaddedBatch PadBatch(const PackedBatch& batch) {
  const int64_t documents = batch.document_count(), slots = batch.n_slots.front();
  PaddedBatch padded{at::zeros({documents, 4, slots}, at::kLong), at::zeros({documents, slots}, at::kBool)};
  for (int64_t d = 0; d < documents; ++d) {
    const auto rows = [&](const at::Tensor& column) { return column.slice(0, batch.offsets[d], batch.offsets[d + 1]); };
    const at::Tensor columns[] = {batch.token, batch.abspos, batch.age, batch.segment};
    for (int64_t row = 0; row < 4; ++row) {
      padded.input_ids[d][row].index_copy_(0, rows(batch.position), rows(columns[row]));
    }
    padded.mask[d].index_fill_(0, rows(batch.position), true);
  }
  return padded;
}

at::Tensor RealRows(const at::Tensor& padded, const at::Tensor& mask) {
  const at::Tensor rows = mask.flatten().nonzero().flatten();
  return padded.flatten(0, 1).index_select(0, rows);
}

at::Tensor PaddedReference::TokenMatrix(const std::string& owner) const {
  if (state_.count(owner + ".weight") > 0) return W(owner + ".weight");
  const std::string prefix = owner + ".parametrizations.weight.";
  const at::Tensor matrix = W(prefix + "original");
  at::Tensor special = at::zeros({matrix.size(0)}, at::kBool);
  if (W(prefix + "0.use_ignore_index").item<bool>()) special.index_fill_(0, W(prefix + "0.ignore_index"), 1);
  const at::Tensor ordinary = special.logical_not().nonzero().flatten();
  const at::Tensor mean = matrix.index_select(0, ordinary).mean(0, true);
  const at::Tensor centred = (matrix - mean).masked_fill(special.unsqueeze(1), 0);
  return W(prefix + "0.norm").item<bool>() ? UnitRows(centred, 1e-12) : centred;
}

at::Tensor PaddedReference::TimeVector(const std::string& name, const at::Tensor& time, bool cosine) const {
  const at::Tensor t = time.to(W(name + ".w").scalar_type()).unsqueeze(-1);
  const at::Tensor periodic = at::matmul(t, W(name + ".w")) + W(name + ".b");
  const at::Tensor linear = at::matmul(t, W(name + ".w0")) + W(name + ".b0");
  at::Tensor vector = at::cat({cosine ? periodic.cos() : periodic.sin(), linear}, -1);
  at::Tensor kept = at::ones({time.size(1), 1}, vector.options());
  kept.slice(0, 0, std::min<int64_t>(5, time.size(1))).zero_();
  return vector * kept;
}

at::Tensor PaddedReference::Embed(const at::Tensor& input_ids) const {
  const std::string prefix = "transformer.embedding.";
  const auto row = [&](int64_t i) { return input_ids.select(1, i); };
  at::Tensor x = at::embedding(TokenMatrix(prefix + "token"), row(0));
  x = x + W(prefix + "res_age.weights") * TimeVector(prefix + "age", row(2), true);
  x = x + W(prefix + "res_abs.weights") * TimeVector(prefix + "abspos", row(1), false);
  return x + W(prefix + "res_seg.weights") * at::embedding(W(prefix + "segment.weight"), row(3));
}

// x [documents, heads, slots, head_dim] -> [documents, heads, slots, features].
at::Tensor PaddedReference::Favor(const at::Tensor& x, const at::Tensor& projection, bool is_query) const {
  const double scale = std::pow(static_cast<double>(x.size(-1)), -0.25);
  const double ratio = std::pow(static_cast<double>(projection.size(0)), -0.5);
  const at::Tensor dash = at::matmul(scale * x, projection.t());
  const at::Tensor diagonal = (x * x).sum(-1, true) / 2 * scale * scale;
  const at::Tensor maximum = is_query ? dash.amax(-1, true) : dash.amax(at::IntArrayRef({-1, -2}), true);
  return ratio * (at::exp(dash - diagonal - maximum.detach()) + 1e-4);
}

// [documents, heads, windows, w, dim] -> [documents, heads, windows, 3w, dim].
at::Tensor PaddedReference::LookAround(const at::Tensor& windows, double outside) const {
  const at::Tensor edge = at::full_like(windows.slice(2, 0, 1), outside);
  const at::Tensor extended = at::cat({edge, windows, edge}, 2);
  const int64_t count = windows.size(2);
  return at::cat({extended.slice(2, 0, count), extended.slice(2, 1, count + 1), extended.slice(2, 2, count + 2)}, 3);
}

at::Tensor PaddedReference::LocalAttention(at::Tensor q, at::Tensor k, at::Tensor v, at::Tensor mask) const {
  const int64_t slots = q.size(2), w = h_.local_window_size, missing = (w - slots % w) % w;
  for (at::Tensor* x : {&q, &k, &v}) *x = at::constant_pad_nd(*x, {0, 0, 0, missing});
  mask = at::constant_pad_nd(mask.to(at::kFloat), {0, missing});
  const auto windows = [&](const at::Tensor& x) { return x.reshape({x.size(0), x.size(1), -1, w, x.size(3)}); };

  const at::Tensor queries = windows(q) * std::pow(static_cast<double>(q.size(3)), -0.5);
  const at::Tensor keys = LookAround(windows(k), -1), values = LookAround(windows(v), -1);
  const at::Tensor visible = LookAround(windows(mask.unsqueeze(1).unsqueeze(-1)), 0);
  const double lowest = q.scalar_type() == at::kDouble ? std::numeric_limits<double>::lowest()
                                                       : static_cast<double>(std::numeric_limits<float>::lowest());
  const at::Tensor hidden = visible.lt(0.5).transpose(3, 4);
  const at::Tensor logits = at::matmul(queries, keys.transpose(3, 4)).masked_fill(hidden, lowest);
  return at::matmul(at::softmax(logits, -1), values).flatten(2, 3).slice(2, 0, slots);
}

at::Tensor PaddedReference::Attention(const std::string& layer, const at::Tensor& x, const at::Tensor& mask) const {
  const std::string name = layer + "attention.attention.";
  const int64_t global = h_.n_global();
  const auto heads = [&](const std::string& weight) {
    const at::Tensor y = at::matmul(x, W(name + weight).t());
    return y.view({x.size(0), x.size(1), h_.n_heads, h_.head_dim()}).transpose(1, 2);
  };
  const at::Tensor q = heads("to_q.weight"), k = heads("to_k.weight"), v = heads("to_v.weight");
  std::vector<at::Tensor> out;
  if (global > 0) {
    const at::Tensor projection = W(name + "fast_attention.projection_matrix");
    const at::Tensor phi_q = Favor(q.slice(1, 0, global), projection, true);
    const at::Tensor phi_k = Favor(k.slice(1, 0, global), projection, false);
    const at::Tensor values = v.slice(1, 0, global).masked_fill(mask.logical_not().unsqueeze(1).unsqueeze(-1), 0);
    const at::Tensor context = at::matmul(phi_k.transpose(2, 3), values);
    const at::Tensor denominator = at::matmul(phi_q, phi_k.sum(2).unsqueeze(-1));
    out.push_back(at::matmul(phi_q, context) / denominator);
  }
  if (h_.n_local > 0) {
    const auto local = [&](const at::Tensor& y) { return y.slice(1, global, h_.n_heads); };
    out.push_back(LocalAttention(local(q), local(k), local(v), mask));
  }
  const at::Tensor z = at::cat(out, 1).transpose(1, 2).flatten(2, 3);
  return at::matmul(z, W(name + "to_out.weight").t()) + W(name + "to_out.bias");
}

at::Tensor PaddedReference::Forward(const PaddedBatch& batch) const {
  at::Tensor x = Embed(batch.input_ids);
  const at::Tensor mask = batch.mask.to(x.scalar_type()).unsqueeze(-1);
  for (int64_t i = 0; i < h_.n_encoders; ++i) {
    const std::string layer = "transformer.encoders." + std::to_string(i) + ".";
    x = x * mask;
    x = x + W(layer + "attention_sublayer.norm.weights") * Attention(layer, x, batch.mask);
    const at::Tensor pre =
        at::matmul(x, W(layer + "position_wise.hidden2ff.weight").t()) + W(layer + "position_wise.hidden2ff.bias");
    const at::Tensor out = at::matmul(Act(h_.hidden_act, pre), W(layer + "position_wise.ff2hidden.weight").t()) +
                           W(layer + "position_wise.ff2hidden.bias");
    x = x + W(layer + "position_sublayer.norm.weights") * out;
  }
  return x;
}

at::Tensor PaddedReference::MlmLogits(const at::Tensor& rows) const {
  const at::Tensor act = at::tanh(at::matmul(rows, W("mlm_decoder.V.weight").t()) + W("mlm_decoder.V.bias"));
  return W("mlm_decoder.g") * at::matmul(UnitRows(act, 1e-12), TokenMatrix("mlm_decoder.out").t());
}

at::Tensor PaddedReference::SopLogits(const at::Tensor& cls) const {
  const at::Tensor in = at::matmul(cls, W("sop_decoder.in_layer.weight").t()) + W("sop_decoder.in_layer.bias");
  const at::Tensor normed = UnitRows(in * at::sigmoid(in), h_.epsilon) * W("sop_decoder.norm.g");
  return at::matmul(normed, W("sop_decoder.out_layer.weight").t()) + W("sop_decoder.out_layer.bias");
}

}  // namespace lifescope
