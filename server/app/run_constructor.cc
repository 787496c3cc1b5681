// Run, which is its own constructor, and Encode.
#include "server/app/constructor.h"
#include "server/app/convert.h"

namespace lifescope {

v1::RunKind KindOf(const v1::RunRequest&) { return v1::RUN_KIND_RUN; }
v1::RunKind KindOf(const v1::EncodeRequest&) { return v1::RUN_KIND_ENCODE; }

absl::Status Construct(const v1::RunRequest& request, ConstructedRun& constructed) {
  if (!request.has_run()) return InvalidField("run", "not set, expected a run");
  constructed.run = request.run();
  return absl::OkStatus();
}

void Shape(const ConstructedRun&, const Plan&, const RunResult& result, v1::RunResponse& response) {
  ToMessage(result, *response.mutable_result());
}

absl::Status Construct(const v1::EncodeRequest& request, ConstructedRun& constructed) {
  v1::Run& run = constructed.run;
  run.set_model(request.model());
  *run.mutable_documents() = request.documents();
  run.set_n_slots(request.n_slots());
  v1::Read& read = *run.add_reads();
  read.mutable_features()->set_dictionary(request.dictionary());
  *read.mutable_positions() = request.positions();
  constructed.paths.rules = {
      {std::regex("run\\.reads\\[0\\]\\.positions"), "positions"},
      {std::regex("run\\.reads\\[0\\]\\.features\\.dictionary|run\\.dictionaries\\[0\\]"), "dictionary"},
      {std::regex("run\\."), ""},
  };
  return absl::OkStatus();
}

void Shape(const ConstructedRun&, const Plan&, const RunResult& result, v1::EncodeResponse& response) {
  for (const DocumentResult& document : result.clean) {
    ToMessage(std::get<FeatureValue>(document.values.at(0).value), *response.add_features());
  }
}

}  // namespace lifescope
