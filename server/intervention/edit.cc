#include "server/intervention/edit.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/intervention/feature_edit.h"
#include "server/intervention/path_patch.h"
#include "server/intervention/run_checks.h"
#include "server/intervention/target.h"
#include "server/intervention/target_values.h"

namespace lifescope {
namespace {

// Resolves positions and modes; one per (edit, document).
class CellCompiler {
 public:
  CellCompiler(const Run& run, const Edit& edit, std::string field, int64_t document, const DocumentVariant* variant,
               const Transformer& model, CleanValues& clean)
      : run_(run),
        edit_(edit),
        field_(std::move(field)),
        document_(document),
        variant_(variant),
        model_(model),
        clean_(clean),
        point_(EditHookPoint(run, edit.target)) {}

  // Without positions: the edit does nothing to this document.
  CellEdit Compile() {
    ChoosePositions();
    if (positions_.edited.empty()) return {};
    cells_.channels = EditedChannels(run_, edit_.target, model_.hyperparameters());
    std::visit([this](const auto& mode) { Resolve(mode); }, edit_.mode);
    cells_.values = cells_.values.to(model_.device(), model_.dtype());
    cells_.positions = std::move(positions_.edited);
    if (variant_ != nullptr && !IsOnePerDocument(point_)) {
      for (int64_t& position : cells_.positions) position = variant_->RowOf(position);
    }
    return std::move(cells_);
  }

 private:
  void ChoosePositions() {
    if (const Donor* donor = DonorOf(edit_)) {
      positions_ = PairPositions(run_, edit_, *donor, document_, "donor");
      KeepWhereDonorHasRows(*donor);
    } else {
      positions_.edited = ResolveRows(point_, edit_.positions, run_.documents[document_], "positions");
    }
    if (edit_.condition.has_value()) KeepWhereFeatureIsActive(*edit_.condition);
    if (variant_ != nullptr && !IsOnePerDocument(point_)) {
      Keep([this](int64_t position, int64_t) { return variant_->RowOf(position) >= 0; });
    }
  }

  void KeepWhereDonorHasRows(const Donor& donor) {
    if (donor.intervention < 0 || IsOnePerDocument(point_)) return;
    const std::vector<DocumentEdit>& edits = run_.interventions[donor.intervention].document_edits;
    if (!EditsDocument(edits, donor.document)) return;
    const DocumentVariant from =
        ApplyDocumentEdits(run_.documents[donor.document], edits, donor.document, "document_edits");
    Keep([&](int64_t, int64_t position) { return from.RowOf(position) >= 0; });
  }

  void KeepWhereFeatureIsActive(const Condition& condition) {
    const RunDictionary& source = run_.dictionaries[condition.dictionary];
    const at::Tensor activations =
        EncodeFeatures(*source.dictionary, clean_.Rows(document_, source.hook_point), {condition.feature});
    const at::Tensor above = activations.select(1, 0).gt(condition.above).to(at::kCPU);
    Keep([&](int64_t position, int64_t) { return above.data_ptr<bool>()[position]; });
  }

  // Leaves only the positions, and the donor's for each, that pass.
  void Keep(const std::function<bool(int64_t edited, int64_t donor)>& passes) {
    PairedPositions kept;
    for (size_t i = 0; i < positions_.edited.size(); ++i) {
      const int64_t donor = positions_.donor.empty() ? -1 : positions_.donor[i];
      if (!passes(positions_.edited[i], donor)) continue;
      kept.edited.push_back(positions_.edited[i]);
      if (donor >= 0) kept.donor.push_back(donor);
    }
    positions_ = std::move(kept);
  }

