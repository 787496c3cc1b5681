#include "server/intervention/engine.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "server/intervention/clean_values.h"
#include "server/intervention/edge_edit.h"
#include "server/intervention/edit.h"
#include "server/intervention/forward_output.h"
#include "server/intervention/read.h"
#include "server/intervention/read_needs.h"
#include "server/intervention/scope.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

// A change of some rows of a batch.
struct SlicedChange {
  RowRange rows;
  RowChange change;
};

// One hook per hook point: the activation is copied once, then each document's changes write into its slice.
Hooks::Hook ChangeSlices(std::vector<SlicedChange> changes) {
  return [changes = std::move(changes)](const at::Tensor& activation) {
    at::Tensor changed = activation.clone(at::MemoryFormat::Contiguous);
    const at::Tensor rows = changed.flatten(1);
    for (const SlicedChange& slice : changes) slice.change(rows.narrow(0, slice.rows.begin, slice.rows.count));
    return changed;
  };
}

class Execution {
 public:
  Execution(const Run& run, const Transformer& model, const ExecuteOptions& options)
      : run_(run), model_(model), options_(options), clean_(run, model.hyperparameters()), depths_(DonorDepths(run)) {
    result_.n_slots = run.n_slots == 0 ? model.hyperparameters().max_length : run.n_slots;
  }

  RunResult Execute() {
    std::vector<ForwardRow> edited_rows = PlaceEditedRows();
    for (const ForwardRow& row : edited_rows) {
      for (const HookPoint& point : FrozenPointsOf(row)) clean_.Want(row.document, point);
    }
    CheckKeptBytes();
    ShareCleanLayers(edited_rows);
    const std::vector<ForwardRow> clean_rows = PlaceCleanRows();
    total_ = static_cast<int64_t>(clean_rows.size() + edited_rows.size());
    RunInBatches(clean_rows);
    RunInBatches(edited_rows);
    return std::move(result_);
  }

 private:
  // Layers that a row must run; -1: it need not run.
  int64_t LayersFor(const ForwardRow& row) const {
    const int64_t n_encoders = model_.hyperparameters().n_encoders;
    int64_t layers = LayersForReads(run_, row.document, model_.hyperparameters());
    for (const HookPoint& point : clean_.WantedPoints(row.document, row.intervention)) {
      layers = std::max(layers, LayersThrough(point, n_encoders));
    }
    return layers;
  }

  std::vector<ForwardRow> PlaceCleanRows() {
    std::vector<ForwardRow> rows;
    result_.clean.resize(run_.documents.size());
    for (size_t d = 0; d < run_.documents.size(); ++d) {
      result_.clean[d].document = static_cast<int64_t>(d);
      const ForwardRow row{static_cast<int64_t>(d), -1, &result_.clean[d]};
      if (LayersFor(row) >= 0) rows.push_back(row);
    }
    return rows;
  }

  std::vector<ForwardRow> PlaceEditedRows() {
    std::vector<ForwardRow> rows;
    result_.interventions.resize(run_.interventions.size());
    for (size_t i = 0; i < run_.interventions.size(); ++i) {
      InterventionResult& result = result_.interventions[i];
      result.name = run_.interventions[i].name;
      for (size_t d = 0; d < run_.documents.size(); ++d) {
        if (!Edits(run_.interventions[i], static_cast<int64_t>(d))) continue;
        result.documents.push_back({static_cast<int64_t>(d), {}});
      }
      for (DocumentResult& document : result.documents) {
        const ForwardRow row{document.document, static_cast<int64_t>(i), &document};
        if (LayersFor(row) >= 0) rows.push_back(row);
      }
    }
    return rows;
  }

  std::vector<HookPoint> FrozenPointsOf(const ForwardRow& row) const {
    const Intervention& intervention = run_.interventions[row.intervention];
    const int64_t n_encoders = model_.hyperparameters().n_encoders;
    return FrozenPoints(intervention.scope, CleanLayers(run_, intervention, row.document, n_encoders), LayersFor(row));
  }

  void CheckKeptBytes() const {
    const int64_t bytes =
        clean_.WantedBytes(model_.hyperparameters(), static_cast<int64_t>(at::elementSize(model_.dtype())));
    TORCH_CHECK_VALUE(bytes <= options_.kept_bytes, "interventions: their edits and scopes, and the reads, take ",
                      bytes, " bytes of values from other runs, expected at most ", options_.kept_bytes);
  }

  int64_t DepthOf(const ForwardRow& row) const { return row.intervention < 0 ? -1 : depths_[row.intervention]; }

  // The first layer that an edit or a read of the row touches, or a donor that is taken from it.
  int64_t FirstLayerOf(const ForwardRow& row) const {
    const int64_t n_encoders = model_.hyperparameters().n_encoders;
    int64_t first = CleanLayers(run_, run_.interventions[row.intervention], row.document, n_encoders);
    for (const HookPoint& point : PointsForReads(run_, row.document, model_.hyperparameters())) {
      first = std::min(first, LayersBefore(point, n_encoders));
    }
    for (const HookPoint& point : clean_.WantedPoints(row.document, row.intervention)) {
      first = std::min(first, LayersBefore(point, n_encoders));
    }
    return first;
  }

