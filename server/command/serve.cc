#include "server/command/serve.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "server/app/app.h"
#include "server/app/engine_status.h"
#include "server/app/log.h"
#include "server/app/status_macros.h"
#include "server/command/command.h"
#include "server/command/signals.h"
#include "server/rpc/server.h"
#include "server/runtime/device.h"
#include "server/runtime/registry.h"
#include "storage/store.h"

namespace lifescope {
namespace {

constexpr int32_t kMaxDefaultWorkers = 4;
// Handlers beyond those that wait for compute: lists, health, reflection.
constexpr int32_t kSpareThreads = 32;
constexpr absl::Duration kReadinessInterval = absl::Seconds(5);

template <typename Artifact>
std::string NamesOf(const std::vector<Artifact>& artifacts) {
  return absl::StrJoin(artifacts, ",",
                       [](std::string* out, const Artifact& artifact) { absl::StrAppend(out, artifact.name); });
}

AppOptions AppOptionsOf(const ServeOptions& options) {
  AppOptions app;
  app.worker_count = options.workers > 0 ? options.workers : std::min(AvailableCpus(), kMaxDefaultWorkers);
  app.threads_per_worker = options.threads > 0 ? options.threads : std::max(1, AvailableCpus() / app.worker_count);
  app.device = options.device;
  app.gives_text = !options.no_text;
  return app;
}

bool IsLocal(const std::string& address) {
  return absl::StartsWith(address, "127.") || absl::StartsWith(address, "localhost:") ||
         absl::StartsWith(address, "[::1]") || absl::StartsWith(address, "unix:");
}

void Warn(const ServeOptions& options) {
  if (IsReferenceBlas()) {
    Log(LogLevel::kWarning, "slow_blas", {{"blas", BlasDescription()}, {"fix", "apt-get install libopenblas0-openmp"}});
  }
  if (!IsLocal(options.listen)) {
    Log(LogLevel::kWarning, "open_address",
        {{"listen", options.listen}, {"meaning", "anyone who reaches it may ask anything: nothing is authenticated"}});
  }
}

std::string AddressOf(const ServeOptions& options, const RpcServer& server) {
  if (absl::StartsWith(options.listen, "unix:")) return options.listen;
  return absl::StrCat(options.listen.substr(0, options.listen.rfind(':')), ":", server.port());
}

// Follows the store while it serves; readiness says whether a call could be answered and stored.
void ServeUntilSignal(App& app, RpcServer& server, SignalWatch& signals) {
  bool ready = true;
  do {
    const absl::Status status = app.Ready();
    if (status.ok() != ready) {
      ready = status.ok();
      Log(ready ? LogLevel::kInfo : LogLevel::kWarning, ready ? "ready_again" : "not_ready",
          {{"reason", std::string(status.message())}});
      server.SetReady(ready);
    }
  } while (!signals.WaitFor(kReadinessInterval));
}

void Drain(const ServeOptions& options, App& app, RpcServer& server) {
  server.SetReady(false);
  Log(LogLevel::kInfo, "draining",
      {{"delay_s", absl::StrCat(options.drain_delay_s)}, {"grace_s", absl::StrCat(options.grace_s)}});
  absl::SleepFor(absl::Seconds(options.drain_delay_s));
  app.Drain();
  server.Shutdown(absl::Seconds(options.grace_s));
}

absl::Status LoadRegistry(const ServeOptions& options, Registry& registry) {
  return CatchEngineErrors([&] {
    registry =
        Registry::Load(options.home, ParseDevice(options.device), [](const std::string& kind, const std::string& name) {
          Log(LogLevel::kInfo, "loaded", {{"kind", kind}, {"name", name}});
        });
    return absl::OkStatus();
  });
}

}  // namespace

absl::Status Serve(const ServeOptions& options) {
  // First: every later thread inherits the blocked signals.
  SignalWatch signals;
  const absl::Time start = absl::Now();
  const AppOptions app_options = AppOptionsOf(options);
  SetComputeThreads(AvailableCpus());
  Warn(options);
  Registry registry;
  RETURN_IF_ERROR(LoadRegistry(options, registry));
  if (signals.requested()) return absl::OkStatus();
  const std::string models = NamesOf(registry.models()), dictionaries = NamesOf(registry.dictionaries()),
                    corpora = NamesOf(registry.corpora());

  StoreOptions store_options;
  store_options.create_schema = !options.no_migrate;
  const std::string url =
      options.store.empty() ? absl::StrCat("sqlite:", options.home, "/lifescope.db") : options.store;
  ASSIGN_OR_RETURN(std::unique_ptr<Store> store, OpenStore(url, store_options));
  const std::string backend = store->backend();
  ASSIGN_OR_RETURN(const std::unique_ptr<App> app, App::Create(app_options, std::move(registry), std::move(store)));

  RpcOptions rpc_options;
  rpc_options.max_message_bytes = app_options.max_message_bytes;
  rpc_options.max_threads = app_options.max_queued_calls + app_options.worker_count + kSpareThreads;
  ASSIGN_OR_RETURN(const std::unique_ptr<RpcServer> server, RpcServer::Start(*app, options.listen, rpc_options));
  server->SetReady(true);
  Log(LogLevel::kInfo, "ready",
      {{"address", AddressOf(options, *server)},
       {"models", models},
       {"dictionaries", dictionaries},
       {"corpora", corpora},
       {"store", backend},
       {"device", options.device},
       {"workers", absl::StrCat(app_options.worker_count)},
       {"threads", absl::StrCat(app_options.threads_per_worker)},
       {"blas", BlasDescription()},
       {"seconds", absl::StrFormat("%.1f", absl::ToDoubleSeconds(absl::Now() - start))}});
  ServeUntilSignal(*app, *server, signals);
  Drain(options, *app, *server);
  Log(LogLevel::kInfo, "stopped");
  return absl::OkStatus();
}

void AddServeCommand(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("serve", "Answer calls until SIGTERM");
  verb->footer(
      "Examples:\n"
      "  lifescoped serve --home /srv/lifescope\n"
      "  lifescoped serve --home /srv/lifescope --store postgresql://db/lifescope --listen 0.0.0.0:50051\n"
      "Every flag may be given as an environment variable: --drain-delay-s is LIFESCOPE_DRAIN_DELAY_S.");
  auto options = std::make_shared<ServeOptions>();
  verb->add_option("--home", options->home, "Folder with models/, dictionaries/ and corpora/")
      ->envname("LIFESCOPE_HOME")
      ->required();
  verb->add_option("--listen", options->listen, "host:port (port 0: a free one) or unix:/path")
      ->envname("LIFESCOPE_LISTEN")
      ->capture_default_str();
  verb->add_option("--store", options->store, "sqlite:<path> or postgresql://... (default sqlite:<home>/lifescope.db)")
      ->envname("LIFESCOPE_STORE");
  verb->add_option("--device", options->device, "cpu or cuda:<number>")
      ->envname("LIFESCOPE_DEVICE")
      ->capture_default_str();
  verb->add_option("--workers", options->workers, "Compute workers (default: one per CPU, at most 4)")
      ->envname("LIFESCOPE_WORKERS")
      ->check(CLI::Range(1, 1024));
  verb->add_option("--threads", options->threads, "Threads per worker (default: the CPUs shared out)")
      ->envname("LIFESCOPE_THREADS")
      ->check(CLI::Range(1, 1024));
  verb->add_option("--drain-delay-s", options->drain_delay_s, "Seconds of serving on after readiness is withdrawn")
      ->envname("LIFESCOPE_DRAIN_DELAY_S")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  verb->add_option("--grace-s", options->grace_s, "Seconds that running calls have to end when draining")
      ->envname("LIFESCOPE_GRACE_S")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  verb->add_flag("--no-text", options->no_text, "Give no document text to anyone")->envname("LIFESCOPE_NO_TEXT");
  verb->add_flag("--no-migrate", options->no_migrate, "Refuse a database whose schema is older")
      ->envname("LIFESCOPE_NO_MIGRATE");
  verb->callback([options] {
    const absl::Status status = Serve(*options);
    if (!status.ok()) throw std::runtime_error(std::string(status.message()));
  });
}

}  // namespace lifescope
