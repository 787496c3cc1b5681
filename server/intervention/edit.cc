#include "server/intervention/edit.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/intervention/feature_edit.h"
#include "server/intervention/path_patch.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

// Resolves modes into values; one per (edit, document).
class CellCompiler {
 public:
  CellCompiler(const Run& run, const Edit& edit, int64_t document, const Transformer& model, CleanValues& clean)
      : run_(run), edit_(edit), document_(document), model_(model), clean_(clean) {}

  CellEdit Compile() {
    cells_.channels = EditedChannels(edit_.target, model_.hyperparameters());
    std::visit([this](const auto& mode) { Resolve(mode); }, edit_.mode);
    if (cells_.positions.empty()) {
      cells_.positions =
          ResolveRows(EditHookPoint(run_, edit_.target), edit_.positions, run_.documents[document_], "positions");
    }
    cells_.values = cells_.values.to(model_.device(), model_.dtype());
    return std::move(cells_);
  }

 private:
  void Resolve(const Zero&) { cells_.values = at::zeros({1}, at::kDouble); }
  void Resolve(const SetTo& mode) { cells_.values = Values(mode.values); }
  void Resolve(const Scale& mode) {
    cells_.operation = CellEdit::Operation::kScale;
    cells_.values = Values({mode.factor});
  }
  void Resolve(const Add& mode) {
    cells_.operation = CellEdit::Operation::kAdd;
    cells_.values = Values(mode.values);
  }
  void Resolve(const Mean& mode) {
    const auto* features = std::get_if<FeatureTarget>(&edit_.target);
    const at::Tensor mean = features == nullptr ? clean_.Mean(EditHookPoint(run_, edit_.target), mode.documents)
                                                : clean_.FeatureMean(features->dictionary, mode.documents);
    cells_.values = mean.index_select(0, IndexTensor(cells_.channels, mean.device()));
  }
  void Resolve(const Donor& mode) {
    PairedPositions pairs = PairPositions(run_, edit_, mode, document_, "donor");
    const at::Tensor& rows = clean_.Rows(mode.document, EditHookPoint(run_, edit_.target), mode.intervention);
    const at::Tensor chosen = rows.index_select(0, IndexTensor(pairs.donor, rows.device()));
    const auto* features = std::get_if<FeatureTarget>(&edit_.target);
    cells_.values = features == nullptr
                        ? chosen.index_select(1, IndexTensor(cells_.channels, rows.device()))
                        : EncodeFeatures(*run_.dictionaries[features->dictionary].dictionary, chosen, cells_.channels);
    cells_.positions = std::move(pairs.edited);
  }

  void Resolve(const PathFrom& mode) {
    PairedPositions pairs = PairPositions(run_, edit_, mode.donor, document_, "path");
    cells_.operation = CellEdit::Operation::kAdd;
    cells_.values = WriteDifference(run_, mode, document_, pairs, model_, clean_);
    cells_.positions = std::move(pairs.edited);
  }

  static at::Tensor Values(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

  const Run& run_;
  const Edit& edit_;
  const int64_t document_;
  const Transformer& model_;
  CleanValues& clean_;
  CellEdit cells_;
};

RowChange DenseChange(CellEdit cells) {
  return [cells = std::move(cells)](const at::Tensor& rows) {
    WriteCells(cells, 0, static_cast<int64_t>(cells.positions.size()), cells.positions, cells.channels, rows);
  };
}

// Whether a feature edit joins the change before it.
bool SameFeatureChange(const Edit& before, const Edit& edit) {
  const auto* a = std::get_if<FeatureTarget>(&before.target);
  const auto* b = std::get_if<FeatureTarget>(&edit.target);
  return a != nullptr && b != nullptr && a->dictionary == b->dictionary && before.error_mode == edit.error_mode;
}

}  // namespace

at::Tensor IndexTensor(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

at::Tensor CellEdit::NewValues(const at::Tensor& present, int64_t begin, int64_t count) const {
  const at::Tensor given = values.dim() == 2 ? values.narrow(0, begin, count) : values;
  switch (operation) {
    case Operation::kSet:
      return given.expand(present.sizes()).contiguous();
    case Operation::kScale:
      return present * given;
    case Operation::kAdd:
      return present + given;
  }
  return present;
}

void WriteCells(const CellEdit& edit, int64_t begin, int64_t count, const std::vector<int64_t>& rows,
                const std::vector<int64_t>& columns, const at::Tensor& matrix) {
  const at::Tensor row_index = IndexTensor(rows, matrix.device());
  const at::Tensor column_index = IndexTensor(columns, matrix.device());
  const at::Tensor selected = matrix.index_select(0, row_index);
  const at::Tensor present = selected.index_select(1, column_index);
  selected.index_copy_(1, column_index, edit.NewValues(present, begin, count));
  matrix.index_copy_(0, row_index, selected);
}

std::vector<PlacedChange> CompileChanges(const Run& run, const Intervention& intervention, int64_t document,
                                         const Transformer& model, CleanValues& clean) {
  // Per hook point, in list order; feature edits wait here until the next edit of the hook point is another change.
  struct Pending {
    const Edit* last = nullptr;
    HookPoint hook_point;
    std::vector<CellEdit> features;
  };
  std::vector<Pending> pending;
  std::vector<PlacedChange> changes;
  const auto flush = [&](Pending& open) {
    if (open.features.empty()) return;
    const auto& target = std::get<FeatureTarget>(open.last->target);
    changes.push_back({open.hook_point, FeatureChange(*run.dictionaries[target.dictionary].dictionary,
                                                      open.last->error_mode, std::move(open.features))});
    open.features.clear();
  };
  for (const Edit& edit : intervention.edits) {
    if (!Covers(edit.documents, document) || std::holds_alternative<EdgeTarget>(edit.target)) continue;
    const HookPoint point = EditHookPoint(run, edit.target);
    auto open = std::find_if(pending.begin(), pending.end(), [&](const Pending& p) { return p.hook_point == point; });
    if (open == pending.end()) open = pending.insert(pending.end(), Pending{nullptr, point, {}});
    if (!open->features.empty() && !SameFeatureChange(*open->last, edit)) flush(*open);
    open->last = &edit;
    CellEdit cells = CellCompiler(run, edit, document, model, clean).Compile();
    if (std::holds_alternative<FeatureTarget>(edit.target)) {
      open->features.push_back(std::move(cells));
    } else {
      changes.push_back({point, DenseChange(std::move(cells))});
    }
  }
  for (Pending& open : pending) flush(open);
  return changes;
}

}  // namespace lifescope
