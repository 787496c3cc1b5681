#include "server/model/decoder.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <iterator>

#include "server/model/forward_pass.h"
#include "server/model/named_tensors.h"

namespace lifescope {
namespace {

using Offsets = std::vector<int64_t>;

// In the order of Decoder.
constexpr const char* kKinds[] = {"cls", "attention", "ordinal", "flat"};
static_assert(std::size(kKinds) == std::variant_size_v<Decoder>);

// What the steps of one pass need.
struct DecoderPass {
  const Offsets& offsets;
  const double epsilon;
  const DecoderOptions& options;

  at::Tensor Hooked(Site site, at::Tensor activation) const {
    if (options.hooks == nullptr) return activation;
    return options.hooks->Apply({site, -1, options.head}, std::move(activation));
  }
  at::Tensor Dropped(const at::Tensor& x) const {
    return options.dropout > 0 ? at::dropout(x, options.dropout, /*train=*/true) : x;
  }
  // Keeps mean and variance of self-normalising activations (Klambauer et al. 2017).
  at::Tensor AlphaDropped(const at::Tensor& x) const {
    return options.dropout > 0 ? at::alpha_dropout(x, options.dropout, /*train=*/true) : x;
  }
};

at::Tensor ScaleNorm(const at::Tensor& x, const at::Tensor& g, double epsilon) {
  return x * g / RowNorm(x).clamp_min(epsilon);
}

// [tokens, hidden] -> [documents, hidden].
at::Tensor ClsRows(const at::Tensor& final, const Offsets& offsets) {
  const at::Tensor rows = at::tensor(at::ArrayRef<int64_t>(offsets.data(), offsets.size() - 1), at::kLong);
  return final.index_select(0, rows.to(final.device()));
}

// Weights of every row in its own document: SigSoftmax over its rows, [tokens, contexts].
at::Tensor PoolPattern(const at::Tensor& scores, const Offsets& offsets) {
  std::vector<at::Tensor> weights;
  for (size_t d = 0; d + 1 < offsets.size(); ++d) {
    weights.push_back(SigSoftmax(scores.narrow(0, offsets[d], offsets[d + 1] - offsets[d]), 0));
  }
  return at::cat(weights);
}

// Weighted sums of y [tokens, hidden] over each document: [documents, contexts * hidden].
at::Tensor Pool(const at::Tensor& pattern, const at::Tensor& y, const Offsets& offsets) {
  std::vector<at::Tensor> pooled;
  for (size_t d = 0; d + 1 < offsets.size(); ++d) {
    const int64_t begin = offsets[d], length = offsets[d + 1] - begin;
    pooled.push_back(at::mm(pattern.narrow(0, begin, length).t(), y.narrow(0, begin, length)).flatten());
  }
  return at::stack(pooled);
}

// The part that both pooling decoders have; `contexts` is [contexts, hidden / 2].
template <typename Weights>
at::Tensor AttentionPool(const Weights& w, const at::Tensor& contexts, const at::Tensor& final,
                         const DecoderPass& pass) {
  const at::Tensor act = at::silu(at::linear(final, w.w_in, w.b_in));
  const at::Tensor y = pass.AlphaDropped(ScaleNorm(act, w.g, pass.epsilon));
  const at::Tensor scores = at::linear(at::tanh(at::linear(y, w.w_pool, w.b_pool)), contexts);
  const at::Tensor pattern = pass.Hooked(Site::kPoolPattern, PoolPattern(scores, pass.offsets));
  return Pool(pattern, y, pass.offsets);
}

at::Tensor DecodeWith(const ClsDecoder& w, const at::Tensor& final, const DecoderPass& pass) {
  const at::Tensor act = at::silu(at::linear(ClsRows(final, pass.offsets), w.w_in, w.b_in));
  const at::Tensor y = pass.Dropped(ScaleNorm(act, w.g, pass.epsilon));
  return at::linear(pass.Hooked(Site::kPersonSummary, y), w.w_out, w.b_out);
}

at::Tensor DecodeWith(const AttentionDecoder& w, const at::Tensor& final, const DecoderPass& pass) {
  const at::Tensor pooled = AttentionPool(w, w.context.unsqueeze(0), final, pass);
  return at::linear(pass.Hooked(Site::kPersonSummary, pooled), w.w_out, w.b_out);
}

at::Tensor DecodeWith(const OrdinalDecoder& w, const at::Tensor& final, const DecoderPass& pass) {
  const at::Tensor pooled = at::linear(AttentionPool(w, w.context, final, pass), w.w_post, w.b_post);
  return at::linear(pass.Hooked(Site::kPersonSummary, pooled), w.w_out, w.b_out);
}

at::Tensor DecodeWith(const FlatDecoder& w, const at::Tensor& final, const DecoderPass& pass) {
  const at::Tensor x = pass.Dropped(at::silu(ClsRows(final, pass.offsets)));
  const at::Tensor act = at::silu(at::linear(x, w.w_in, w.b_in));
  const at::Tensor normed = pass.Dropped(at::layer_norm(act, {act.size(1)}, w.w_norm, w.b_norm));
  const at::Tensor y = at::silu(at::linear(normed, w.w_mid, w.b_mid));
  return at::linear(pass.Hooked(Site::kPersonSummary, y), w.w_out);
}

void AddLinear(const std::string& name, int64_t out, int64_t in, at::Tensor& weight, at::Tensor& bias,
               std::vector<NamedTensor>* all) {
  all->push_back({"decoder." + name + ".weight", {out, in}, &weight});
  all->push_back({"decoder." + name + ".bias", {out}, &bias});
}

// Names and shapes of one decoder's tensors.
struct TensorLister {
  const DecoderShape& shape;
  std::vector<NamedTensor> all;

