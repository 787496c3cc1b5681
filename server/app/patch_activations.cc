// PatchActivations as a constructor of Run: two documents, one edited run of the base per target, with the donor's
// values; a logit difference is read from every run.
#include <ATen/ATen.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/app/constructor.h"
#include "server/app/status_macros.h"

namespace lifescope {
namespace {

// Order of the documents.
constexpr int32_t kClean = 0, kCorrupted = 1;
// Below this |clean - corrupted| the normalised effect would be noise.
constexpr double kSmallestDifference = 1e-4;

absl::Status FillTarget(const v1::PatchTarget& target, const std::string& field, v1::Edit& edit) {
  switch (target.target_case()) {
    case v1::PatchTarget::kActivation:
      *edit.mutable_activation() = target.activation();
      return absl::OkStatus();
    case v1::PatchTarget::kHead:
      *edit.mutable_head() = target.head();
      return absl::OkStatus();
    case v1::PatchTarget::kNeurons:
      *edit.mutable_neurons() = target.neurons();
      return absl::OkStatus();
    case v1::PatchTarget::kFeatures:
      *edit.mutable_features() = target.features();
      return absl::OkStatus();
    case v1::PatchTarget::TARGET_NOT_SET:
      break;
  }
  return InvalidField(field + ".target", "not set, expected activation, head, neurons or features");
}

RunPaths Paths() {
  RunPaths paths;
  paths.documents = {"clean", "corrupted"};
  paths.rules = {
      {std::regex("run\\.interventions\\[(\\d+)\\]\\.edits\\[0\\]\\.donor\\.(document|positions)"),
       "targets[$1].positions"},
      {std::regex("run\\.interventions\\[(\\d+)\\]\\.edits\\[0\\]"), "targets[$1]"},
      {std::regex("run\\.interventions"), "targets"},
      {std::regex("run\\.reads\\[0\\]\\.positions\\.indices\\[0\\]"), "metric.position"},
      {std::regex("run\\.reads\\[0\\]\\.logit_difference"), "metric"},
      {std::regex("run\\."), ""},
  };
  return paths;
}

double MetricOf(const DocumentResult& document) {
  return std::get<at::Tensor>(document.values.at(0).value).to(at::kDouble).item<double>();
}

}  // namespace

v1::RunKind KindOf(const v1::PatchActivationsRequest&) { return v1::RUN_KIND_PATCH_ACTIVATIONS; }

absl::Status Construct(const v1::PatchActivationsRequest& request, ConstructedRun& constructed) {
  const bool denoising = request.direction() == v1::PATCH_DIRECTION_DENOISING;
  if (!denoising && request.direction() != v1::PATCH_DIRECTION_NOISING) {
    return InvalidField("direction", absl::StrCat(request.direction(), ", expected DENOISING or NOISING"));
  }
  if (request.targets().empty()) return InvalidField("targets", "none, expected at least one");
  if (!request.has_metric()) return InvalidField("metric", "not set, expected position, token_a and token_b");
  constructed.paths = Paths();
  v1::Run& run = constructed.run;
  run.set_model(request.model());
  *run.add_documents() = request.clean();
  *run.add_documents() = request.corrupted();
  run.set_n_slots(request.n_slots());
  for (int i = 0; i < request.targets_size(); ++i) {
    const v1::PatchTarget& target = request.targets(i);
    v1::Edit& edit = *run.add_interventions()->add_edits();
    RETURN_IF_ERROR(FillTarget(target, Element("", "targets", i), edit));
    *edit.mutable_positions() = target.positions();
    edit.set_error_mode(target.error_mode());
    edit.mutable_donor()->set_document(denoising ? kClean : kCorrupted);
    edit.add_documents(denoising ? kCorrupted : kClean);
  }
  v1::Read& read = *run.add_reads();
  read.mutable_logit_difference()->set_token_a(request.metric().token_a());
  read.mutable_logit_difference()->set_token_b(request.metric().token_b());
  read.mutable_positions()->add_indices(request.metric().position());
  return absl::OkStatus();
}

void Shape(const ConstructedRun&, const Plan&, const RunResult& result, v1::PatchActivationsResponse& response) {
  const double clean = MetricOf(result.clean.at(kClean)), corrupted = MetricOf(result.clean.at(kCorrupted));
  response.set_metric_clean(clean);
  response.set_metric_corrupted(corrupted);
  for (const InterventionResult& intervention : result.interventions) {
    v1::PatchEffect& effect = *response.add_effects();
    const double patched = MetricOf(intervention.documents.at(0));
    effect.set_metric_patched(patched);
    if (std::abs(clean - corrupted) >= kSmallestDifference) {
      effect.set_normalized((patched - corrupted) / (clean - corrupted));
    }
  }
}

}  // namespace lifescope
