// Everything of a run that can be checked before compute. Field paths are those of run.proto.
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "server/intervention/engine.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

std::string At(const std::string& list, size_t index) { return list + "[" + std::to_string(index) + "]"; }

void CheckIndex(int64_t value, int64_t count, const std::string& field, const char* what) {
  TORCH_CHECK_INDEX(0 <= value && value < count, field, ": ", value, ", expected 0 <= ", what, " < ", count);
}

// Each in range and once.
template <typename T>
void CheckIndices(const std::vector<T>& values, int64_t count, const std::string& field, const char* what) {
  std::set<T> seen;
  for (size_t i = 0; i < values.size(); ++i) {
    CheckIndex(values[i], count, At(field, i), what);
    TORCH_CHECK_VALUE(seen.insert(values[i]).second, At(field, i), ": ", what, " ", values[i],
                      " twice, expected each once");
  }
}

template <typename T>
void CheckRow(const std::vector<T>& row, int64_t length, const std::string& field) {
  TORCH_CHECK_VALUE(static_cast<int64_t>(row.size()) == length, field, ": ", row.size(), " entries, expected ", length,
                    ", one per token");
}

int64_t CountOf(const Run& run) { return static_cast<int64_t>(run.documents.size()); }

class Validator {
 public:
  Validator(const Run& run, const Transformer& model)
      : run_(run),
        model_(model),
        hyperparameters_(model.hyperparameters()),
        points_(AllHookPoints(model.hyperparameters())) {}

  void CheckDocuments() const {
    TORCH_CHECK_VALUE(!run_.documents.empty(), "documents: none, expected at least one");
    TORCH_CHECK_VALUE(0 <= run_.n_slots && run_.n_slots <= hyperparameters_.max_length, "n_slots: ", run_.n_slots,
                      ", expected 0 (the model's max_length) to ", hyperparameters_.max_length);
    const int64_t n_slots = run_.n_slots == 0 ? hyperparameters_.max_length : run_.n_slots;
    for (size_t i = 0; i < run_.documents.size(); ++i) {
      CheckDocument(run_.documents[i], n_slots, At("documents", i));
    }
  }

  void CheckDictionaries() const {
    for (size_t i = 0; i < run_.dictionaries.size(); ++i) {
      const auto& [dictionary, point, is_transcoder] = run_.dictionaries[i];
      const std::string field = At("dictionaries", i);
      TORCH_CHECK_VALUE(dictionary != nullptr, field, ": null, expected a dictionary");
      CheckTokenPoint(point, field + ".hook_point");
      const int64_t width = WidthAt(point, hyperparameters_);
      TORCH_CHECK_VALUE(dictionary->activation_dim() == width, field, ": reads vectors of ",
                        dictionary->activation_dim(), ", expected ", width, ", the width of ", point.ToString());
      TORCH_CHECK_VALUE(is_transcoder || dictionary->output_dim() == width, field, ": writes vectors of ",
                        dictionary->output_dim(), ", expected ", width, " or a transcoder");
      TORCH_CHECK_VALUE(dictionary->dtype() == model_.dtype() && dictionary->device() == model_.device(), field, ": ",
                        dictionary->dtype(), " on ", dictionary->device(), ", expected ", model_.dtype(), " on ",
                        model_.device(), " as the model");
    }
  }

  void CheckHeads() const {
    std::set<std::string> names;
    for (size_t i = 0; i < run_.heads.size(); ++i) {
      const auto& [name, head] = run_.heads[i];
      const std::string field = At("heads", i);
      TORCH_CHECK_VALUE(head != nullptr, field, ": null, expected a head");
      TORCH_CHECK_VALUE(!name.empty() && names.insert(name).second, field, ": name '", name,
                        "', expected a name of its own");
      TORCH_CHECK_VALUE(head->shape().hidden_size == hyperparameters_.hidden_size, field, ": reads rows of ",
                        head->shape().hidden_size, ", expected ", hyperparameters_.hidden_size, ", the model's width");
      TORCH_CHECK_VALUE(head->dtype() == model_.dtype() && head->device() == model_.device(), field, ": ",
                        head->dtype(), " on ", head->device(), ", expected ", model_.dtype(), " on ", model_.device(),
                        " as the model");
    }
  }

  void CheckInterventions() const {
    for (size_t i = 0; i < run_.interventions.size(); ++i) {
      const std::string field = At("interventions", i) + ".edits";
      const std::vector<Edit>& edits = run_.interventions[i].edits;
      TORCH_CHECK_VALUE(!edits.empty(), field, ": none, expected at least one");
      for (size_t j = 0; j < edits.size(); ++j) CheckEdit(edits[j], At(field, j));
    }
  }