  void operator()(ClsDecoder& w) {
    AddLinear("ff1", shape.hidden_size, shape.hidden_size, w.w_in, w.b_in, &all);
    all.push_back({"decoder.norm_1.g", {1}, &w.g});
    AddLinear("out_layer", shape.output_count, shape.hidden_size, w.w_out, w.b_out, &all);
  }
  void operator()(AttentionDecoder& w) {
    AddPooling(w);
    all.push_back({"decoder.context", {shape.hidden_size / 2}, &w.context});
  }
  void operator()(OrdinalDecoder& w) {
    AddPooling(w);
    all.push_back({"decoder.context", {shape.context_count, shape.hidden_size / 2}, &w.context});
    AddLinear("post", shape.hidden_size, shape.context_count * shape.hidden_size, w.w_post, w.b_post, &all);
  }
  void operator()(FlatDecoder& w) {
    AddLinear("ff", shape.hidden_ff, shape.hidden_size, w.w_in, w.b_in, &all);
    all.push_back({"decoder.norm.weight", {shape.hidden_ff}, &w.w_norm});
    all.push_back({"decoder.norm.bias", {shape.hidden_ff}, &w.b_norm});
    AddLinear("ff2", shape.hidden_size, shape.hidden_ff, w.w_mid, w.b_mid, &all);
    all.push_back({"decoder.out.weight", {shape.output_count, shape.hidden_size}, &w.w_out});
  }

 private:
  template <typename Weights>
  void AddPooling(Weights& w) {
    AddLinear("ff", shape.hidden_size, shape.hidden_size, w.w_in, w.b_in, &all);
    all.push_back({"decoder.norm.g", {1}, &w.g});
    AddLinear("pool", shape.hidden_size / 2, shape.hidden_size, w.w_pool, w.b_pool, &all);
    AddLinear("out", shape.output_count, shape.hidden_size, w.w_out, w.b_out, &all);
  }
};

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

std::string KindOf(const Decoder& decoder) { return kKinds[decoder.index()]; }

Decoder DecoderOfKind(const std::string& kind) {
  if (kind == kKinds[0]) return ClsDecoder();
  if (kind == kKinds[1]) return AttentionDecoder();
  if (kind == kKinds[2]) return OrdinalDecoder();
  TORCH_CHECK_VALUE(kind == kKinds[3], "kind of head: '", kind, "', expected cls, attention, ordinal or flat");
  return FlatDecoder();
}

std::vector<std::pair<std::string, at::Tensor*>> TrainableTensors(Decoder& decoder) {
  std::vector<std::pair<std::string, at::Tensor*>> trainable;
  for (const NamedTensor& named : NamedTensors(decoder, {})) trainable.emplace_back(named.name, named.tensor);
  return trainable;
}

std::vector<NamedTensor> NamedTensors(Decoder& decoder, const DecoderShape& shape) {
  TensorLister lister{shape, {}};
  std::visit(lister, decoder);
  return std::move(lister.all);
}

const std::vector<std::string>& UnusedTensors(const Decoder& decoder) {
  static const std::vector<std::string> ordinal = {"decoder.rezero.weights"};
  static const std::vector<std::string> flat = {"decoder.context",   "decoder.context_1",   "decoder.context_2",
                                                "decoder.context_3", "decoder.pool.weight", "decoder.pool.bias"};
  static const std::vector<std::string> none;
  if (std::holds_alternative<OrdinalDecoder>(decoder)) return ordinal;
  return std::holds_alternative<FlatDecoder>(decoder) ? flat : none;
}

at::Tensor Decode(const Decoder& decoder, const at::Tensor& final, const std::vector<int64_t>& offsets, double epsilon,
                  const DecoderOptions& options) {
  const DecoderPass pass{offsets, epsilon, options};
  return std::visit([&](const auto& weights) { return DecodeWith(weights, final, pass); }, decoder);
}

at::Tensor SigSoftmax(const at::Tensor& scores, int64_t dim) {
  constexpr double kEpsilon = 1e-12;
  return at::softmax(scores + at::log(at::sigmoid(scores) + kEpsilon), dim);
}

Decoder InitializeDecoder(const std::string& kind, const DecoderShape& shape, uint64_t seed) {
  Decoder decoder = DecoderOfKind(kind);
  at::Generator generator = at::detail::createCPUGenerator(seed);
  double bound = 0;  // of the last weight: its bias, which follows it, is drawn alike
  for (const NamedTensor& named : NamedTensors(decoder, shape)) {
    at::Tensor& tensor = *named.tensor;
    tensor = at::empty(named.shape, at::kFloat);
    if (EndsWith(named.name, ".context")) {
      tensor.normal_(0, 1, generator);
    } else if (EndsWith(named.name, "norm.g") || EndsWith(named.name, "norm_1.g")) {
      tensor.fill_(std::sqrt(static_cast<double>(shape.hidden_size)));
    } else if (EndsWith(named.name, "norm.weight")) {
      tensor.fill_(1);
    } else if (EndsWith(named.name, "norm.bias")) {
      tensor.fill_(0);
    } else {
      // kaiming_uniform(a = sqrt 5), as nn.Linear: U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
      if (tensor.dim() == 2) bound = 1 / std::sqrt(static_cast<double>(tensor.size(1)));
      tensor.uniform_(-bound, bound, generator);
    }
  }
  return decoder;
}

}  // namespace lifescope
