// Turns a run of the API, full of names, into one that the engine can execute: names resolved against the registry,
// documents found or laid out, tokens as ids.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lifescope/v1/document.pb.h"
#include "lifescope/v1/run.pb.h"
#include "server/intervention/run.h"
#include "server/runtime/registry.h"

namespace lifescope {

// A run that is ready to execute, with what provenance needs. The artefacts belong to the registry.
struct Plan {
  lifescope::Run run;
  const ModelArtifact* model = nullptr;
  std::vector<const DictionaryArtifact*> dictionaries;  // as run.dictionaries
  std::vector<const HeadArtifact*> heads;               // as run.heads
  std::vector<std::string> corpus_digests;
  bool float64 = false;
};

// INVALID_ARGUMENT naming the field path ("run.reads[0].mlm_logits.tokens[2]: no token 'IND_99' in the vocabulary"),
// NOT_FOUND for a name of model, dictionary, head, corpus or person, FAILED_PRECONDITION when a dictionary or a head
// does not fit the model. `field` is the path of `run` in the request.
absl::StatusOr<Plan> PlanRun(const v1::Run& run, const Registry& registry, const std::string& field = "run");

// The model that the plan runs on. A float64 run is the audit path: it gets the float64 copies of all artefacts, which
// are made now. On a compute thread.
std::shared_ptr<const Transformer> TakeTransformer(Plan& plan);

}  // namespace lifescope
