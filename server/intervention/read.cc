#include "server/intervention/read.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "server/intervention/attention_read.h"
#include "server/intervention/clean_comparison.h"
#include "server/intervention/direct_logit.h"
#include "server/intervention/edit.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

// Rows of the masked-token head that are computed at once: bounds the [rows, vocabulary] matrix.
constexpr int64_t kHeadRows = 2048;

using Value = decltype(ReadValue::value);

bool ReadsMlmHead(const ReadKind& kind) {
  return std::holds_alternative<MlmLogitsRead>(kind) || std::holds_alternative<LogitDifferenceRead>(kind) ||
         std::holds_alternative<LogProbabilityRead>(kind) || std::holds_alternative<KlToCleanRead>(kind) ||
         std::holds_alternative<CrossEntropyRead>(kind);
}

at::Tensor OnHost(const at::Tensor& tensor) { return tensor.to(at::kCPU).contiguous(); }

// Columns of logits; all when no token is named.
at::Tensor OfTokens(const at::Tensor& logits, const std::vector<int32_t>& tokens) {
  return tokens.empty() ? logits : logits.index_select(1, IndexTensor({tokens.begin(), tokens.end()}, logits.device()));
}

// Position in `all`, which is ascending, of each value of `some`.
std::vector<int64_t> IndicesIn(const std::vector<int64_t>& all, const std::vector<int64_t>& some) {
  std::vector<int64_t> indices;
  for (const int64_t value : some) indices.push_back(std::lower_bound(all.begin(), all.end(), value) - all.begin());
  return indices;
}

at::Tensor Select(const at::Tensor& rows, const std::vector<int64_t>& positions) {
  return rows.index_select(0, IndexTensor(positions, rows.device()));
}

// `rows` of some of the positions, with rows of NaN for the others; both lists are ascending.
at::Tensor WithGaps(const at::Tensor& rows, const std::vector<int64_t>& some, const std::vector<int64_t>& all) {
  std::vector<int64_t> shape = rows.sizes().vec();
  shape[0] = static_cast<int64_t>(all.size());
  const at::Tensor wide = at::full(shape, std::numeric_limits<double>::quiet_NaN(), rows.options());
  return wide.index_copy_(0, IndexTensor(IndicesIn(all, some), rows.device()), rows);
}

// Takes one masked-token read from the logits [positions, vocabulary] of its positions; `clean` likewise for
// KlToCleanRead of an edited run.
struct MlmReader {
  const at::Tensor& logits;
  const at::Tensor& clean;

  at::Tensor operator()(const MlmLogitsRead& read) const { return OfTokens(logits, read.tokens); }
  at::Tensor operator()(const LogitDifferenceRead& read) const {
    return logits.select(1, read.token_a) - logits.select(1, read.token_b);
  }
  at::Tensor operator()(const LogProbabilityRead& read) const {
    return at::log_softmax(logits, 1).select(1, read.token);
  }
  at::Tensor operator()(const CrossEntropyRead& read) const {
    std::vector<int64_t> tokens;
    for (const TokenTarget& target : read.targets) tokens.push_back(target.token);
    const at::Tensor column = IndexTensor(tokens, logits.device()).unsqueeze(1);
    return -at::log_softmax(logits, 1).gather(1, column).squeeze(1);
  }
  // In float64, so that both distributions sum to 1 and only the logits' own rounding is left.
  at::Tensor operator()(const KlToCleanRead&) const {
    if (!clean.defined()) return at::zeros({logits.size(0)}, logits.options());
    const at::Tensor log_p = at::log_softmax(clean.to(at::kDouble), 1);
    const at::Tensor log_q = at::log_softmax(logits.to(at::kDouble), 1);
    return (log_p.exp() * (log_p - log_q)).sum(1).to(logits.scalar_type());
  }
  template <typename Other>
  at::Tensor operator()(const Other&) const {
    return {};
  }
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

