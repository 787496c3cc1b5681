// Every call that runs is a constructor of Run: it makes a run of its request, and shapes its answer from the result.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "lifescope/v1/analysis_service.pb.h"
#include "lifescope/v1/run_service.pb.h"
#include "server/app/app.h"
#include "server/app/field_path.h"
#include "server/app/plan.h"
#include "server/intervention/engine.h"
#include "server/intervention/run.h"

namespace lifescope {

struct ConstructedRun {
  v1::Run run;
  // Where the run's fields stand in the request.
  RunPaths paths;
  // Of AblateFeatures: changed tokens reported per position.
  int32_t top_tokens = 0;
};

// Names resolved and everything checked that can be before compute. Codes as PlanRun; INVALID_ARGUMENT for a run that
// is larger than the options allow or reads more than `max_read_bytes`.
absl::Status MakeCheckedPlan(const v1::Run& run, const Registry& registry, const AppOptions& options,
                             int64_t max_read_bytes, Plan& plan);

v1::RunKind KindOf(const v1::RunRequest& request);
v1::RunKind KindOf(const v1::EncodeRequest& request);
v1::RunKind KindOf(const v1::AblateFeaturesRequest& request);
v1::RunKind KindOf(const v1::PatchActivationsRequest& request);

// INVALID_ARGUMENT for what the run itself cannot express; its path is already that of the request.
absl::Status Construct(const v1::RunRequest& request, ConstructedRun& constructed);
absl::Status Construct(const v1::EncodeRequest& request, ConstructedRun& constructed);
absl::Status Construct(const v1::AblateFeaturesRequest& request, ConstructedRun& constructed);
absl::Status Construct(const v1::PatchActivationsRequest& request, ConstructedRun& constructed);

// Fills the answer, but for its run id and provenance. Runs on a compute thread.
void Shape(const ConstructedRun& constructed, const Plan& plan, const RunResult& result, v1::RunResponse& response);
void Shape(const ConstructedRun& constructed, const Plan& plan, const RunResult& result, v1::EncodeResponse& response);
void Shape(const ConstructedRun& constructed, const Plan& plan, const RunResult& result,
           v1::AblateFeaturesResponse& response);
void Shape(const ConstructedRun& constructed, const Plan& plan, const RunResult& result,
           v1::PatchActivationsResponse& response);

// An analysis is no run: its documents, names and metric are planned as those of a run, which is not executed.
v1::RunKind KindOf(const v1::AttributeRequest& request);
v1::RunKind KindOf(const v1::FindCircuitRequest& request);
v1::RunKind KindOf(const v1::TestConceptRequest& request);
absl::Status Construct(const v1::AttributeRequest& request, ConstructedRun& constructed);
absl::Status Construct(const v1::FindCircuitRequest& request, ConstructedRun& constructed);
absl::Status Construct(const v1::TestConceptRequest& request, ConstructedRun& constructed);

// Computes and fills the answer, but for its run id and provenance. Runs on a compute thread; throws as the engine.
void Analyse(const v1::AttributeRequest& request, const Plan& plan, const Transformer& model,
             const ExecuteOptions& options, v1::AttributeResponse& response);
void Analyse(const v1::FindCircuitRequest& request, const Plan& plan, const Transformer& model,
             const ExecuteOptions& options, v1::FindCircuitResponse& response);
void Analyse(const v1::TestConceptRequest& request, const Plan& plan, const Transformer& model,
             const ExecuteOptions& options, v1::TestConceptResponse& response);

}  // namespace lifescope