  void Resolve(const Zero&) { cells_.values = at::zeros({1}, at::kDouble); }
  void Resolve(const SetTo& mode) { cells_.values = InUnits(mode.values); }
  void Resolve(const Scale& mode) { Operate(CellEdit::Operation::kScale, at::tensor({mode.factor}, at::kDouble)); }
  void Resolve(const Add& mode) { Operate(CellEdit::Operation::kAdd, InUnits(mode.values)); }
  void Resolve(const Cap& mode) { Operate(CellEdit::Operation::kCap, InUnits(mode.values)); }
  void Resolve(const Floor& mode) { Operate(CellEdit::Operation::kFloor, InUnits(mode.values)); }
  void Resolve(const Mean& mode) {
    if (const auto* direction = std::get_if<DirectionTarget>(&edit_.target)) {
      const at::Tensor& mean = clean_.Mean(point_, mode.documents);
      cells_.values = mean.dot(UnitVector(*direction, mean.options())).unsqueeze(0);
    } else if (const auto* error = std::get_if<ErrorTarget>(&edit_.target)) {
      cells_.values = clean_.ErrorMean(error->dictionary, mode.documents);
    } else {
      const auto* features = std::get_if<FeatureTarget>(&edit_.target);
      const at::Tensor& mean = features == nullptr ? clean_.Mean(point_, mode.documents)
                                                   : clean_.FeatureMean(features->dictionary, mode.documents);
      cells_.values = mean.index_select(0, IndexTensor(cells_.channels, mean.device()));
    }
  }
  void Resolve(const Donor& mode) {
    const at::Tensor& rows = clean_.Rows(mode.document, point_, mode.intervention);
    TakeFrom(rows.index_select(0, IndexTensor(positions_.donor, rows.device())));
  }
  void Resolve(const PathFrom& mode) {
    Operate(CellEdit::Operation::kAdd, WriteDifference(run_, mode, document_, positions_, model_, clean_));
  }
  void Resolve(const Resample& mode) {
    const std::vector<SourceRow> sources = DrawSources(run_, mode, point_, document_);
    std::vector<at::Tensor> rows;
    for (const int64_t position : positions_.edited) {
      rows.push_back(clean_.Rows(sources[position].document, point_).select(0, sources[position].row));
    }
    TakeFrom(at::stack(rows));
  }

  // The target's values in these rows, one for each position.
  void TakeFrom(const at::Tensor& rows) {
    cells_.values = TargetValues(run_, edit_.target, model_.hyperparameters(), rows);
  }

  void Operate(CellEdit::Operation operation, at::Tensor values) {
    cells_.operation = operation;
    cells_.values = std::move(values);
  }

  at::Tensor InUnits(const std::vector<double>& values) {
    const at::Tensor given = at::tensor(values, at::kDouble);
    if (edit_.unit.kind == Unit::Kind::kAbsolute) return given;
    const at::Tensor sizes = clean_.UnitSizes(edit_, model_.hyperparameters()).to(at::kCPU);
    const at::Tensor without = sizes.eq(0).nonzero().flatten();
    TORCH_CHECK_VALUE(without.numel() == 0, field_, ".unit: 0 for channel ",
                      cells_.channels[without.numel() == 0 ? 0 : without[0].item<int64_t>()],
                      " over its documents, expected another number");
    return given * sizes;
  }

  const Run& run_;
  const Edit& edit_;
  const std::string field_;
  const int64_t document_;
  const DocumentVariant* variant_;
  const Transformer& model_;
  CleanValues& clean_;
  const HookPoint point_;
  PairedPositions positions_;
  CellEdit cells_;
};

RowChange DenseChange(CellEdit cells) {
  return [cells = std::move(cells)](const at::Tensor& rows) {
    WriteCells(cells, 0, static_cast<int64_t>(cells.positions.size()), cells.positions, cells.channels, rows);
  };
}

RowChange DirectionChange(at::Tensor direction, CellEdit cells) {
  return [direction = std::move(direction), cells = std::move(cells)](const at::Tensor& rows) {
    const at::Tensor row_index = IndexTensor(cells.positions, rows.device());
    const at::Tensor x = rows.index_select(0, row_index);
    const at::Tensor projection = x.matmul(direction).unsqueeze(1);
    const at::Tensor change = cells.NewValues(projection, 0, projection.size(0)) - projection;
    const at::Tensor changed = change.ne(0).flatten().nonzero().flatten();
    const at::Tensor new_rows = x.index_select(0, changed) + change.index_select(0, changed) * direction;
    rows.index_copy_(0, row_index.index_select(0, changed), new_rows);
  };
}

// Whether an edit of a dictionary joins the change before it.
bool IsSameChange(const Edit& before, const Edit& edit) {
  const int64_t dictionary = EditedDictionary(edit.target);
  return dictionary >= 0 && EditedDictionary(before.target) == dictionary && before.error_mode == edit.error_mode;
}

// Compiles the edits of one document. Per hook point in list order: edits of a dictionary wait until the next edit
// there is another change.
class ChangeCompiler {
 public:
  ChangeCompiler(const Run& run, int64_t document, const DocumentVariant* variant, const Transformer& model,
                 CleanValues& clean)
      : run_(run), document_(document), variant_(variant), model_(model), clean_(clean) {}

