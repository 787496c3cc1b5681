// The checks of interventions: targets, positions and modes of every edit.
#include <cmath>

#include "server/intervention/path_patch.h"
#include "server/intervention/run_checks.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

class InterventionChecks : RunChecks {
 public:
  using RunChecks::RunChecks;

  void CheckInterventions() const {
    for (size_t i = 0; i < run_.interventions.size(); ++i) {
      const std::string field = ElementPath("interventions", i);
      const Intervention& intervention = run_.interventions[i];
      TORCH_CHECK_VALUE(!intervention.edits.empty() || !intervention.document_edits.empty(), field,
                        ".edits: none, expected at least one, or a document edit");
      CheckDocumentEdits(intervention.document_edits, field + ".document_edits");
      CheckScope(intervention, field + ".scope");
      for (size_t j = 0; j < intervention.edits.size(); ++j) {
        CheckEdit(intervention.edits[j], ElementPath(field + ".edits", j));
        const Donor* donor = DonorOf(intervention.edits[j]);
        if (donor != nullptr) CheckDonorRun(*donor, i, ElementPath(field + ".edits", j));
      }
    }
  }

 private:
  void CheckDocumentEdits(const std::vector<DocumentEdit>& edits, const std::string& list) const {
    for (size_t i = 0; i < edits.size(); ++i) {
      const std::string field = ElementPath(list, i);
      CheckIndices(edits[i].documents, document_count(), field + ".documents", "document");
      if (const auto* replace = std::get_if<ReplaceTokens>(&edits[i].change)) {
        CheckTokens(replace->positions.tokens, field + ".replace_tokens.positions.tokens");
        CheckTokens(replace->tokens, field + ".replace_tokens.tokens");
      }
      if (const auto* shift = std::get_if<ShiftTime>(&edits[i].change)) {
        CheckTokens(shift->positions.tokens, field + ".shift_time.positions.tokens");
      }
    }
    for (int64_t d = 0; d < document_count(); ++d) {
      if (EditsDocument(edits, d)) ApplyDocumentEdits(run_.documents[d], edits, d, list);
    }
  }

  // What is frozen has a value for every position.
  void CheckScope(const Intervention& intervention, const std::string& field) const {
    if (intervention.scope == Scope::kPropagate) return;
    for (size_t i = 0; i < intervention.document_edits.size(); ++i) {
      const DocumentChange& change = intervention.document_edits[i].change;
      const bool deletes = std::holds_alternative<DeleteEvent>(change);
      TORCH_CHECK_VALUE(!deletes && !std::holds_alternative<PadEvent>(change), field,
                        ": given, expected none: ", ElementPath("document_edits", i),
                        deletes ? ".delete_event" : ".pad_event",
                        " takes positions away, and nothing stays as in the clean run without them");
    }
  }

  void CheckEdit(const Edit& edit, const std::string& field) const {
    std::visit([&](const auto& target) { CheckTarget(target, edit, field); }, edit.target);
    TORCH_CHECK_VALUE(edit.error_mode == ErrorMode::kDelta || std::holds_alternative<FeatureTarget>(edit.target), field,
                      ".error_mode: ", edit.error_mode == ErrorMode::kReplace ? "REPLACE" : "FROZEN_ERROR",
                      ", expected none: it is for feature targets");
    CheckIndices(edit.documents, document_count(), field + ".documents", "document");
    CheckUnit(edit, field + ".unit");
    if (edit.condition.has_value()) CheckCondition(edit, field + ".condition");
    CheckPositions(edit.positions, edit.documents, field);
    std::visit([&](const auto& mode) { CheckMode(edit, mode, field); }, edit.mode);
  }

