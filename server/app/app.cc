#include "server/app/app.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/json_util.h"
#include "server/app/convert.h"
#include "server/app/engine_status.h"
#include "server/app/status_macros.h"
#include "server/runtime/compute_pool.h"
#include "server/runtime/device.h"
#include "server/runtime/registry.h"

namespace lifescope {
namespace {

absl::Status CheckOption(const char* name, int64_t value, int64_t lowest) {
  if (value >= lowest) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", value, ", expected at least ", lowest));
}

AppOptions WithThreads(AppOptions options) {
  if (options.threads_per_worker == 0) {
    options.threads_per_worker = std::max(1, AvailableCpus() / options.worker_count);
  }
  return options;
}

// Registers one artefact with what it says of itself.
template <typename Message, typename Artifact>
absl::Status Register(ArtifactKind kind, const Artifact& artifact, Store& store) {
  Message description;
  ToMessage(artifact, description);
  ArtifactRecord record;
  record.kind = kind;
  record.name = artifact.name;
  record.digest = artifact.digest;
  record.created_at = absl::Now();
  const auto written = google::protobuf::util::MessageToJsonString(description, &record.description);
  if (!written.ok()) return absl::InternalError(absl::StrCat("describing '", artifact.name, "' failed"));
  return store.PutArtifact(record);
}

}  // namespace

absl::Status AppOptions::Validate() const {
  RETURN_IF_ERROR(CheckOption("worker_count", worker_count, 1));
  RETURN_IF_ERROR(CheckOption("threads_per_worker", threads_per_worker, 0));
  RETURN_IF_ERROR(CheckOption("max_queued_calls", max_queued_calls, 1));
  RETURN_IF_ERROR(CheckOption("max_documents_per_run", max_documents_per_run, 1));
  RETURN_IF_ERROR(CheckOption("max_forwards_per_run", max_forwards_per_run, 1));
  RETURN_IF_ERROR(CheckOption("max_message_bytes", max_message_bytes, 1 << 16));
  return CheckOption("max_read_bytes", max_read_bytes, 1 << 16);
}

absl::StatusOr<std::unique_ptr<App>> App::Create(const AppOptions& options, Registry registry,
                                                 std::unique_ptr<Store> store) {
  RETURN_IF_ERROR(options.Validate());
  std::unique_ptr<App> app(new App(WithThreads(options), std::move(registry), std::move(store)));
  RETURN_IF_ERROR(CatchEngineErrors([&] { return app->RegisterArtifacts(); }));
  return app;
}

App::App(const AppOptions& options, Registry registry, std::unique_ptr<Store> store)
    : options_(options),
      registry_(std::make_unique<const Registry>(std::move(registry))),
      store_(std::move(store)),
      started_at_(absl::Now()) {
  ComputePoolOptions pool;
  pool.worker_count = options_.worker_count;
  pool.max_queued = options_.max_queued_calls;
  pool.on_thread_start = [threads = options_.threads_per_worker] { SetComputeThreads(threads); };
  pool_ = std::make_unique<ComputePool>(std::move(pool));
}

App::~App() = default;

absl::Status App::RegisterArtifacts() {
  for (const ModelArtifact& model : registry_->models()) {
    RETURN_IF_ERROR(Register<v1::Model>(ArtifactKind::kModel, model, *store_));
  }
  for (const DictionaryArtifact& dictionary : registry_->dictionaries()) {
    RETURN_IF_ERROR(Register<v1::Dictionary>(ArtifactKind::kDictionary, dictionary, *store_));
  }
  for (const HeadArtifact& head : registry_->heads()) {
    RETURN_IF_ERROR(Register<v1::Head>(ArtifactKind::kHead, head, *store_));
  }
  for (const CorpusArtifact& corpus : registry_->corpora()) {
    RETURN_IF_ERROR(Register<v1::Corpus>(ArtifactKind::kCorpus, corpus, *store_));
  }
  return absl::OkStatus();
}

absl::Status App::Guard(const std::function<absl::Status()>& body) {
  if (draining_) return absl::UnavailableError("the server is shutting down; retry with another one, or later");
  return CatchEngineErrors(body);
}

absl::Status App::Ready() {
  return Guard([&] { return store_->Ping(); });
}

void App::Drain() {
  draining_ = true;
  pool_->Drain();
}

}  // namespace lifescope
