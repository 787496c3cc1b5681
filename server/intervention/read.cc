#include "server/intervention/read.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/intervention/edit.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

// Rows of the masked-token head that are computed at once: bounds the [rows, vocabulary] matrix.
constexpr int64_t kHeadRows = 2048;

bool ReadsMlmHead(const ReadKind& kind) {
  return std::holds_alternative<MlmLogitsRead>(kind) || std::holds_alternative<LogitDifferenceRead>(kind) ||
         std::holds_alternative<LogProbabilityRead>(kind) || std::holds_alternative<KlToCleanRead>(kind);
}

at::Tensor OnHost(const at::Tensor& tensor) { return tensor.to(at::kCPU).contiguous(); }

// Position of each value of `some` in `all`; both ascending.
std::vector<int64_t> IndicesIn(const std::vector<int64_t>& all, const std::vector<int64_t>& some) {
  std::vector<int64_t> indices;
  for (const int64_t value : some) indices.push_back(std::lower_bound(all.begin(), all.end(), value) - all.begin());
  return indices;
}

std::vector<int64_t> Shifted(std::vector<int64_t> values, int64_t by) {
  for (int64_t& value : values) value += by;
  return values;
}

// Takes one masked-token read from the logits [positions, vocabulary] of its positions; `clean` likewise for
// KlToCleanRead of an edited run.
struct MlmReader {
  const at::Tensor& logits;
  const at::Tensor& clean;

  at::Tensor operator()(const MlmLogitsRead& read) const {
    if (read.tokens.empty()) return logits;
    return logits.index_select(1, IndexTensor({read.tokens.begin(), read.tokens.end()}, logits.device()));
  }
  at::Tensor operator()(const LogitDifferenceRead& read) const {
    return logits.select(1, read.token_a) - logits.select(1, read.token_b);
  }
  at::Tensor operator()(const LogProbabilityRead& read) const {
    return at::log_softmax(logits, 1).select(1, read.token);
  }
  // In float64, so that both distributions sum to 1 and only the logits' own rounding is left.
  at::Tensor operator()(const KlToCleanRead&) const {
    if (!clean.defined()) return at::zeros({logits.size(0)}, logits.options());
    const at::Tensor log_p = at::log_softmax(clean.to(at::kDouble), 1);
    const at::Tensor log_q = at::log_softmax(logits.to(at::kDouble), 1);
    return (log_p.exp() * (log_p - log_q)).sum(1).to(logits.scalar_type());
  }
  at::Tensor operator()(const ActivationRead&) const { return {}; }
  at::Tensor operator()(const FeatureRead&) const { return {}; }
  at::Tensor operator()(const SopLogitsRead&) const { return {}; }
  at::Tensor operator()(const ClassProbabilityRead&) const { return {}; }
};

class ReadTaker {
 public:
  ReadTaker(const Run& run, const Transformer& model, const CleanValues& clean, const std::vector<ForwardRow>& rows,
            const ForwardOutput& output)
      : run_(run), model_(model), clean_(clean), rows_(rows), output_(output) {}

  void Take() {
    for (size_t row = 0; row < rows_.size(); ++row) TakeRow(row);
    TakeMlmGroup();
  }

 private:
  // A row whose masked-token reads wait for the head.
  struct MlmRow {
    size_t row = 0;
    std::vector<int64_t> positions;  // of all its masked-token reads
    bool needs_clean = false;
  };

  std::vector<int64_t> PositionsOf(const Read& read, int64_t document) const {
    return ResolvePositions(read.positions, run_.documents[document], "positions");
  }

  void TakeRow(size_t row) {
    const int64_t document = rows_[row].document;
    DocumentResult& result = *rows_[row].result;
    MlmRow mlm{row, {}, false};
    bool reads_mlm = false;
    for (size_t i = 0; i < run_.reads.size(); ++i) {
      const Read& read = run_.reads[i];
      if (!Covers(read.documents, document)) continue;
      ReadValue value{static_cast<int64_t>(i), at::Tensor()};
      if (ReadsMlmHead(read.kind)) {
        reads_mlm = true;
        const std::vector<int64_t> positions = PositionsOf(read, document);
        mlm.positions.insert(mlm.positions.end(), positions.begin(), positions.end());
        mlm.needs_clean |= rows_[row].intervention >= 0 && std::holds_alternative<KlToCleanRead>(read.kind);
      } else if (std::holds_alternative<SopLogitsRead>(read.kind)) {
        const at::Tensor cls = output_.final.narrow(0, output_.offsets[row], 1);
        value.value = OnHost(model_.SopLogits(cls).select(0, 0));
      } else if (const auto* head = std::get_if<ClassProbabilityRead>(&read.kind)) {
        value.value = OnHost(output_.class_probabilities[head->head].select(0, static_cast<int64_t>(row)));
      } else {
        value.value = TakeActivations(read, row);
      }
      result.values.push_back(std::move(value));
    }
    if (reads_mlm) AddMlmRow(std::move(mlm));
  }

  std::variant<at::Tensor, FeatureValue> TakeActivations(const Read& read, size_t row) const {
    const auto* activation = std::get_if<ActivationRead>(&read.kind);
    const auto* features = std::get_if<FeatureRead>(&read.kind);
    const HookPoint& point =
        activation != nullptr ? activation->hook_point : run_.dictionaries[features->dictionary].hook_point;
    std::vector<int64_t> positions =
        ResolveRows(point, read.positions, run_.documents[rows_[row].document], "positions");
    const at::Tensor rows = output_.Rows(point, row);
    const at::Tensor chosen = rows.index_select(0, IndexTensor(positions, rows.device()));
    if (features != nullptr) {
      return FeatureValue{std::move(positions),
                          EncodeSparse(*run_.dictionaries[features->dictionary].dictionary, chosen)};
    }
    std::vector<int64_t> shape = ShapeAt(point, model_.hyperparameters());
    shape.insert(shape.begin(), chosen.size(0));
    return OnHost(chosen.view(shape));
  }