  // Lets the rows start from the clean runs. Donors go before those that take from them; otherwise rows that start at
  // the same layer are brought together.
  void ShareCleanLayers(std::vector<ForwardRow>& rows) {
    int64_t bytes_left = options_.shared_bytes;
    for (ForwardRow& row : rows) {
      const int64_t layers = FirstLayerOf(row);
      if (layers == 0) continue;
      const HookPoint start{Site::kResidPost, layers - 1};
      if (!clean_.Wants(row.document, start)) {
        const int64_t bytes = run_.documents[row.document].length() * model_.hyperparameters().hidden_size *
                              static_cast<int64_t>(at::elementSize(model_.dtype()));
        if (bytes > bytes_left) continue;
        bytes_left -= bytes;
        clean_.Want(row.document, start);
      }
      row.shared_layers = layers;
    }
    std::stable_sort(rows.begin(), rows.end(), [this](const ForwardRow& a, const ForwardRow& b) {
      return std::pair(DepthOf(a), a.shared_layers) < std::pair(DepthOf(b), b.shared_layers);
    });
  }

  // Whether the rows may run in one batch.
  bool RunTogether(const ForwardRow& a, const ForwardRow& b) const {
    return DepthOf(a) == DepthOf(b) && a.shared_layers == b.shared_layers;
  }

  void RunInBatches(const std::vector<ForwardRow>& rows) {
    std::vector<ForwardRow> batch;
    int64_t tokens = 0;
    const auto flush = [&] {
      if (batch.empty()) return;
      CheckCancelled();
      RunBatch(batch);
      done_ += static_cast<int64_t>(batch.size());
      if (options_.on_progress) options_.on_progress(done_, total_);
      batch.clear();
      tokens = 0;
    };
    for (const ForwardRow& row : rows) {
      const int64_t length = run_.documents[row.document].length();
      const bool fits = tokens + length <= options_.batch_tokens && (batch.empty() || RunTogether(batch.back(), row));
      if (run_.deterministic || !fits) flush();
      batch.push_back(row);
      tokens += length;
    }
    flush();
  }

  // Points the rows whose document is edited to what becomes of it, which the result holds.
  std::deque<DocumentVariant> EditDocuments(std::vector<ForwardRow>& rows) const {
    std::deque<DocumentVariant> variants;
    for (ForwardRow& row : rows) {
      if (row.intervention < 0) continue;
      const std::vector<DocumentEdit>& edits = run_.interventions[row.intervention].document_edits;
      if (!EditsDocument(edits, row.document)) continue;
      variants.push_back(ApplyDocumentEdits(run_.documents[row.document], edits, row.document, "document_edits"));
      row.variant = &variants.back();
    }
    return variants;
  }

  void RunBatch(std::vector<ForwardRow> rows) {
    const std::deque<DocumentVariant> variants = EditDocuments(rows);
    const PackedBatch batch = Pack(rows);
    Hooks hooks;
    AddChanges(rows, batch, &hooks);
    ForwardOutput output;
    output.offsets = batch.offsets;
    const at::Tensor slots = batch.position.to(at::kCPU);
    output.slots.assign(slots.data_ptr<int64_t>(), slots.data_ptr<int64_t>() + slots.size(0));
    AddCaptures(rows, &output, &hooks);
    output.edges = EdgesOf(rows);
    ForwardOptions options;
    options.hooks = &hooks;
    options.edges = &output.edges;
    options.before_layer = [this] { CheckCancelled(); };
    options.layer_count = 0;
    for (const ForwardRow& row : rows) options.layer_count = std::max(options.layer_count, LayersFor(row));
    options.first_layer = rows.front().shared_layers;
    if (options.first_layer > 0) options.residual = SharedResidual(rows);
    CountLayers(rows.size(), options);
    output.final = model_.Forward(batch, options);
    if (options.layer_count == model_.hyperparameters().n_encoders) RunHeads(hooks, &output);
    for (size_t row = 0; row < rows.size(); ++row) KeepValues(rows[row], row, output);
    TakeReads(run_, model_, clean_, rows, output);
  }

  at::Tensor SharedResidual(const std::vector<ForwardRow>& rows) const {
    std::vector<at::Tensor> residual;
    for (const ForwardRow& row : rows) {
      residual.push_back(clean_.Rows(row.document, {Site::kResidPost, row.shared_layers - 1}));
    }
    return at::cat(residual);
  }

  void CountLayers(size_t rows, const ForwardOptions& options) {
    const int64_t count = static_cast<int64_t>(rows);
    result_.layer_passes += count * (options.layer_count - options.first_layer);
    result_.shared_layer_passes += count * options.first_layer;
  }