  void CheckTarget(const ActivationTarget& target, const Edit& edit, const std::string& field) const {
    CheckEditedPoint(target.hook_point, edit, field, ".activation.hook_point");
  }
  void CheckTarget(const HeadTarget& target, const Edit&, const std::string& field) const {
    CheckIndex(target.layer, hyperparameters_.n_encoders, field + ".head.layer", "layer");
    CheckIndex(target.head, hyperparameters_.n_heads, field + ".head.head", "head");
    const bool is_per_head =
        target.site == Site::kZ || target.site == Site::kQ || target.site == Site::kK || target.site == Site::kV;
    TORCH_CHECK_VALUE(is_per_head, field, ".head.site: ", HookPoint{target.site, target.layer}.ToString(),
                      ", expected hook_z, hook_q, hook_k or hook_v");
  }
  void CheckTarget(const NeuronTarget& target, const Edit&, const std::string& field) const {
    CheckIndex(target.layer, hyperparameters_.n_encoders, field + ".neurons.layer", "layer");
    TORCH_CHECK_VALUE(!target.neurons.empty(), field, ".neurons.neurons: none, expected at least one");
    CheckIndices(target.neurons, hyperparameters_.hidden_ff, field + ".neurons.neurons", "neuron");
  }
  void CheckTarget(const FeatureTarget& target, const Edit&, const std::string& field) const {
    CheckReconstructs(target.dictionary, field + ".features.dictionary");
    TORCH_CHECK_VALUE(!target.features.empty(), field, ".features.features: none, expected at least one");
    CheckIndices(target.features, run_.dictionaries[target.dictionary].dictionary->feature_count(),
                 field + ".features.features", "feature");
  }
  void CheckTarget(const DirectionTarget& target, const Edit& edit, const std::string& field) const {
    CheckEditedPoint(target.hook_point, edit, field, ".direction.hook_point");
    const std::string path = field + ".direction.vector";
    const auto width = static_cast<size_t>(WidthAt(target.hook_point, hyperparameters_));
    TORCH_CHECK_VALUE(target.vector.size() == width, path, ": ", target.vector.size(), " values, expected ", width,
                      ", the width of ", target.hook_point.ToString());
    double squares = 0;
    for (size_t i = 0; i < width; ++i) {
      CheckFinite(target.vector[i], ElementPath(path, i));
      squares += target.vector[i] * target.vector[i];
    }
    TORCH_CHECK_VALUE(std::isnormal(squares), path, ": its squares sum to ", squares,
                      ", expected a vector that has a length");
  }
  void CheckTarget(const ErrorTarget& target, const Edit&, const std::string& field) const {
    CheckReconstructs(target.dictionary, field + ".error.dictionary");
  }

  void CheckEditedPoint(const HookPoint& point, const Edit& edit, const std::string& field,
                        const std::string& kind) const {
    CheckRowPoint(point, edit.positions, field, kind);
    const auto* donor = std::get_if<Donor>(&edit.mode);
    TORCH_CHECK_VALUE(point.head.empty() || donor == nullptr || donor->positions.all(), field,
                      ".donor.positions: given, expected none: ", point.ToString(), " has one row per document");
    TORCH_CHECK_VALUE(point.head.empty() || !edit.condition.has_value(), field,
                      ".condition: given, expected none: ", point.ToString(), " has one row per document");
  }

  void CheckReconstructs(int64_t dictionary, const std::string& field) const {
    CheckDictionary(dictionary, field);
    TORCH_CHECK_VALUE(!run_.dictionaries[dictionary].is_transcoder, field,
                      ": a transcoder, which does not reconstruct what it reads; expected a sparse autoencoder: "
                      "features of a transcoder can be read, not edited");
  }

  void CheckUnit(const Edit& edit, const std::string& field) const {
    const Unit& unit = edit.unit;
    if (unit.kind == Unit::Kind::kAbsolute) return;
    const bool has_values = std::holds_alternative<SetTo>(edit.mode) || std::holds_alternative<Add>(edit.mode) ||
                            std::holds_alternative<Cap>(edit.mode) || std::holds_alternative<Floor>(edit.mode);
    TORCH_CHECK_VALUE(has_values, field, ": given, expected none: it is for set, add, cap and floor");
    TORCH_CHECK_VALUE(0 <= unit.quantile && unit.quantile <= 1, field, ".quantile: ", unit.quantile,
                      ", expected 0 to 1");
    CheckReference(unit.documents, field + ".documents");
  }

  void CheckCondition(const Edit& edit, const std::string& field) const {
    const Condition& condition = *edit.condition;
    CheckDictionary(condition.dictionary, field + ".dictionary");
    CheckIndex(condition.feature, run_.dictionaries[condition.dictionary].dictionary->feature_count(),
               field + ".feature", "feature");
    CheckFinite(condition.above, field + ".above");
  }

  // Documents that values are taken from.
  void CheckReference(const std::vector<int64_t>& documents, const std::string& field) const {
    TORCH_CHECK_VALUE(!documents.empty(), field, ": none, expected at least one");
    CheckIndices(documents, document_count(), field, "document");
  }