  void CheckReads() const {
    TORCH_CHECK_VALUE(!run_.reads.empty(), "reads: none, expected at least one");
    for (size_t i = 0; i < run_.reads.size(); ++i) {
      const Read& read = run_.reads[i];
      const std::string field = At("reads", i);
      std::visit([&](const auto& kind) { CheckKind(kind, read, field); }, read.kind);
      CheckIndices(read.documents, CountOf(run_), field + ".documents", "document");
      if (ReadsPositions(read.kind)) CheckPositions(read.positions, read.documents, field);
    }
  }

 private:
  void CheckDocument(const Document& document, int64_t n_slots, const std::string& field) const {
    const int64_t length = document.length();
    TORCH_CHECK_VALUE(length > 0, field, ": no positions, expected at least one");
    TORCH_CHECK_VALUE(length <= n_slots, field, ": ", length, " positions, expected at most n_slots = ", n_slots);
    CheckRow(document.abspos, length, field + ".abspos");
    CheckRow(document.age, length, field + ".age");
    CheckRow(document.segment, length, field + ".segment");
    CheckRow(document.event, length, field + ".event");
    for (int64_t i = 0; i < length; ++i) {
      CheckToken(document.token[i], At(field + ".token", i));
      CheckIndex(document.segment[i], 4, At(field + ".segment", i), "segment");
    }
  }

  void CheckToken(int32_t token, const std::string& field) const {
    CheckIndex(token, hyperparameters_.vocab_size, field, "token");
  }

  void CheckPoint(const HookPoint& point, const std::string& field) const {
    TORCH_CHECK_VALUE(std::find(points_.begin(), points_.end(), point) != points_.end(), field, ": ", point.ToString(),
                      ", expected a hook point of a model with ", hyperparameters_.n_encoders, " layers");
  }

  // A hook point whose rows are positions: the only kind that dictionaries work on.
  void CheckTokenPoint(const HookPoint& point, const std::string& field) const {
    CheckPoint(point, field);
    TORCH_CHECK_VALUE(RowKindOf(point.site) == RowKind::kToken, field, ": ", point.ToString(),
                      ", expected a hook point with one row per position");
  }

  // What edits and activation reads work on: rows of positions, or a head's person summaries, which have none.
  void CheckRowPoint(const HookPoint& point, const Positions& positions, const std::string& field,
                     const std::string& kind) const {
    if (point.head.empty()) return CheckTokenPoint(point, field + kind);
    const bool known = std::any_of(run_.heads.begin(), run_.heads.end(),
                                   [&](const RunHead& entry) { return entry.name == point.head; });
    TORCH_CHECK_VALUE(known && point.site == Site::kPersonSummary, field, kind, ": ", point.ToString(),
                      ", expected hook_person_summary of a head of the run");
    TORCH_CHECK_VALUE(positions.all(), field, ".positions: given, expected none: ", point.ToString(),
                      " has one row per document");
  }

  void CheckPositions(const Positions& positions, const std::vector<int64_t>& documents,
                      const std::string& field) const {
    if (positions.all()) return;
    for (int64_t d = 0; d < CountOf(run_); ++d) {
      if (!Covers(documents, d)) continue;
      ListPositions(positions, run_.documents[d], field + ".positions", At("documents", d));
    }
  }

  void CheckEdit(const Edit& edit, const std::string& field) const {
    std::visit([&](const auto& target) { CheckTarget(target, edit, field); }, edit.target);
    TORCH_CHECK_VALUE(edit.error_mode == ErrorMode::kDelta || std::holds_alternative<FeatureTarget>(edit.target), field,
                      ".error_mode: REPLACE, expected none: it is for feature targets");
    CheckIndices(edit.documents, CountOf(run_), field + ".documents", "document");
    CheckPositions(edit.positions, edit.documents, field);
    std::visit([&](const auto& mode) { CheckMode(edit, mode, field); }, edit.mode);
  }

  void CheckTarget(const ActivationTarget& target, const Edit& edit, const std::string& field) const {
    CheckRowPoint(target.hook_point, edit.positions, field, ".activation.hook_point");
    const auto* donor = std::get_if<Donor>(&edit.mode);
    TORCH_CHECK_VALUE(target.hook_point.head.empty() || donor == nullptr || donor->positions.all(), field,
                      ".donor.positions: given, expected none: ", target.hook_point.ToString(),
                      " has one row per document");
  }
  void CheckTarget(const HeadTarget& target, const Edit&, const std::string& field) const {
    CheckIndex(target.layer, hyperparameters_.n_encoders, field + ".head.layer", "layer");
    CheckIndex(target.head, hyperparameters_.n_heads, field + ".head.head", "head");
  }
  void CheckTarget(const NeuronTarget& target, const Edit&, const std::string& field) const {
    CheckIndex(target.layer, hyperparameters_.n_encoders, field + ".neurons.layer", "layer");
    TORCH_CHECK_VALUE(!target.neurons.empty(), field, ".neurons.neurons: none, expected at least one");
    CheckIndices(target.neurons, hyperparameters_.hidden_ff, field + ".neurons.neurons", "neuron");
  }
  void CheckTarget(const FeatureTarget& target, const Edit&, const std::string& field) const {
    CheckDictionary(target.dictionary, field + ".features.dictionary");
    TORCH_CHECK_VALUE(!run_.dictionaries[target.dictionary].is_transcoder, field,
                      ".features.dictionary: a transcoder, which does not reconstruct what it reads; expected a sparse "
                      "autoencoder: features of a transcoder can be read, not edited");
    TORCH_CHECK_VALUE(!target.features.empty(), field, ".features.features: none, expected at least one");
    CheckIndices(target.features, run_.dictionaries[target.dictionary].dictionary->feature_count(),
                 field + ".features.features", "feature");
  }
  void CheckDictionary(int64_t dictionary, const std::string& field) const {
    CheckIndex(dictionary, static_cast<int64_t>(run_.dictionaries.size()), field, "dictionary");
  }

