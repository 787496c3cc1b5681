// Finds or lays out one document of a request.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "lifescope/v1/document.pb.h"
#include "server/corpus/document.h"
#include "server/runtime/registry.h"

namespace lifescope {

struct PlannedDocument {
  Document document;
  // Of the corpus that it came from; empty for an inline one.
  std::string corpus_digest;
};

// Codes as PlanRun; `field` is the path of `document` in the request. An inline life is laid out whole: one that is
// too long for the model is refused later, never clipped.
absl::Status PlanDocument(const v1::Document& document, const ModelArtifact& model, const Registry& registry,
                          const std::string& field, PlannedDocument& planned);

}  // namespace lifescope
