// AblateFeatures as a constructor of Run: one edited run of one document, read at the masked-token head.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "server/app/constructor.h"
#include "server/app/status_macros.h"

namespace lifescope {
namespace {

constexpr int32_t kDefaultTopTokens = 10, kMaxTopTokens = 100;
// Order of the reads.
constexpr size_t kLogits = 0, kKl = 1, kClasses = 2;

absl::Status SetMode(const v1::AblateFeaturesRequest& request, v1::Edit& edit) {
  const bool takes_value = request.kind() == v1::ABLATION_KIND_SET || request.kind() == v1::ABLATION_KIND_SCALE;
  if (!takes_value && request.value() != 0) {
    return InvalidField("value", absl::StrCat(request.value(), ", expected none: it is for SET and SCALE"));
  }
  switch (request.kind()) {
    case v1::ABLATION_KIND_UNSPECIFIED:
    case v1::ABLATION_KIND_ZERO:
      edit.mutable_zero();
      return absl::OkStatus();
    case v1::ABLATION_KIND_MEAN:
      edit.mutable_mean()->add_documents(0);
      return absl::OkStatus();
    case v1::ABLATION_KIND_SET:
      edit.mutable_set()->add_values(request.value());
      return absl::OkStatus();
    case v1::ABLATION_KIND_SCALE:
      edit.mutable_scale()->set_factor(request.value());
      return absl::OkStatus();
    default:
      return InvalidField("kind", absl::StrCat(request.kind(), ", expected ZERO, MEAN, SET or SCALE"));
  }
}

// Everything of the edit but the features.
absl::Status MakeEdit(const v1::AblateFeaturesRequest& request, v1::Edit& edit) {
  edit.mutable_features()->set_dictionary(request.dictionary());
  *edit.mutable_positions() = request.positions();
  edit.set_error_mode(request.error_mode());
  return SetMode(request, edit);
}

// Nothing said: the masked positions, else all.
v1::Positions ReadPositions(const v1::AblateFeaturesRequest& request) {
  v1::Positions positions = request.read_positions();
  if (positions.ByteSizeLong() == 0) *positions.mutable_indices() = request.document().mask_positions();
  return positions;
}

void AddReads(const v1::AblateFeaturesRequest& request, v1::Run& run) {
  const v1::Positions positions = ReadPositions(request);
  v1::Read& logits = *run.add_reads();
  logits.mutable_mlm_logits();
  *logits.mutable_positions() = positions;
  v1::Read& kl = *run.add_reads();
  kl.mutable_kl_to_clean();
  *kl.mutable_positions() = positions;
  if (!request.head().empty()) run.add_reads()->mutable_class_probability()->set_head(request.head());
}

RunPaths PathsOf(const v1::AblateFeaturesRequest& request) {
  const std::string edit = "run\\.interventions\\[(\\d+)\\]\\.edits\\[0\\]\\.";
  RunPaths paths;
  paths.documents = {"document"};
  paths.rules = {
      request.each_separately() ? RunPaths::Rule{std::regex(edit + "features\\.features\\[0\\]"), "features[$1]"}
                                : RunPaths::Rule{std::regex(edit + "features\\.features"), "features"},
      {std::regex(edit + "features\\.dictionary|run\\.dictionaries\\[0\\]"), "dictionary"},
      {std::regex(edit + "(set\\.values\\[0\\]|scale\\.factor)"), "value"},
      {std::regex(edit), ""},
      {std::regex("run\\.interventions"), "features"},
      {std::regex("run\\.reads\\[\\d+\\]\\.class_probability\\.head|run\\.heads\\[0\\]"), "head"},
      {std::regex("run\\.reads\\[\\d+\\]\\.positions"), "read_positions"},
      {std::regex("run\\."), ""},
  };
  return paths;
}

// What the masked-token head says at every read position: [positions, vocabulary].
struct HeadAnswer {
  explicit HeadAnswer(const DocumentResult& document)
      : logits(std::get<at::Tensor>(document.values.at(kLogits).value).to(at::kDouble).contiguous()),
        log_probabilities(at::log_softmax(logits, 1)),
        kl(std::get<at::Tensor>(document.values.at(kKl).value).to(at::kDouble).contiguous()) {}
  at::Tensor logits, log_probabilities, kl;
};

// Token ids by |change of log-probability| descending, then id; the first `count`.
std::vector<int32_t> MostChanged(const double* clean, const double* ablated, int64_t vocabulary, int64_t count) {
  std::vector<int32_t> ids(vocabulary);
  std::iota(ids.begin(), ids.end(), 0);
  count = std::min(count, vocabulary);
  const auto change = [&](int32_t id) { return std::abs(ablated[id] - clean[id]); };
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), [&](int32_t a, int32_t b) {
    const double change_a = change(a), change_b = change(b);
    return change_a != change_b ? change_a > change_b : a < b;
  });
  ids.resize(count);
  return ids;
}