  // Positions whose logits a masked-token read takes, in the order of its values.
  std::vector<int64_t> MlmPositions(const Read& read, int64_t document) const {
    const auto* cross_entropy = std::get_if<CrossEntropyRead>(&read.kind);
    if (cross_entropy == nullptr) return ResolvePositions(read.positions, run_.documents[document], "positions");
    std::vector<int64_t> positions;
    for (const TokenTarget& target : cross_entropy->targets) positions.push_back(target.position);
    return positions;
  }

  void TakeRow(size_t row) {
    const int64_t document = rows_[row].document;
    MlmRow mlm{row, {}, false};
    bool reads_mlm = false;
    for (size_t i = 0; i < run_.reads.size(); ++i) {
      const Read& read = run_.reads[i];
      if (!Covers(read.documents, document)) continue;
      ReadValue value{static_cast<int64_t>(i), at::Tensor()};
      if (ReadsMlmHead(read.kind)) {
        reads_mlm = true;
        const std::vector<int64_t> positions = MlmPositions(read, document);
        mlm.positions.insert(mlm.positions.end(), positions.begin(), positions.end());
        mlm.needs_clean |= rows_[row].intervention >= 0 && std::holds_alternative<KlToCleanRead>(read.kind);
      } else {
        value.value = std::visit([&](const auto& kind) { return Take(kind, read, row); }, read.kind);
      }
      rows_[row].result->values.push_back(std::move(value));
    }
    if (reads_mlm) AddMlmRow(std::move(mlm));
  }

  Value Take(const ActivationRead& kind, const Read& read, size_t row) const {
    const at::Tensor rows = Chosen(kind.hook_point, read, row);
    std::vector<int64_t> shape = ShapeAt(kind.hook_point, model_.hyperparameters());
    shape.insert(shape.begin(), rows.size(0));
    return OnHost(rows.view(shape));
  }
  Value Take(const FeatureRead& kind, const Read& read, size_t row) const {
    const auto& [dictionary, point, is_transcoder] = run_.dictionaries[kind.dictionary];
    const std::vector<int64_t> positions = StillThere(PositionsOf(point, read, row), row);
    return FeatureValue{positions, EncodeSparse(*dictionary, Select(RowsOf(point, row), positions))};
  }
  Value Take(const SopLogitsRead&, const Read&, size_t row) const {
    return OnHost(model_.SopLogits(output_.final.narrow(0, output_.offsets[row], 1)).select(0, 0));
  }
  Value Take(const ClassProbabilityRead& kind, const Read&, size_t row) const {
    return OnHost(output_.class_probabilities[kind.head].select(0, static_cast<int64_t>(row)));
  }
  Value Take(const LogitLensRead& kind, const Read& read, size_t row) const {
    return OnHost(OfTokens(model_.MlmLogits(Chosen(kind.hook_point, read, row)), kind.tokens));
  }
  Value Take(const DirectLogitRead& kind, const Read& read, size_t row) const {
    return DirectLogit(kind, model_, Select(FinalRowsOf(row), PositionsOf({Site::kEmbed}, read, row)),
                       [&](const HookPoint& point) { return Chosen(point, read, row); });
  }
  Value Take(const AttentionRead& kind, const Read& read, size_t row) const {
    const std::vector<int64_t> positions = PositionsOf({Site::kZ, kind.layer}, read, row);
    const auto weights_of = [&](const std::vector<int64_t>& queries) {
      return AttentionWeights(kind, model_.hyperparameters(), output_, row, queries);
    };
    const DocumentVariant* variant = rows_[row].variant;
    if (variant == nullptr) return OnHost(weights_of(positions));
    // Keys that are gone have no weight, queries no row.
    const std::vector<int64_t> kept = StillThere(positions, row);
    std::vector<int64_t> queries, columns = variant->original;
    for (const int64_t position : kept) queries.push_back(variant->RowOf(position));
    columns.push_back(LengthOf(row));
    const at::Tensor weights = weights_of(queries);
    const at::Tensor wide = at::zeros({weights.size(0), LengthOf(row) + 1}, weights.options());
    wide.index_copy_(1, IndexTensor(columns, wide.device()), weights);
    return OnHost(WithGaps(wide, kept, positions));
  }
  Value Take(const ShiftRead& kind, const Read& read, size_t row) const {
    return OnHost(Shift(Chosen(kind.hook_point, read, row), ChosenClean(kind.hook_point, read, row)));
  }
  Value Take(const FeatureChangeRead& kind, const Read& read, size_t row) const {
    const auto& [dictionary, point, is_transcoder] = run_.dictionaries[kind.dictionary];
    const std::vector<int64_t> positions = StillThere(PositionsOf(point, read, row), row);
    return FeatureChanges(*dictionary, kind.threshold, Select(RowsOf(point, row), positions),
                          Select(CleanRows(point, row), positions), positions);
  }
  Value Take(const ReconstructionErrorRead& kind, const Read& read, size_t row) const {
    const auto& [dictionary, point, is_transcoder] = run_.dictionaries[kind.dictionary];
    const std::vector<int64_t> positions = PositionsOf(point, read, row), kept = StillThere(positions, row);
    const at::Tensor errors =
        ReconstructionErrors(*dictionary, Select(RowsOf(point, row), kept), CleanRows(point, row));
    return OnHost(WithGaps(errors, kept, positions));
  }
  // Reads of the masked-token head, which waits for its rows.
  template <typename MlmRead>
  Value Take(const MlmRead&, const Read&, size_t) const {
    return at::Tensor();
  }

