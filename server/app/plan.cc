#include "server/app/plan.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/app/field_path.h"
#include "server/app/plan_document.h"
#include "server/app/status_macros.h"

namespace lifescope {
namespace {

lifescope::Positions FromMessage(const v1::Positions& message) {
  lifescope::Positions positions;
  positions.indices.assign(message.indices().begin(), message.indices().end());
  for (const v1::PositionRange& range : message.ranges()) positions.ranges.emplace_back(range.begin(), range.end());
  positions.events.assign(message.events().begin(), message.events().end());
  positions.cls = message.cls();
  return positions;
}

template <typename List>
std::vector<int64_t> Indices(const List& list) {
  return std::vector<int64_t>(list.begin(), list.end());
}

// Fills one plan; every method takes the message, its path in the request and where to put the result.
class Planner {
 public:
  Planner(const Registry& registry, Plan& plan) : registry_(registry), plan_(plan) {}

  absl::Status Fill(const v1::Run& run, const std::string& field) {
    RETURN_IF_ERROR(CatchInField(Child(field, "model"), [&] { plan_.model = &registry_.Model(run.model()); }));
    RETURN_IF_ERROR(FillPrecision(run.precision(), Child(field, "precision")));
    plan_.run.n_slots = run.n_slots();
    plan_.run.deterministic = run.deterministic();
    for (int i = 0; i < run.documents_size(); ++i) {
      RETURN_IF_ERROR(AddDocument(run.documents(i), Element(field, "documents", i)));
    }
    for (int i = 0; i < run.interventions_size(); ++i) {
      const std::string path = Element(field, "interventions", i);
      lifescope::Intervention& intervention = plan_.run.interventions.emplace_back();
      intervention.name = run.interventions(i).name();
      for (int j = 0; j < run.interventions(i).edits_size(); ++j) {
        RETURN_IF_ERROR(
            FillEdit(run.interventions(i).edits(j), Element(path, "edits", j), intervention.edits.emplace_back()));
      }
    }
    for (int i = 0; i < run.reads_size(); ++i) {
      RETURN_IF_ERROR(FillRead(run.reads(i), Element(field, "reads", i), plan_.run.reads.emplace_back()));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status FillPrecision(v1::Precision precision, const std::string& field) {
    plan_.float64 = precision == v1::PRECISION_FLOAT64;
    if (v1::Precision_IsValid(precision)) return absl::OkStatus();
    return InvalidField(field, absl::StrCat(precision, ", expected FLOAT32 or FLOAT64"));
  }

  absl::Status AddDocument(const v1::Document& message, const std::string& field) {
    PlannedDocument planned;
    RETURN_IF_ERROR(PlanDocument(message, *plan_.model, registry_, field, planned));
    plan_.run.documents.push_back(std::move(planned.document));
    std::vector<std::string>& digests = plan_.corpus_digests;
    if (!planned.corpus_digest.empty() &&
        std::find(digests.begin(), digests.end(), planned.corpus_digest) == digests.end()) {
      digests.push_back(std::move(planned.corpus_digest));
    }
    return absl::OkStatus();
  }

  // Index of the dictionary in the run; it is added on first use.
  absl::Status UseDictionary(const std::string& name, const std::string& field, int64_t& index) {
    const DictionaryArtifact* artifact = nullptr;
    RETURN_IF_ERROR(CatchInField(field, [&] { artifact = &registry_.Dictionary(name, plan_.model->name); }));
    std::vector<const DictionaryArtifact*>& used = plan_.dictionaries;
    index = std::find(used.begin(), used.end(), artifact) - used.begin();
    if (index < static_cast<int64_t>(used.size())) return absl::OkStatus();
    RETURN_IF_ERROR(CheckFits(*artifact, field));
    used.push_back(artifact);
    plan_.run.dictionaries.push_back({artifact->dictionary, artifact->hook_point, artifact->is_transcoder});
    return absl::OkStatus();
  }

  absl::Status CheckFits(const DictionaryArtifact& artifact, const std::string& field) const {
    const ModelArtifact& model = *plan_.model;
    const std::string pair = absl::StrCat(field, ": dictionary '", artifact.name, "' and model '", model.name, "'");
    if (artifact.model != model.name && artifact.model != model.digest) {
      return absl::FailedPreconditionError(
          absl::StrCat(pair, " do not fit: it was trained on model '", artifact.model, "'"));
    }
    const Hyperparameters& hyperparameters = model.transformer->hyperparameters();
    if (artifact.hook_point.layer >= hyperparameters.n_encoders) {
      return absl::FailedPreconditionError(absl::StrCat(pair, " do not fit: it reads ", artifact.hook_point.ToString(),
                                                        ", the model has ", hyperparameters.n_encoders, " layers"));
    }
    int64_t width = 1;
    for (const int64_t size : ShapeAt(artifact.hook_point, hyperparameters)) width *= size;
    if (artifact.dictionary->activation_dim() == width) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(pair, " do not fit: it reads vectors of ",
                                                      artifact.dictionary->activation_dim(), ", ",
                                                      artifact.hook_point.ToString(), " gives ", width));
  }

  // Index of the head in the run; it is added on first use.
  absl::Status UseHead(const std::string& name, const std::string& field, int64_t& index) {
    const ModelArtifact& model = *plan_.model;
    const HeadArtifact* artifact = nullptr;
    RETURN_IF_ERROR(CatchInField(field, [&] { artifact = &registry_.Head(name, model.name); }));
    std::vector<const HeadArtifact*>& used = plan_.heads;
    index = std::find(used.begin(), used.end(), artifact) - used.begin();
    if (index < static_cast<int64_t>(used.size())) return absl::OkStatus();
    if (artifact->head->description().model_digest != model.digest) {
      return absl::FailedPreconditionError(absl::StrCat(
          field, ": head '", artifact->name, "' and model '", model.name, "' do not fit: it was trained on ",
          artifact->model.empty() ? artifact->head->description().model_digest : "'" + artifact->model + "'"));
    }
    const int64_t trained = artifact->head->description().n_slots;
    const int64_t asked = plan_.run.n_slots == 0 ? model.transformer->hyperparameters().max_length : plan_.run.n_slots;
    if (asked != trained) {
      return absl::FailedPreconditionError(absl::StrCat(field, ": head '", artifact->name, "' was trained with ",
                                                        trained,
                                                        " slots, where the model is another function than with the "
                                                        "run's n_slots ",
                                                        asked));
    }
    used.push_back(artifact);
    plan_.run.heads.push_back({artifact->name, artifact->head});
    return absl::OkStatus();
  }

  absl::Status FindToken(const std::string& token, const std::string& field, int32_t& id) const {
    const std::optional<int32_t> found = plan_.model->vocabulary->Find(token);
    if (!found.has_value()) {
      return InvalidField(field,
                          absl::StrCat("no token '", token, "' in the vocabulary of model '", plan_.model->name, "'"));
    }
    id = *found;
    return absl::OkStatus();
  }

  absl::Status ParseHookPoint(const std::string& name, const std::string& field, HookPoint& point) {
    RETURN_IF_ERROR(CatchInField(field, [&] {
      point = HookPoint::Parse(name);
      point.CheckLayer(plan_.model->transformer->hyperparameters());
    }));
    if (point.head.empty()) return absl::OkStatus();
    if (point.site != Site::kPersonSummary) {
      return InvalidField(field, absl::StrCat("'", name, "', expected hook_person_summary of a head"));
    }
    int64_t index = 0;
    RETURN_IF_ERROR(UseHead(point.head, field, index));
    point.head = plan_.run.heads[index].name;
    return absl::OkStatus();
  }

  absl::Status FillTarget(const v1::Edit& message, const std::string& field, EditTarget& target) {
    switch (message.target_case()) {
      case v1::Edit::kActivation: {
        lifescope::ActivationTarget activation;
        RETURN_IF_ERROR(ParseHookPoint(message.activation().hook_point(), Child(field, "activation.hook_point"),
                                       activation.hook_point));
        target = activation;
        return absl::OkStatus();
      }
      case v1::Edit::kHead:
        target = lifescope::HeadTarget{message.head().layer(), message.head().head()};
        return absl::OkStatus();
      case v1::Edit::kNeurons:
        target = lifescope::NeuronTarget{message.neurons().layer(), Indices(message.neurons().neurons())};
        return absl::OkStatus();
      case v1::Edit::kFeatures: {
        lifescope::FeatureTarget features{0, Indices(message.features().features())};
        RETURN_IF_ERROR(
            UseDictionary(message.features().dictionary(), Child(field, "features.dictionary"), features.dictionary));
        target = std::move(features);
        return absl::OkStatus();
      }
      case v1::Edit::TARGET_NOT_SET:
        break;
    }
    return InvalidField(Child(field, "target"), "not set, expected activation, head, neurons or features");
  }

  static absl::Status FillMode(const v1::Edit& message, const std::string& field, EditMode& mode) {
    switch (message.mode_case()) {
      case v1::Edit::kZero:
        mode = lifescope::Zero{};
        return absl::OkStatus();
      case v1::Edit::kMean:
        mode = lifescope::Mean{Indices(message.mean().documents())};
        return absl::OkStatus();
      case v1::Edit::kSet:
        mode = lifescope::SetTo{{message.set().values().begin(), message.set().values().end()}};
        return absl::OkStatus();
      case v1::Edit::kScale:
        mode = lifescope::Scale{message.scale().factor()};
        return absl::OkStatus();
      case v1::Edit::kAdd:
        mode = lifescope::Add{{message.add().values().begin(), message.add().values().end()}};
        return absl::OkStatus();
      case v1::Edit::kDonor:
        mode = lifescope::Donor{message.donor().document(), FromMessage(message.donor().positions())};
        return absl::OkStatus();
      case v1::Edit::MODE_NOT_SET:
        break;
    }
    return InvalidField(Child(field, "mode"), "not set, expected zero, mean, set, scale, add or donor");
  }

  static absl::Status FillErrorMode(const v1::Edit& message, const std::string& field, lifescope::ErrorMode& mode) {
    if (!v1::ErrorMode_IsValid(message.error_mode())) {
      return InvalidField(field, absl::StrCat(message.error_mode(), ", expected DELTA or REPLACE"));
    }
    if (message.error_mode() != v1::ERROR_MODE_UNSPECIFIED && !message.has_features()) {
      return InvalidField(
          field, absl::StrCat(v1::ErrorMode_Name(message.error_mode()), ", expected none: it is for feature targets"));
    }
    mode =
        message.error_mode() == v1::ERROR_MODE_REPLACE ? lifescope::ErrorMode::kReplace : lifescope::ErrorMode::kDelta;
    return absl::OkStatus();
  }

  absl::Status FillEdit(const v1::Edit& message, const std::string& field, lifescope::Edit& edit) {
    RETURN_IF_ERROR(FillTarget(message, field, edit.target));
    RETURN_IF_ERROR(FillMode(message, field, edit.mode));
    RETURN_IF_ERROR(FillErrorMode(message, Child(field, "error_mode"), edit.error_mode));
    edit.positions = FromMessage(message.positions());
    edit.documents = Indices(message.documents());
    return absl::OkStatus();
  }

  absl::Status FillRead(const v1::Read& message, const std::string& field, lifescope::Read& read) {
    read.name = message.name();
    read.positions = FromMessage(message.positions());
    read.documents = Indices(message.documents());
    return FillReadKind(message, field, read.kind);
  }

  absl::Status FillReadKind(const v1::Read& message, const std::string& field, ReadKind& kind) {
    switch (message.kind_case()) {
      case v1::Read::kActivation:
        return ParseHookPoint(message.activation().hook_point(), Child(field, "activation.hook_point"),
                              kind.emplace<lifescope::ActivationRead>().hook_point);
      case v1::Read::kFeatures:
        return UseDictionary(message.features().dictionary(), Child(field, "features.dictionary"),
                             kind.emplace<lifescope::FeatureRead>().dictionary);
      case v1::Read::kMlmLogits: {
        auto& read = kind.emplace<lifescope::MlmLogitsRead>();
        for (int i = 0; i < message.mlm_logits().tokens_size(); ++i) {
          RETURN_IF_ERROR(FindToken(message.mlm_logits().tokens(i), Element(field, "mlm_logits.tokens", i),
                                    read.tokens.emplace_back()));
        }
        return absl::OkStatus();
      }
      case v1::Read::kLogitDifference: {
        const std::string path = Child(field, "logit_difference");
        auto& read = kind.emplace<lifescope::LogitDifferenceRead>();
        RETURN_IF_ERROR(FindToken(message.logit_difference().token_a(), Child(path, "token_a"), read.token_a));
        return FindToken(message.logit_difference().token_b(), Child(path, "token_b"), read.token_b);
      }
      case v1::Read::kLogProbability:
        return FindToken(message.log_probability().token(), Child(field, "log_probability.token"),
                         kind.emplace<lifescope::LogProbabilityRead>().token);
      case v1::Read::kKlToClean:
        kind = lifescope::KlToCleanRead{};
        return absl::OkStatus();
      case v1::Read::kSopLogits:
        kind = lifescope::SopLogitsRead{};
        return absl::OkStatus();
      case v1::Read::kClassProbability:
        return UseHead(message.class_probability().head(), Child(field, "class_probability.head"),
                       kind.emplace<lifescope::ClassProbabilityRead>().head);
      case v1::Read::KIND_NOT_SET:
        break;
    }
    return InvalidField(Child(field, "kind"),
                        "not set, expected activation, features, mlm_logits, logit_difference, log_probability, "
                        "kl_to_clean, sop_logits or class_probability");
  }

  const Registry& registry_;
  Plan& plan_;
};

}  // namespace

absl::StatusOr<Plan> PlanRun(const v1::Run& run, const Registry& registry, const std::string& field) {
  Plan plan;
  RETURN_IF_ERROR(Planner(registry, plan).Fill(run, field));
  return plan;
}

std::shared_ptr<const Transformer> TakeTransformer(Plan& plan) {
  if (!plan.float64) return plan.model->transformer;
  for (size_t i = 0; i < plan.dictionaries.size(); ++i) {
    plan.run.dictionaries[i].dictionary = plan.dictionaries[i]->audit_dictionary();
  }
  for (size_t i = 0; i < plan.heads.size(); ++i) plan.run.heads[i].head = plan.heads[i]->audit_head();
  return plan.model->audit_transformer();
}

}  // namespace lifescope