  void AddMlmRow(MlmRow mlm) {
    std::sort(mlm.positions.begin(), mlm.positions.end());
    mlm.positions.erase(std::unique(mlm.positions.begin(), mlm.positions.end()), mlm.positions.end());
    group_size_ += static_cast<int64_t>(mlm.positions.size());
    group_.push_back(std::move(mlm));
    if (group_size_ >= kHeadRows) TakeMlmGroup();
  }

  // Runs the head once for the rows that wait, and once more for the clean runs that they are compared with.
  void TakeMlmGroup() {
    if (group_.empty()) return;
    std::vector<int64_t> token_rows;
    std::vector<at::Tensor> clean_rows;
    for (const MlmRow& mlm : group_) {
      const std::vector<int64_t> rows = Shifted(mlm.positions, output_.offsets[mlm.row]);
      token_rows.insert(token_rows.end(), rows.begin(), rows.end());
      if (!mlm.needs_clean) continue;
      const at::Tensor& final = clean_.Final(rows_[mlm.row].document);
      clean_rows.push_back(final.index_select(0, IndexTensor(mlm.positions, final.device())));
    }
    const at::Tensor logits =
        model_.MlmLogits(output_.final.index_select(0, IndexTensor(token_rows, output_.final.device())));
    const at::Tensor clean_logits = clean_rows.empty() ? at::Tensor() : model_.MlmLogits(at::cat(clean_rows));
    int64_t begin = 0, clean_begin = 0;
    for (const MlmRow& mlm : group_) {
      const int64_t size = static_cast<int64_t>(mlm.positions.size());
      at::Tensor clean;
      if (mlm.needs_clean) clean = clean_logits.narrow(0, clean_begin, size);
      TakeMlmRow(mlm, logits.narrow(0, begin, size), clean);
      begin += size;
      if (mlm.needs_clean) clean_begin += size;
    }
    group_.clear();
    group_size_ = 0;
  }

  void TakeMlmRow(const MlmRow& mlm, const at::Tensor& logits, const at::Tensor& clean) const {
    for (ReadValue& value : rows_[mlm.row].result->values) {
      const Read& read = run_.reads[value.read];
      if (!ReadsMlmHead(read.kind)) continue;
      const std::vector<int64_t> positions = PositionsOf(read, rows_[mlm.row].document);
      const at::Tensor index = IndexTensor(IndicesIn(mlm.positions, positions), logits.device());
      const at::Tensor read_logits = logits.index_select(0, index);
      const at::Tensor read_clean = clean.defined() ? clean.index_select(0, index) : at::Tensor();
      value.value = OnHost(std::visit(MlmReader{read_logits, read_clean}, read.kind));
    }
  }

  const Run& run_;
  const Transformer& model_;
  const CleanValues& clean_;
  const std::vector<ForwardRow>& rows_;
  const ForwardOutput& output_;
  std::vector<MlmRow> group_;
  int64_t group_size_ = 0;
};

}  // namespace

at::Tensor ForwardOutput::Rows(const HookPoint& point, size_t row) const {
  const auto found =
      std::find_if(captured.begin(), captured.end(), [&](const auto& entry) { return entry.first == point; });
  const RowRange range = RowsAt(point, offsets, row);
  return found->second.narrow(0, range.begin, range.count).flatten(1);
}

RowRange RowsAt(const HookPoint& point, const std::vector<int64_t>& offsets, size_t row) {
  if (IsOnePerDocument(point)) return {static_cast<int64_t>(row), 1};
  return {offsets[row], offsets[row + 1] - offsets[row]};
}

int64_t LayersThrough(const HookPoint& point, int64_t n_encoders) {
  return point.head.empty() ? point.layer + 1 : n_encoders;
}

int64_t LayersForReads(const Run& run, int64_t document, int64_t n_encoders) {
  int64_t layers = -1;
  for (const Read& read : run.reads) {
    if (!Covers(read.documents, document)) continue;
    if (const auto* activation = std::get_if<ActivationRead>(&read.kind)) {
      layers = std::max(layers, LayersThrough(activation->hook_point, n_encoders));
    } else if (const auto* features = std::get_if<FeatureRead>(&read.kind)) {
      layers = std::max(layers, LayersThrough(run.dictionaries[features->dictionary].hook_point, n_encoders));
    } else {
      layers = n_encoders;
    }
  }
  return layers;
}

std::vector<HookPoint> PointsForReads(const Run& run, int64_t document) {
  std::vector<HookPoint> points;
  for (const Read& read : run.reads) {
    if (!Covers(read.documents, document)) continue;
    if (const auto* activation = std::get_if<ActivationRead>(&read.kind)) points.push_back(activation->hook_point);
    if (const auto* features = std::get_if<FeatureRead>(&read.kind)) {
      points.push_back(run.dictionaries[features->dictionary].hook_point);
    }
  }
  return points;
}

void TakeReads(const Run& run, const Transformer& model, const CleanValues& clean, const std::vector<ForwardRow>& rows,
               const ForwardOutput& output) {
  ReadTaker(run, model, clean, rows, output).Take();
}

}  // namespace lifescope
