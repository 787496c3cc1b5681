#include "server/intervention/feature_edit.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <set>

#include "server/intervention/target_values.h"

namespace lifescope {
namespace {

// 64 MiB of float32.
constexpr int64_t kChunkElements = int64_t{1} << 24;

// Sorted union of a list over all edits.
std::vector<int64_t> Union(const std::vector<CellEdit>& edits, std::vector<int64_t> CellEdit::*list) {
  std::set<int64_t> values;
  for (const CellEdit& edit : edits) values.insert((edit.*list).begin(), (edit.*list).end());
  return {values.begin(), values.end()};
}

std::vector<int64_t> Merge(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::vector<int64_t> merged;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(merged));
  return merged;
}

int64_t LowerBound(const std::vector<int64_t>& sorted, int64_t value) {
  return std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
}

class Change {
 public:
  Change(const Dictionary& dictionary, DictionaryEdits edits)
      : dictionary_(dictionary),
        edits_(std::move(edits)),
        positions_(Merge(Union(edits_.features, &CellEdit::positions), Union(edits_.error, &CellEdit::positions))),
        features_(Union(edits_.features, &CellEdit::channels)) {}

  void Apply(const at::Tensor& rows) const {
    ForEachChunk(static_cast<int64_t>(positions_.size()), dictionary_.feature_count(),
                 [&](int64_t begin, int64_t size) {
                   ApplyTo({positions_.begin() + begin, positions_.begin() + begin + size}, rows);
                 });
  }

 private:
  void ApplyTo(const std::vector<int64_t>& positions, const at::Tensor& rows) const {
    const at::Tensor row_index = IndexTensor(positions, rows.device());
    const at::Tensor feature_index = IndexTensor(features_, rows.device());
    const at::Tensor x = rows.index_select(0, row_index);
    const at::Tensor all = dictionary_.Encode(x);
    const at::Tensor before = all.index_select(1, feature_index);
    const at::Tensor after = before.clone();
    for (const CellEdit& edit : edits_.features) EditRows(edit, positions, &features_, after);
    if (edits_.error_mode == ErrorMode::kReplace) {
      rows.index_copy_(0, row_index, dictionary_.Decode(all.index_copy(1, feature_index, after), x));
      return;
    }
    const at::Tensor change = after - before;
    at::Tensor changes = change.ne(0).any(1);
    at::Tensor error_change;
    if (edits_.clean.defined() || !edits_.error.empty()) {
      error_change = ErrorChange(positions, row_index, x - dictionary_.Decode(all, x));
      changes = changes.logical_or(error_change.ne(0).any(1));
    }
    const at::Tensor changed = changes.nonzero().flatten();
    if (changed.numel() == 0) return;
    const at::Tensor changed_x = x.index_select(0, changed);
    at::Tensor added = dictionary_.DecodeChange(change.index_select(0, changed), features_, changed_x);
    if (error_change.defined()) added = added + error_change.index_select(0, changed);
    rows.index_copy_(0, row_index.index_select(0, changed), changed_x + added);
  }

  // By how much the present error changes.
  at::Tensor ErrorChange(const std::vector<int64_t>& positions, const at::Tensor& row_index,
                         const at::Tensor& error) const {
    if (edits_.clean.defined()) {
      return ReconstructionError(dictionary_, edits_.clean.index_select(0, row_index)) - error;
    }
    const at::Tensor after = error.clone();
    for (const CellEdit& edit : edits_.error) EditRows(edit, positions, nullptr, after);
    return after - error;
  }

  // Applies the part of an edit that is at `positions` (ascending, and a run of positions_) to a matrix of their rows,
  // whose columns are some channels (ascending) or, without a list, all.
  static void EditRows(const CellEdit& edit, const std::vector<int64_t>& positions,
                       const std::vector<int64_t>* channels, const at::Tensor& matrix) {
    const int64_t begin = LowerBound(edit.positions, positions.front());
    const int64_t end = LowerBound(edit.positions, positions.back() + 1);
    if (begin == end) return;
    std::vector<int64_t> rows, columns;
    for (int64_t i = begin; i < end; ++i) rows.push_back(LowerBound(positions, edit.positions[i]));
    for (const int64_t channel : edit.channels) {
      columns.push_back(channels == nullptr ? channel : LowerBound(*channels, channel));
    }
    WriteCells(edit, begin, end - begin, rows, columns, matrix);
  }

  const Dictionary& dictionary_;
  const DictionaryEdits edits_;
  const std::vector<int64_t> positions_;
  const std::vector<int64_t> features_;
};

}  // namespace

void ForEachChunk(int64_t rows, int64_t feature_count, const std::function<void(int64_t begin, int64_t size)>& visit) {
  const int64_t step = std::max<int64_t>(1, kChunkElements / std::max<int64_t>(1, feature_count));
  for (int64_t begin = 0; begin < rows; begin += step) visit(begin, std::min(step, rows - begin));
}

at::Tensor EncodeFeatures(const Dictionary& dictionary, const at::Tensor& x, const std::vector<int64_t>& features) {
  const at::Tensor index = IndexTensor(features, x.device());
  std::vector<at::Tensor> parts;
  ForEachChunk(x.size(0), dictionary.feature_count(), [&](int64_t begin, int64_t size) {
    parts.push_back(dictionary.Encode(x.narrow(0, begin, size)).index_select(1, index));
  });
  return at::cat(parts);
}

RowChange DictionaryChange(const Dictionary& dictionary, DictionaryEdits edits) {
  const auto change = std::make_shared<const Change>(dictionary, std::move(edits));
  return [change](const at::Tensor& rows) { change->Apply(rows); };
}

}  // namespace lifescope