  // What a read chooses at a hook point: its positions (0 where the document has one row), their rows [rows, channels]
  // in this pass, and in the clean run. A position that a document edit removed has a row of NaN.
  std::vector<int64_t> PositionsOf(const HookPoint& point, const Read& read, size_t row) const {
    return ResolveRows(point, read.positions, run_.documents[rows_[row].document], "positions");
  }
  at::Tensor Chosen(const HookPoint& point, const Read& read, size_t row) const {
    return Select(RowsOf(point, row), PositionsOf(point, read, row));
  }
  at::Tensor ChosenClean(const HookPoint& point, const Read& read, size_t row) const {
    return Select(CleanRows(point, row), PositionsOf(point, read, row));
  }

  // All the rows of the document, by position: of this pass, of its final residual stream, of the clean run.
  at::Tensor RowsOf(const HookPoint& point, size_t row) const {
    const at::Tensor rows = output_.Rows(point, row);
    return IsOnePerDocument(point) ? rows : ByPosition(rows, row);
  }
  at::Tensor FinalRowsOf(size_t row) const {
    const int64_t begin = output_.offsets[row];
    return ByPosition(output_.final.narrow(0, begin, output_.offsets[row + 1] - begin), row);
  }
  at::Tensor CleanRows(const HookPoint& point, size_t row) const {
    return rows_[row].intervention < 0 ? output_.Rows(point, row) : clean_.Rows(rows_[row].document, point);
  }

  at::Tensor ByPosition(const at::Tensor& rows, size_t row) const {
    const DocumentVariant* variant = rows_[row].variant;
    return variant == nullptr ? rows : AtPositions(rows, *variant, LengthOf(row));
  }
  int64_t LengthOf(size_t row) const { return run_.documents[rows_[row].document].length(); }

  // The positions that the document's edits leave.
  std::vector<int64_t> StillThere(std::vector<int64_t> positions, size_t row) const {
    const DocumentVariant* variant = rows_[row].variant;
    if (variant != nullptr) {
      std::erase_if(positions, [&](int64_t position) { return variant->RowOf(position) < 0; });
    }
    return positions;
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
    std::vector<at::Tensor> rows, clean_rows;
    for (const MlmRow& mlm : group_) {
      rows.push_back(Select(FinalRowsOf(mlm.row), mlm.positions));
      if (mlm.needs_clean) clean_rows.push_back(Select(clean_.Final(rows_[mlm.row].document), mlm.positions));
    }
    const at::Tensor logits = model_.MlmLogits(at::cat(rows));
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
      const std::vector<int64_t> positions = MlmPositions(read, rows_[mlm.row].document);
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

void TakeReads(const Run& run, const Transformer& model, const CleanValues& clean, const std::vector<ForwardRow>& rows,
               const ForwardOutput& output) {
  ReadTaker(run, model, clean, rows, output).Take();
}

}  // namespace lifescope