  void Add(const Edit& edit, const std::string& field) {
    const HookPoint point = EditHookPoint(run_, edit.target);
    auto open = std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.hook_point == point; });
    if (open == open_.end()) open = open_.insert(open_.end(), Open{point, nullptr, {}});
    if (open->last != nullptr && !IsSameChange(*open->last, edit)) Close(*open);
    open->last = &edit;
    CellEdit cells = CellCompiler(run_, edit, field, document_, variant_, model_, clean_).Compile();
    if (cells.positions.empty()) return;
    if (EditedDictionary(edit.target) >= 0) {
      AddTo(edit, std::move(cells), open->edits);
    } else if (const auto* direction = std::get_if<DirectionTarget>(&edit.target)) {
      const at::TensorOptions options = at::TensorOptions().dtype(model_.dtype()).device(model_.device());
      changes_.push_back({point, DirectionChange(UnitVector(*direction, options), std::move(cells))});
    } else {
      changes_.push_back({point, DenseChange(std::move(cells))});
    }
  }

  std::vector<PlacedChange> Finish() {
    for (Open& open : open_) Close(open);
    return std::move(changes_);
  }

 private:
  struct Open {
    HookPoint hook_point;
    const Edit* last = nullptr;
    DictionaryEdits edits;  // those up to `last` that are one change
  };

  void AddTo(const Edit& edit, CellEdit cells, DictionaryEdits& edits) const {
    edits.error_mode = edit.error_mode;
    (std::holds_alternative<ErrorTarget>(edit.target) ? edits.error : edits.features).push_back(std::move(cells));
    if (edit.error_mode != ErrorMode::kFrozenError || edits.clean.defined()) return;
    edits.clean = clean_.Rows(document_, EditHookPoint(run_, edit.target));
    if (variant_ != nullptr) {
      edits.clean = edits.clean.index_select(0, IndexTensor(variant_->original, edits.clean.device()));
    }
  }

  void Close(Open& open) {
    if (open.edits.features.empty() && open.edits.error.empty()) return;
    const Dictionary& dictionary = *run_.dictionaries[EditedDictionary(open.last->target)].dictionary;
    changes_.push_back({open.hook_point, DictionaryChange(dictionary, std::move(open.edits))});
    open.edits = {};
  }

  const Run& run_;
  const int64_t document_;
  const DocumentVariant* variant_;
  const Transformer& model_;
  CleanValues& clean_;
  std::vector<Open> open_;
  std::vector<PlacedChange> changes_;
};

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
    case Operation::kCap:
      return at::minimum(present, given);
    case Operation::kFloor:
      return at::maximum(present, given);
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

std::vector<PlacedChange> CompileChanges(const Run& run, int64_t intervention, int64_t document,
                                         const DocumentVariant* variant, const Transformer& model, CleanValues& clean) {
  ChangeCompiler compiler(run, document, variant, model, clean);
  const std::vector<Edit>& edits = run.interventions[intervention].edits;
  for (size_t i = 0; i < edits.size(); ++i) {
    if (!Covers(edits[i].documents, document) || std::holds_alternative<EdgeTarget>(edits[i].target)) continue;
    compiler.Add(edits[i], ElementPath(ElementPath("interventions", intervention) + ".edits", i));
  }
  return compiler.Finish();
}

}  // namespace lifescope
