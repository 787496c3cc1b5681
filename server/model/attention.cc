#include "server/model/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lifescope {
namespace {

// Added to every feature after the exponential, as in the published code.
constexpr double kFeatureEpsilon = 1e-4;

at::Tensor HostIndex(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

// The positive random features of the softmax kernel (Choromanski et al. 2021, lemma 1), without the stabiliser:
// phi(x) = m^(-1/2) (exp(u - |s x|^2 / 2 - stabiliser) + eps) with u = P (s x), s = head_dim^(-1/4).
struct RandomFeatures {
  at::Tensor u;          // [tokens, heads, m]
  at::Tensor half_norm;  // [tokens, heads, 1]

  RandomFeatures(const at::Tensor& x, const at::Tensor& projection) {
    const at::Tensor scaled = x * std::pow(static_cast<double>(x.size(2)), -0.25);
    u = at::matmul(scaled, projection.t());
    half_norm = scaled.square().sum(-1, true) / 2;
  }

  at::Tensor Phi(const at::Tensor& stabiliser) const {
    const double ratio = 1 / std::sqrt(static_cast<double>(u.size(2)));
    return ratio * (at::exp(u - (half_norm + stabiliser)) + kFeatureEpsilon);
  }
};

// Largest u of every document's keys, [documents, heads]. A padded key has u = 0 and takes part in the maximum.
at::Tensor KeyMaximum(const at::Tensor& u, const AttentionLayout& layout) {
  std::vector<at::Tensor> maximum;
  for (size_t d = 0; d + 1 < layout.offsets.size(); ++d) {
    maximum.push_back(u.slice(0, layout.offsets[d], layout.offsets[d + 1]).amax({0, 2}));
  }
  return at::maximum(at::stack(maximum), layout.key_max_floor);
}

// The rows of each document, [heads, tokens of the document, ...]. One split, whose gradient is one concatenation: the
// gradient of a slice is as large as the whole batch.
std::vector<at::Tensor> ByDocument(const at::Tensor& x, const AttentionLayout& layout) {
  std::vector<int64_t> lengths;
  for (size_t d = 0; d + 1 < layout.offsets.size(); ++d) lengths.push_back(layout.offsets[d + 1] - layout.offsets[d]);
  return at::split_with_sizes(x.transpose(0, 1), lengths, 1);
}

// The edges to change in this layer in the heads [first, first + count).
std::vector<const AttentionEdges*> EdgesOf(const ForwardPass& pass, int64_t first, int64_t count) {
  std::vector<const AttentionEdges*> found;
  if (pass.options.edges == nullptr) return found;
  for (const AttentionEdges& edges : *pass.options.edges) {
    const bool in_heads = first <= edges.head && edges.head < first + count;
    if (edges.layer == pass.layer && in_heads) found.push_back(&edges);
  }
  return found;
}

// Weighted sums by their weight; 0 where there is no weight.
at::Tensor Quotient(const at::Tensor& sum, const at::Tensor& weight) {
  return (sum / weight).masked_fill(weight.eq(0), 0);
}

// FAVOR+: out_i = phi(q_i) . sum_j phi(k_j) v_j^T / phi(q_i) . sum_j phi(k_j), the sums over a document. Padded slots
// have zero values and keys, so they add n_pad phi(0) to the denominator and nothing to the numerator.
at::Tensor GlobalHeads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& projection,
                       const AttentionLayout& layout, const ForwardPass& pass) {
  const RandomFeatures queries(q, projection), keys(k, projection);
  const at::Tensor query_max = queries.u.amax(-1, /*keepdim=*/true).detach();
  const at::Tensor key_max = KeyMaximum(keys.u, layout).detach();
  const at::Tensor phi_q = pass.Hooked(Site::kPhiQ, queries.Phi(query_max));
  const at::Tensor phi_k = pass.Hooked(Site::kPhiK, keys.Phi(key_max.index_select(0, layout.document).unsqueeze(-1)));

  const std::vector<at::Tensor> keys_of = ByDocument(phi_k, layout), values_of = ByDocument(v, layout),
                                queries_of = ByDocument(phi_q, layout);
  const size_t documents = keys_of.size();
  std::vector<at::Tensor> kv(documents), ksum(documents), out(documents);
  for (size_t d = 0; d < documents; ++d) {
    kv[d] = at::matmul(keys_of[d].transpose(1, 2), values_of[d]);
    ksum[d] = keys_of[d].sum(1);
  }
  const double ratio = 1 / std::sqrt(static_cast<double>(projection.size(0)));
  const at::Tensor phi_zero = ratio * (at::exp(-key_max) + kFeatureEpsilon);  // [documents, heads]
  const at::Tensor padded_keys = (layout.padding * phi_zero).unsqueeze(-1);
  const std::vector<at::Tensor> all_kv = pass.Hooked(Site::kKv, at::stack(kv)).unbind();
  const at::Tensor padded_ksum = at::stack(ksum) + padded_keys;
  const std::vector<at::Tensor> all_ksum = pass.Hooked(Site::kKsum, padded_ksum).unbind();

  for (size_t d = 0; d < documents; ++d) {
    const at::Tensor numerator = at::matmul(queries_of[d], all_kv[d]);
    const at::Tensor denominator = at::matmul(queries_of[d], all_ksum[d].unsqueeze(-1));
    out[d] = (numerator / denominator).transpose(0, 1);
  }
  // The kept keys are summed: to take the others off kv and ksum would round away what is left of little weight.
  for (const AttentionEdges* edges : EdgesOf(pass, 0, q.size(1))) {
    const int64_t d = edges->document, head = edges->head;
    const at::Tensor phi = queries_of[d][head].index_select(0, edges->queries);
    const at::Tensor weights = at::matmul(phi, keys_of[d][head].t()) * edges->factors;
    // What has no factor: the padding, and what hooks have made of kv and ksum.
    const at::Tensor kv_change = all_kv[d][head] - kv[d][head];
    const at::Tensor ksum_rest = padded_keys[d][head] + (all_ksum[d][head] - padded_ksum[d][head]);
    const at::Tensor numerator = at::matmul(weights, values_of[d][head]) + at::matmul(phi, kv_change);
    const at::Tensor denominator = weights.sum(1, true) + at::matmul(phi, ksum_rest.unsqueeze(1));
    out[d].select(1, head).index_copy_(0, edges->queries, Quotient(numerator, denominator));
  }
  return at::cat(out);
}

// The pattern [windows, heads, w, 3w] of the heads from `first_head` on, with the pass's edges changed.
at::Tensor ChangeEdges(const at::Tensor& pattern, int64_t first_head, const AttentionLayout& layout,
                       const ForwardPass& pass) {
  const std::vector<const AttentionEdges*> all_edges = EdgesOf(pass, first_head, pattern.size(1));
  if (all_edges.empty()) return pattern;
  at::Tensor changed = pattern.clone();
  for (const AttentionEdges* edges : all_edges) {
    const int64_t begin = layout.offsets[edges->document], w = layout.window;
    const at::Tensor slot = layout.token_slot.index_select(0, edges->queries + begin);
    const at::Tensor window = at::div(slot, w, "floor"), place = slot - window * w;
    const at::Tensor keys = layout.key_row.view({-1, 3 * w}).index_select(0, window) - begin;
    at::Tensor head = changed.select(1, edges->head - first_head);
    const at::Tensor weights = head.index({window, place}) * edges->factors.gather(1, keys);
    head.index_put_({window, place}, Quotient(weights, weights.sum(1, true)));
  }
  return changed;
}

// Softmax attention from every window to itself and its two neighbours in the same document.
at::Tensor LocalHeads(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t first_head,
                      const AttentionLayout& layout, const ForwardPass& pass) {
  const int64_t heads = q.size(1), head_dim = q.size(2), w = layout.window;
  const auto windows = [&](const at::Tensor& x, const at::Tensor& rows,
                           int64_t slots) {  // [windows, heads, slots, dim]
    return x.index_select(0, rows).view({-1, slots, heads, head_dim}).transpose(1, 2);
  };
  const double scale = 1 / std::sqrt(static_cast<double>(head_dim));
  const at::Tensor queries = windows(q * scale, layout.query_row, w);
  const at::Tensor keys = windows(k, layout.key_row, 3 * w);
  const at::Tensor values = windows(v, layout.key_row, 3 * w);

  // Every window holds a token of its document, so no row is masked as a whole and -inf is safe.
  const at::Tensor logits = at::matmul(queries, keys.transpose(2, 3))
                                .masked_fill(layout.key_valid.logical_not(), -std::numeric_limits<double>::infinity());
  const at::Tensor pattern =
      ChangeEdges(pass.Hooked(Site::kPatternLocal, at::softmax(logits, -1)), first_head, layout, pass);
  const at::Tensor out = at::matmul(pass.Dropped(pattern, &Dropout::attention), values);
  return out.transpose(1, 2).reshape({-1, heads, head_dim}).index_select(0, layout.token_slot);
}

// Rows of the windows of a document, and of the windows around each.
struct WindowRows {
  std::vector<int64_t> query, key, slot;
  std::vector<uint8_t> valid;