void ShapePosition(const HeadAnswer& clean, const HeadAnswer& ablated, int64_t row, int32_t top_tokens,
                   const Vocabulary& vocabulary, v1::PositionEffect& effect) {
  const int64_t size = clean.logits.size(1), offset = row * size;
  const double* clean_logits = clean.logits.data_ptr<double>() + offset;
  const double* ablated_logits = ablated.logits.data_ptr<double>() + offset;
  const double* clean_log = clean.log_probabilities.data_ptr<double>() + offset;
  const double* ablated_log = ablated.log_probabilities.data_ptr<double>() + offset;
  effect.set_kl(ablated.kl.data_ptr<double>()[row]);
  for (const int32_t id : MostChanged(clean_log, ablated_log, size, top_tokens)) {
    v1::TokenEffect& token = *effect.add_tokens();
    token.set_token_id(id);
    token.set_token(vocabulary.token(id));
    token.set_clean_logit(clean_logits[id]);
    token.set_ablated_logit(ablated_logits[id]);
    token.set_clean_log_probability(clean_log[id]);
    token.set_ablated_log_probability(ablated_log[id]);
  }
}

void ShapeClasses(const DocumentResult& clean, const DocumentResult& ablated, const HeadDescription& head,
                  v1::AblationEffect& effect) {
  const auto probabilities = [](const DocumentResult& document) {
    return std::get<at::Tensor>(document.values.at(kClasses).value).to(at::kDouble).contiguous();
  };
  const at::Tensor before = probabilities(clean), after = probabilities(ablated);  // [targets, classes]
  int64_t index = 0;
  for (const PredictedTarget& target : head.targets) {
    for (const std::string& name : target.classes) {
      v1::ClassEffect& entry = *effect.add_classes();
      entry.set_target(target.name);
      entry.set_class_name(name);
      entry.set_clean_probability(before.data_ptr<double>()[index]);
      entry.set_ablated_probability(after.data_ptr<double>()[index]);
      ++index;
    }
  }
}

}  // namespace

v1::RunKind KindOf(const v1::AblateFeaturesRequest&) { return v1::RUN_KIND_ABLATE_FEATURES; }

absl::Status Construct(const v1::AblateFeaturesRequest& request, ConstructedRun& constructed) {
  if (request.features().empty()) return InvalidField("features", "none, expected at least one");
  if (request.top_tokens() < 0 || request.top_tokens() > kMaxTopTokens) {
    return InvalidField(
        "top_tokens", absl::StrCat(request.top_tokens(), ", expected 0 (", kDefaultTopTokens, ") to ", kMaxTopTokens));
  }
  constructed.top_tokens = request.top_tokens() == 0 ? kDefaultTopTokens : request.top_tokens();
  constructed.paths = PathsOf(request);
  v1::Run& run = constructed.run;
  run.set_model(request.model());
  *run.add_documents() = request.document();
  run.set_n_slots(request.n_slots());
  v1::Edit edit;
  RETURN_IF_ERROR(MakeEdit(request, edit));
  for (int i = 0; i < (request.each_separately() ? request.features_size() : 1); ++i) {
    v1::FeatureTarget& target = *edit.mutable_features();
    target.clear_features();
    if (request.each_separately()) {
      target.add_features(request.features(i));
    } else {
      *target.mutable_features() = request.features();
    }
    *run.add_interventions()->add_edits() = edit;
  }
  AddReads(request, run);
  return absl::OkStatus();
}

void Shape(const ConstructedRun& constructed, const Plan& plan, const RunResult& result,
           v1::AblateFeaturesResponse& response) {
  const std::vector<int64_t> positions =
      ResolvePositions(plan.run.reads[kLogits].positions, plan.run.documents[0], "read_positions", "document");
  const HeadAnswer clean(result.clean.at(0));
  for (size_t i = 0; i < result.interventions.size(); ++i) {
    const HeadAnswer ablated(result.interventions[i].documents.at(0));
    v1::AblationEffect& effect = *response.add_effects();
    *effect.mutable_features() = constructed.run.interventions(i).edits(0).features().features();
    for (size_t row = 0; row < positions.size(); ++row) {
      v1::PositionEffect& at_position = *effect.add_positions();
      at_position.set_position(positions[row]);
      ShapePosition(clean, ablated, row, constructed.top_tokens, *plan.model->vocabulary, at_position);
    }
    if (plan.heads.empty()) continue;
    ShapeClasses(result.clean.at(0), result.interventions[i].documents.at(0), plan.heads.front()->head->description(),
                 effect);
  }
}

}  // namespace lifescope
