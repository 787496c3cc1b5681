// Answers of the server as a person reads them: printed when they come, and again when a stored run is shown.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/cli/session.h"
#include "lifescope/v1/feature_service.pb.h"
#include "lifescope/v1/run_service.pb.h"

namespace lifescope {

struct AnswerView {
  // Join the text of the documents (audited by the server).
  bool with_text = true;
  // Strongest features of an encoded life; changed positions of an ablation.
  int top = 10;
  // Strongest features beside each event.
  int per_event = 3;
};

// DATA_LOSS where the answer contradicts itself.
absl::Status PrintEncode(Session& session, const v1::EncodeRequest& request, const v1::EncodeResponse& response,
                         const AnswerView& view);
absl::Status PrintAblate(Session& session, const v1::AblateFeaturesRequest& request,
                         const v1::AblateFeaturesResponse& response, const AnswerView& view);
absl::Status PrintPatch(Session& session, const v1::PatchActivationsRequest& request,
                        const v1::PatchActivationsResponse& response);
absl::Status PrintAttribute(Session& session, const v1::AttributeRequest& request,
                            const v1::AttributeResponse& response, const AnswerView& view);
absl::Status PrintCircuit(Session& session, const v1::FindCircuitRequest& request,
                          const v1::FindCircuitResponse& response);
absl::Status PrintConcept(Session& session, const v1::TestConceptRequest& request,
                          const v1::TestConceptResponse& response);
absl::Status PrintSweep(Session& session, const v1::SweepRequest& request, const v1::SweepResponse& response, int top);
absl::Status PrintRun(Session& session, const v1::RunRequest& request, const v1::RunResponse& response);

// The examples of a feature, each with its text where the server gave it.
void PrintExamples(Session& session, const v1::ListTopExamplesResponse& examples);

// "run 5b0c…  ·  12.3 ms on cpu": the last line of every answer that is stored.
void PrintRunLine(Session& session, const std::string& run_id, const v1::Provenance& provenance);

// A line of its own before a part of the output.
void PrintTitle(Session& session, const std::string& title, const std::string& detail = "");

}  // namespace lifescope