  // The document's rows follow `begin`, at these positions.
  void Add(int64_t begin, const int64_t* position, int64_t length, int64_t w) {
    std::vector<int64_t> row_at(static_cast<size_t>(position[length - 1] / w + 3) * w,
                                -1);  // a window more at each end
    for (int64_t row = 0; row < length; ++row) row_at[position[row] + w] = begin + row;
    const auto row_or = [&](int64_t slot, int64_t other) { return row_at[slot] < 0 ? other : row_at[slot]; };
    int64_t last_window = -1;
    for (int64_t row = 0; row < length; ++row) {
      const int64_t window = position[row] / w;
      if (window != last_window) {
        for (int64_t s = 0; s < w; ++s) query.push_back(row_or((window + 1) * w + s, begin + row));
        for (int64_t s = 0; s < 3 * w; ++s) {
          valid.push_back(row_at[window * w + s] >= 0);
          key.push_back(row_or(window * w + s, begin + row));
        }
        last_window = window;
      }
      slot.push_back(static_cast<int64_t>(query.size()) - w + position[row] % w);
    }
  }
};

}  // namespace

AttentionLayout MakeAttentionLayout(const PackedBatch& batch, const Hyperparameters& hyperparameters,
                                    at::ScalarType dtype) {
  const at::Device device = batch.token.device();
  AttentionLayout layout;
  layout.offsets = batch.offsets;
  const at::Tensor position = batch.position.to(at::kCPU);
  // A window over the longest document is the whole of every document, as it is over any longer window: a window size
  // from a foreign file costs no more than that.
  layout.window = std::min(hyperparameters.local_window_size, position.max().item<int64_t>() + 1);
  std::vector<int64_t> document;
  std::vector<double> padding, floor;
  WindowRows rows;
  for (int64_t d = 0; d < batch.document_count(); ++d) {
    document.insert(document.end(), static_cast<size_t>(batch.length(d)), d);
    padding.push_back(static_cast<double>(batch.n_slots[d] - batch.length(d)));
    floor.push_back(padding.back() > 0 ? 0 : -std::numeric_limits<double>::infinity());
    rows.Add(batch.offsets[d], position.data_ptr<int64_t>() + batch.offsets[d], batch.length(d), layout.window);
  }
  layout.document = HostIndex(document, device);
  layout.padding = at::tensor(padding, at::kDouble).to(device, dtype).unsqueeze(1);
  layout.key_max_floor = at::tensor(floor, at::kDouble).to(device, dtype).unsqueeze(1);
  layout.query_row = HostIndex(rows.query, device);
  layout.key_row = HostIndex(rows.key, device);
  layout.key_valid = at::tensor(rows.valid, at::kByte).to(device, at::kBool).view({-1, 1, 1, 3 * layout.window});
  layout.token_slot = HostIndex(rows.slot, device);
  return layout;
}

