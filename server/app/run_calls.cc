// The calls that run: Run, Encode, AblateFeatures, PatchActivations, and the analyses.
#include <algorithm>
#include <atomic>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/app/app.h"
#include "server/app/constructor.h"
#include "server/app/convert.h"
#include "server/app/engine_status.h"
#include "server/app/identity.h"
#include "server/app/limits.h"
#include "server/app/status_macros.h"
#include "server/app/unknown_fields.h"
#include "server/artifact/artifact.h"
#include "server/intervention/engine.h"
#include "server/runtime/compute_pool.h"
#include "server/runtime/device.h"
#include "server/runtime/registry.h"

namespace lifescope {
namespace {

// How often a waiting handler asks whether its caller is still there.
constexpr absl::Duration kPollInterval = absl::Milliseconds(10);

// One call's stay on the compute pool, shared by the handler and the worker.
struct Stay {
  absl::Mutex mutex;
  bool done ABSL_GUARDED_BY(mutex) = false;
  absl::Status status ABSL_GUARDED_BY(mutex);
  std::atomic<bool> cancelled{false};
};

absl::Status CheckCallerWaits(const CallContext& call) {
  if (absl::Now() >= call.deadline) return absl::DeadlineExceededError("the deadline passed; nothing was stored");
  if (call.cancelled && call.cancelled()) return absl::CancelledError("the caller gave up; nothing was stored");
  return absl::OkStatus();
}

// Everything that compute needs and makes; it outlives a handler that gave up.
template <typename Request, typename Response>
struct Work {
  Request request;
  ConstructedRun constructed;
  Plan plan;
  Response response;
  double duration_ms = 0;
};

template <typename Request>
concept IsAnalysis = std::is_same_v<Request, v1::AttributeRequest> || std::is_same_v<Request, v1::FindCircuitRequest> ||
    std::is_same_v<Request, v1::TestConceptRequest>;

template <typename Request, typename Response>
absl::Status Compute(Work<Request, Response>& work, const std::function<bool()>& cancelled) {
  const std::shared_ptr<const Transformer> transformer = TakeTransformer(work.plan);
  const absl::Time start = absl::Now();
  ExecuteOptions options;
  options.cancelled = cancelled;
  if constexpr (IsAnalysis<Request>) {
    // It may execute no run that would check this.
    ValidateRun(work.plan.run, *transformer);
    Analyse(work.request, work.plan, *transformer, options, work.response);
    work.duration_ms = absl::ToDoubleMilliseconds(absl::Now() - start);
  } else {
    const RunResult result = Execute(work.plan.run, *transformer, options);
    work.duration_ms = absl::ToDoubleMilliseconds(absl::Now() - start);
    Shape(work.constructed, work.plan, result, work.response);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MakeCheckedPlan(const v1::Run& run, const Registry& registry, const AppOptions& options,
                             int64_t max_read_bytes, Plan& plan) {
  RETURN_IF_ERROR(CheckRunSize(run, options));
  ASSIGN_OR_RETURN(plan, PlanRun(run, registry));
  return CatchEngineErrors([&]() -> absl::Status {
    // The engine checks a float64 run against its float64 artefacts, which only compute threads load.
    if (!plan.float64) ValidateRun(plan.run, *plan.model->transformer);
    const int64_t bytes = DenseReadBytes(plan);
    if (bytes <= max_read_bytes) return absl::OkStatus();
    return InvalidField("run.reads", absl::StrCat("would give ", bytes, " bytes, expected at most ", max_read_bytes,
                                                  "; read fewer positions, tokens or documents"));
  });
}

absl::Status App::OnPool(CallContext& call, std::function<absl::Status(const std::function<bool()>& cancelled)> work) {
  RETURN_IF_ERROR(CheckCallerWaits(call));
  auto stay = std::make_shared<Stay>();
  const bool accepted = pool_->Submit([stay, work = std::move(work)]() mutable {
    absl::Status status = absl::CancelledError("the caller gave up before compute began");
    if (!stay->cancelled) {
      status = CatchEngineErrors([&] { return work([&stay] { return stay->cancelled.load(); }); });
    }
    const absl::MutexLock lock(&stay->mutex);
    stay->status = std::move(status);
    stay->done = true;
  });
  if (!accepted) {
    if (draining_) return absl::UnavailableError("the server is shutting down; retry with another one, or later");
    call.retry_after_ms = pool_->RetryAfterMs();
    return absl::ResourceExhaustedError(
        absl::StrCat(options_.max_queued_calls, " calls wait for compute; retry in ", call.retry_after_ms, " ms"));
  }
  const absl::MutexLock lock(&stay->mutex);
  while (!stay->mutex.AwaitWithTimeout(absl::Condition(&stay->done),
                                       std::min(kPollInterval, call.deadline - absl::Now()))) {
    if (absl::Status waits = CheckCallerWaits(call); !waits.ok()) {
      stay->cancelled = true;
      return waits;
    }
  }
  return stay->status;
}

v1::Provenance App::MakeProvenance(const Plan& plan, const CallContext& call, double duration_ms) const {
  v1::Provenance provenance;
  provenance.set_model_digest(plan.model->digest);
  for (const DictionaryArtifact* dictionary : plan.dictionaries) {
    provenance.add_dictionary_digests(dictionary->digest);
  }
  for (const HeadArtifact* head : plan.heads) provenance.add_head_digests(head->digest);
  for (const std::string& digest : plan.corpus_digests) provenance.add_corpus_digests(digest);
  const int64_t max_length = plan.model->transformer->hyperparameters().max_length;
  provenance.set_n_slots(static_cast<int32_t>(plan.run.n_slots == 0 ? max_length : plan.run.n_slots));
  provenance.set_deterministic(plan.run.deterministic);
  provenance.set_precision(plan.float64 ? v1::PRECISION_FLOAT64 : v1::PRECISION_FLOAT32);
  provenance.set_software_version(SoftwareVersion());
  provenance.set_torch_version(TorchVersion());
  provenance.set_device(options_.device);
  provenance.set_blas(BlasDescription());
  provenance.set_thread_count(options_.threads_per_worker);
  provenance.set_duration_ms(duration_ms);
  provenance.set_principal(call.principal);
  ToMessage(absl::Now(), *provenance.mutable_created_at());
  return provenance;
}

template <typename Request, typename Response>
absl::Status App::Answer(const Request& request, CallContext& call, Response& response) {
  RunRecord record;
  RETURN_IF_ERROR(StartRecord(request, KindOf(request), call, record));
  if (!record.result.empty()) {
    response.ParseFromString(record.result);
    return absl::OkStatus();
  }

  auto work = std::make_shared<Work<Request, Response>>();
  work->request = request;
  RETURN_IF_ERROR(Construct(request, work->constructed));
  const RunPaths paths = work->constructed.paths;
  // What a Run reads is its answer; the others read more than they say.
  const int64_t max_read_bytes = record.kind == v1::RUN_KIND_RUN ? options_.max_message_bytes : options_.max_read_bytes;
  RETURN_IF_ERROR(
      RenamePaths(MakeCheckedPlan(work->constructed.run, *registry_, options_, max_read_bytes, work->plan), paths));
  const auto compute = [work](const std::function<bool()>& cancelled) { return Compute(*work, cancelled); };
  RETURN_IF_ERROR(RenamePaths(OnPool(call, compute), paths));
  RETURN_IF_ERROR(CheckCallerWaits(call));

  record.run_id = NewUuid();
  record.model = work->plan.model->name;
  record.created_at = absl::Now();
  work->response.set_run_id(record.run_id);
  *work->response.mutable_provenance() = MakeProvenance(work->plan, call, work->duration_ms);
  record.provenance = work->response.provenance().SerializeAsString();
  record.result = DeterministicBytes(work->response);
  RETURN_IF_ERROR(StoreAnswer(record));
  if (!response.ParseFromString(record.result)) return absl::InternalError("the answer could not be read back");
  return absl::OkStatus();
}

absl::Status App::Run(const v1::RunRequest& request, CallContext& call, v1::RunResponse& response) {
  return Guard([&] { return Answer(request, call, response); });
}

absl::Status App::Encode(const v1::EncodeRequest& request, CallContext& call, v1::EncodeResponse& response) {
  return Guard([&] { return Answer(request, call, response); });
}

absl::Status App::AblateFeatures(const v1::AblateFeaturesRequest& request, CallContext& call,
                                 v1::AblateFeaturesResponse& response) {
  return Guard([&] { return Answer(request, call, response); });
}

absl::Status App::PatchActivations(const v1::PatchActivationsRequest& request, CallContext& call,
                                   v1::PatchActivationsResponse& response) {
  return Guard([&] { return Answer(request, call, response); });
}

absl::Status App::Attribute(const v1::AttributeRequest& request, CallContext& call, v1::AttributeResponse& response) {
  return Guard([&] { return Answer(request, call, response); });
}

absl::Status App::FindCircuit(const v1::FindCircuitRequest& request, CallContext& call,
                              v1::FindCircuitResponse& response) {
  return Guard([&] { return Answer(request, call, response); });
}

absl::Status App::TestConcept(const v1::TestConceptRequest& request, CallContext& call,
                              v1::TestConceptResponse& response) {
  return Guard([&] { return Answer(request, call, response); });
}

}  // namespace lifescope