  void CheckMode(const Edit&, const Zero&, const std::string&) const {}
  void CheckMode(const Edit&, const Mean& mode, const std::string& field) const {
    TORCH_CHECK_VALUE(!mode.documents.empty(), field, ".mean.documents: none, expected at least one");
    CheckIndices(mode.documents, CountOf(run_), field + ".mean.documents", "document");
  }
  void CheckMode(const Edit& edit, const SetTo& mode, const std::string& field) const {
    CheckValues(edit, mode.values, field + ".set.values");
  }
  void CheckMode(const Edit&, const Scale& mode, const std::string& field) const {
    CheckFinite(mode.factor, field + ".scale.factor");
  }
  void CheckMode(const Edit& edit, const Add& mode, const std::string& field) const {
    CheckValues(edit, mode.values, field + ".add.values");
  }
  void CheckMode(const Edit& edit, const Donor& mode, const std::string& field) const {
    CheckIndex(mode.document, CountOf(run_), field + ".donor.document", "document");
    for (int64_t d = 0; d < CountOf(run_); ++d) {
      if (Covers(edit.documents, d)) PairPositions(run_, edit, mode, d, field);
    }
  }

  void CheckValues(const Edit& edit, const std::vector<double>& values, const std::string& field) const {
    const size_t channels = EditedChannels(edit.target, hyperparameters_).size();
    TORCH_CHECK_VALUE(values.size() == 1 || values.size() == channels, field, ": ", values.size(),
                      " values, expected 1 or ", channels, ", one per edited channel");
    for (size_t i = 0; i < values.size(); ++i) CheckFinite(values[i], At(field, i));
  }

  // Finite in the run's arithmetic too.
  void CheckFinite(double value, const std::string& field) const {
    const double largest =
        model_.dtype() == at::kDouble ? std::numeric_limits<double>::max() : std::numeric_limits<float>::max();
    TORCH_CHECK_VALUE(std::abs(value) <= largest, field, ": ", value, ", expected a finite number of ", model_.dtype());
  }

  void CheckKind(const ActivationRead& kind, const Read& read, const std::string& field) const {
    CheckRowPoint(kind.hook_point, read.positions, field, ".activation.hook_point");
  }
  void CheckKind(const FeatureRead& read, const Read&, const std::string& field) const {
    CheckDictionary(read.dictionary, field + ".features.dictionary");
  }
  void CheckKind(const MlmLogitsRead& read, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".mlm_logits");
    for (size_t i = 0; i < read.tokens.size(); ++i) CheckToken(read.tokens[i], At(field + ".mlm_logits.tokens", i));
  }
  void CheckKind(const LogitDifferenceRead& read, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".logit_difference");
    CheckToken(read.token_a, field + ".logit_difference.token_a");
    CheckToken(read.token_b, field + ".logit_difference.token_b");
  }
  void CheckKind(const LogProbabilityRead& read, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".log_probability");
    CheckToken(read.token, field + ".log_probability.token");
  }
  void CheckKind(const KlToCleanRead&, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".kl_to_clean");
  }
  void CheckKind(const SopLogitsRead&, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".sop_logits");
  }
  void CheckKind(const ClassProbabilityRead& read, const Read&, const std::string& field) const {
    CheckIndex(read.head, static_cast<int64_t>(run_.heads.size()), field + ".class_probability.head", "head");
  }

  const Run& run_;
  const Transformer& model_;
  const Hyperparameters& hyperparameters_;
  const std::vector<HookPoint> points_;
};

}  // namespace

void ValidateRun(const Run& run, const Transformer& model) {
  const Validator validator(run, model);
  validator.CheckDocuments();
  validator.CheckDictionaries();
  validator.CheckHeads();
  validator.CheckInterventions();
  validator.CheckReads();
}

}  // namespace lifescope