  void RunHeads(const Hooks& hooks, ForwardOutput* output) const {
    for (const RunHead& entry : run_.heads) {
      const at::Tensor logits = entry.head->Logits(output->final, output->offsets, {&hooks, entry.name});
      output->class_probabilities.push_back(entry.head->Probabilities(logits));
    }
  }

  PackedBatch Pack(const std::vector<ForwardRow>& rows) const {
    std::vector<DocumentRows> documents;
    for (const ForwardRow& row : rows) {
      const Document& d = row.variant == nullptr ? run_.documents[row.document] : row.variant->document;
      documents.push_back({d.token.data(), d.abspos.data(), d.age.data(), d.segment.data(), d.length(), result_.n_slots,
                           row.variant == nullptr ? nullptr : row.variant->slot.data()});
    }
    return MakePackedBatch(documents, model_.device());
  }

  // What happens to an edited row's activations, in order.
  std::vector<PlacedChange> ChangesOf(const ForwardRow& row) {
    std::vector<PlacedChange> changes = FreezePoints(FrozenPointsOf(row), row.document, clean_);
    for (PlacedChange& change : CompileChanges(run_, row.intervention, row.document, row.variant, model_, clean_)) {
      changes.push_back(std::move(change));
    }
    return changes;
  }

  void AddChanges(const std::vector<ForwardRow>& rows, const PackedBatch& batch, Hooks* hooks) {
    std::vector<std::pair<HookPoint, std::vector<SlicedChange>>> by_point;
    for (size_t row = 0; row < rows.size(); ++row) {
      if (rows[row].intervention < 0) continue;
      for (PlacedChange& placed : ChangesOf(rows[row])) {
        auto at_point = std::find_if(by_point.begin(), by_point.end(),
                                     [&](const auto& entry) { return entry.first == placed.hook_point; });
        if (at_point == by_point.end()) at_point = by_point.insert(by_point.end(), {placed.hook_point, {}});
        at_point->second.push_back({RowsAt(placed.hook_point, batch.offsets, row), std::move(placed.change)});
      }
    }
    for (auto& [point, changes] : by_point) hooks->Add(point, ChangeSlices(std::move(changes)));
  }

  std::vector<AttentionEdges> EdgesOf(const std::vector<ForwardRow>& rows) const {
    std::vector<AttentionEdges> all;
    for (size_t row = 0; row < rows.size(); ++row) {
      if (rows[row].intervention < 0) continue;
      const Intervention& intervention = run_.interventions[rows[row].intervention];
      for (AttentionEdges& edges :
           CompileEdges(run_, intervention, rows[row].document, rows[row].variant, static_cast<int64_t>(row), model_)) {
        all.push_back(std::move(edges));
      }
    }
    return all;
  }

  // After the changes: hooks at one point run in the order in which they were added.
  void AddCaptures(const std::vector<ForwardRow>& rows, ForwardOutput* output, Hooks* hooks) const {
    const auto want = [&](const HookPoint& point) {
      for (const auto& [known, tensor] : output->captured) {
        if (known == point) return;
      }
      output->captured.emplace_back(point, at::Tensor());
    };
    for (const ForwardRow& row : rows) {
      for (const HookPoint& point : PointsForReads(run_, row.document, model_.hyperparameters())) want(point);
      for (const HookPoint& point : clean_.WantedPoints(row.document, row.intervention)) want(point);
    }
    // The list does not grow any more: its elements stay where they are.
    for (auto& [point, tensor] : output->captured) hooks->Capture(point, &tensor);
  }

  void KeepValues(const ForwardRow& of, size_t row, const ForwardOutput& output) {
    for (const HookPoint& point : clean_.WantedPoints(of.document, of.intervention)) {
      const bool has_positions = of.variant != nullptr && !IsOnePerDocument(point);
      const at::Tensor rows = output.Rows(point, row);
      clean_.PutRows(
          of.document, point,
          has_positions ? AtPositions(rows, *of.variant, run_.documents[of.document].length()) : rows.clone(),
          of.intervention);
    }
    if (of.intervention < 0 && clean_.WantsFinal(of.document)) {
      const int64_t begin = output.offsets[row];
      clean_.PutFinal(of.document, output.final.narrow(0, begin, output.offsets[row + 1] - begin).clone());
    }
  }

  void CheckCancelled() const {
    if (options_.cancelled && options_.cancelled()) throw Cancelled();
  }

  const Run& run_;
  const Transformer& model_;
  const ExecuteOptions& options_;
  CleanValues clean_;
  const std::vector<int64_t> depths_;  // of the interventions, in donors
  RunResult result_;
  int64_t done_ = 0;
  int64_t total_ = 0;
};

}  // namespace

RunResult Execute(const Run& run, const Transformer& model, const ExecuteOptions& options) {
  TORCH_CHECK_VALUE(options.batch_tokens > 0, "batch_tokens: ", options.batch_tokens, ", expected a positive number");
  ValidateRun(run, model);
  const c10::NoGradGuard no_grad;
  return Execution(run, model, options).Execute();
}

}  // namespace lifescope