at::Tensor Attention(const BlockWeights& weights, const Hyperparameters& hyperparameters, const at::Tensor& x,
                     const AttentionLayout& layout, const ForwardPass& pass) {
  const int64_t heads = hyperparameters.n_heads, global = hyperparameters.n_global();
  const auto split = [&](const at::Tensor& y) { return y.view({-1, heads, hyperparameters.head_dim()}); };
  const at::Tensor q = pass.Hooked(Site::kQ, split(at::linear(x, weights.w_q)));
  const at::Tensor k = pass.Hooked(Site::kK, split(at::linear(x, weights.w_k)));
  const at::Tensor v = pass.Hooked(Site::kV, split(at::linear(x, weights.w_v)));

  std::vector<at::Tensor> out;
  if (global > 0) {
    out.push_back(GlobalHeads(q.slice(1, 0, global), k.slice(1, 0, global), v.slice(1, 0, global), weights.projection,
                              layout, pass));
  }
  if (global < heads) {
    out.push_back(LocalHeads(q.slice(1, global, heads), k.slice(1, global, heads), v.slice(1, global, heads), global,
                             layout, pass));
  }
  const at::Tensor z = pass.Hooked(Site::kZ, at::cat(out, 1));
  return pass.Dropped(at::linear(z.reshape({-1, hyperparameters.hidden_size}), weights.w_o, weights.b_o),
                      &Dropout::attention);
}

}  // namespace lifescope