  void CheckTarget(const EdgeTarget& target, const Edit& edit, const std::string& field) const {
    CheckIndex(target.layer, hyperparameters_.n_encoders, field + ".edges.layer", "layer");
    CheckIndex(target.head, hyperparameters_.n_heads, field + ".edges.head", "head");
    TORCH_CHECK_VALUE(!edit.condition.has_value(), field, ".condition: given, expected none: it is not for edges");
    const auto* scale = std::get_if<Scale>(&edit.mode);
    TORCH_CHECK_VALUE(scale != nullptr || std::holds_alternative<Zero>(edit.mode), field,
                      ".edges: with another mode, expected zero or scale: an edge has a weight and no value");
    TORCH_CHECK_VALUE(scale == nullptr || scale->factor >= 0, field,
                      ".scale.factor: ", scale == nullptr ? 0 : scale->factor,
                      ", expected 0 or more: a factor of an attention weight");
    CheckIndices(edit.documents, document_count(), field + ".documents", "document");
    CheckTokens(target.keys.tokens, field + ".edges.keys.tokens");
    for (int64_t d = 0; d < document_count(); ++d) {
      if (!Covers(edit.documents, d)) continue;
      ListPositions(target.keys, run_.documents[d], field + ".edges.keys", ElementPath("documents", d));
    }
  }

  void CheckMode(const Edit&, const Zero&, const std::string&) const {}
  void CheckMode(const Edit&, const Mean& mode, const std::string& field) const {
    CheckReference(mode.documents, field + ".mean.documents");
  }
  void CheckMode(const Edit&, const Resample& mode, const std::string& field) const {
    CheckReference(mode.documents, field + ".resample.documents");
  }
  void CheckMode(const Edit& edit, const Cap& mode, const std::string& field) const {
    CheckValues(edit, mode.values, field + ".cap.values");
  }
  void CheckMode(const Edit& edit, const Floor& mode, const std::string& field) const {
    CheckValues(edit, mode.values, field + ".floor.values");
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
  void CheckMode(const Edit& edit, const Donor& mode, const std::string& field) const { CheckDonor(edit, mode, field); }
  void CheckMode(const Edit& edit, const PathFrom& mode, const std::string& field) const {
    const auto* receiver = std::get_if<ActivationTarget>(&edit.target);
    TORCH_CHECK_VALUE(receiver != nullptr && IsStream(receiver->hook_point), field,
                      ".path: at another target, expected the hook point of a residual stream, hook_attn_in or "
                      "hook_mlp_in");
    Edit sent = edit;
    sent.target = mode.sender;
    sent.mode = Zero{};
    std::visit([&](const auto& sender) { CheckTarget(sender, sent, field + ".path.sender"); }, mode.sender);
    const HookPoint sender = EditHookPoint(run_, mode.sender);
    TORCH_CHECK_VALUE(WritesToStream(run_, mode.sender), field, ".path.sender: ", sender.ToString(),
                      ", expected a part that writes to the residual stream");
    TORCH_CHECK_VALUE(ComesBefore(sender, receiver->hook_point), field, ".path.sender: ", sender.ToString(),
                      ", expected one before ", receiver->hook_point.ToString());
    CheckDonor(edit, mode.donor, field);
  }

  void CheckDonor(const Edit& edit, const Donor& mode, const std::string& field) const {
    CheckIndex(mode.document, document_count(), field + ".donor.document", "document");
    CheckTokens(mode.positions.tokens, field + ".donor.positions.tokens");
    for (int64_t d = 0; d < document_count(); ++d) {
      if (Covers(edit.documents, d)) PairPositions(run_, edit, mode, d, field);
    }
  }

  // An earlier intervention that runs the document.
  void CheckDonorRun(const Donor& donor, size_t intervention, const std::string& field) const {
    TORCH_CHECK_INDEX(-1 <= donor.intervention && donor.intervention < static_cast<int64_t>(intervention), field,
                      ".donor.intervention: ", donor.intervention,
                      ", expected -1 (the clean run) or an earlier one, < ", intervention);
    TORCH_CHECK_VALUE(donor.intervention < 0 || Edits(run_.interventions[donor.intervention], donor.document), field,
                      ".donor.document: ", donor.document, ", expected a document that interventions[",
                      donor.intervention, "] edits");
  }

  void CheckValues(const Edit& edit, const std::vector<double>& values, const std::string& field) const {
    const size_t channels = EditedChannels(run_, edit.target, hyperparameters_).size();
    TORCH_CHECK_VALUE(values.size() == 1 || values.size() == channels, field, ": ", values.size(),
                      " values, expected 1 or ", channels, ", one per edited channel");
    for (size_t i = 0; i < values.size(); ++i) CheckFinite(values[i], ElementPath(field, i));
  }
};

}  // namespace

void ValidateInterventions(const Run& run, const Transformer& model) {
  InterventionChecks(run, model).CheckInterventions();
}

}  // namespace lifescope
