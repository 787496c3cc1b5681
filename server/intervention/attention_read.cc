#include "server/intervention/attention_read.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/intervention/edit.h"

namespace lifescope {
namespace {

// `phi_q` [queries, features], `phi_k` [rows, features], `ksum` [features]: the sum over the keys and the padded slots.
at::Tensor GlobalWeights(const at::Tensor& phi_q, const at::Tensor& phi_k, const at::Tensor& ksum) {
  const at::Tensor q = phi_q.to(at::kDouble), k = phi_k.to(at::kDouble), all = ksum.to(at::kDouble);
  const at::Tensor padding = (all - k.sum(0)).unsqueeze(0);
  const at::Tensor shares = at::matmul(q, at::cat({k, padding}).t());
  return (shares / at::matmul(q, all.unsqueeze(1))).to(phi_q.scalar_type());
}

// Windows of w slots that hold a row of a document with these slots.
int64_t CountWindows(const int64_t* slots, int64_t rows, int64_t w) {
  int64_t count = 0;
  for (int64_t i = 0; i < rows; ++i) count += i == 0 || slots[i] / w != slots[i - 1] / w;
  return count;
}

// `pattern` [windows, w, 3w], whose windows from `first_window` on are the document's: those that hold a row of it, in
// order. Window t sees the slots from (t - 1) w on.
at::Tensor LocalWeights(const at::Tensor& pattern, int64_t first_window, const int64_t* slots, int64_t rows,
                        const std::vector<int64_t>& queries) {
  const int64_t w = pattern.size(1);
  std::vector<int64_t> pattern_row(rows), begin, columns;
  int64_t window = first_window;
  for (int64_t i = 0; i < rows; ++i) {
    window += i > 0 && slots[i] / w != slots[i - 1] / w;
    pattern_row[i] = window * w + slots[i] % w;
    columns.push_back(slots[i] + w);
  }
  std::vector<int64_t> chosen;
  for (const int64_t query : queries) {
    chosen.push_back(pattern_row[query]);
    begin.push_back(slots[query] / w * w);
  }
  // Column c of `wide` is slot c - w.
  const at::Device device = pattern.device();
  const at::Tensor seen = pattern.flatten(0, 1).index_select(0, IndexTensor(chosen, device));
  const at::Tensor wide = at::zeros({seen.size(0), (slots[rows - 1] / w + 3) * w}, seen.options());
  const at::Tensor first = IndexTensor(begin, device).unsqueeze(1);
  wide.scatter_(1, first + at::arange(3 * w, first.options()), seen);
  return at::constant_pad_nd(wide.index_select(1, IndexTensor(columns, device)), {0, 1});
}

// Changes the weights [queries, rows + 1] of the queries whose edges were changed, as the model changes them.
void ChangeEdges(const AttentionEdges& edges, const std::vector<int64_t>& queries, const at::Tensor& weights) {
  const at::Tensor changed = edges.queries.to(at::kCPU);
  for (int64_t i = 0; i < changed.size(0); ++i) {
    const auto query = std::find(queries.begin(), queries.end(), changed[i].item<int64_t>());
    if (query == queries.end()) continue;
    const at::Tensor row = weights[query - queries.begin()];
    row.narrow(0, 0, row.size(0) - 1).mul_(edges.factors[i]);
    const at::Tensor sum = row.sum();
    if (sum.item<double>() != 0) row.div_(sum);
  }
}

at::Tensor HookedWeights(const AttentionRead& read, const Hyperparameters& hyperparameters, const ForwardOutput& output,
                         size_t row, const std::vector<int64_t>& queries) {
  const std::vector<HookPoint> points = AttentionPoints(read, hyperparameters);
  const RowRange rows = RowsAt({Site::kZ, read.layer}, output.offsets, row);
  if (read.head >= hyperparameters.n_global()) {
    const at::Tensor pattern = output.Captured(points[0]).select(1, read.head - hyperparameters.n_global());
    int64_t first_window = 0;
    for (size_t d = 0; d < row; ++d) {
      const int64_t begin = output.offsets[d], length = output.offsets[d + 1] - begin;
      first_window += CountWindows(&output.slots[begin], length, pattern.size(1));
    }
    return LocalWeights(pattern, first_window, &output.slots[rows.begin], rows.count, queries);
  }
  const auto of_head = [&](const HookPoint& point) { return output.Captured(point).select(1, read.head); };
  const at::Tensor phi_q = of_head(points[0]).narrow(0, rows.begin, rows.count);
  return GlobalWeights(phi_q.index_select(0, IndexTensor(queries, phi_q.device())),
                       of_head(points[1]).narrow(0, rows.begin, rows.count),
                       of_head(points[2]).select(0, static_cast<int64_t>(row)));
}

}  // namespace

std::vector<HookPoint> AttentionPoints(const AttentionRead& read, const Hyperparameters& hyperparameters) {
  if (read.head >= hyperparameters.n_global()) return {{Site::kPatternLocal, read.layer}};
  return {{Site::kPhiQ, read.layer}, {Site::kPhiK, read.layer}, {Site::kKsum, read.layer}};
}

at::Tensor AttentionWeights(const AttentionRead& read, const Hyperparameters& hyperparameters,
                            const ForwardOutput& output, size_t row, const std::vector<int64_t>& queries) {
  const at::Tensor weights = HookedWeights(read, hyperparameters, output, row, queries);
  for (const AttentionEdges& edges : output.edges) {
    const bool of_read = edges.layer == read.layer && edges.head == read.head;
    if (of_read && edges.document == static_cast<int64_t>(row)) ChangeEdges(edges, queries, weights);
  }
  return weights;
}

}  // namespace lifescope
