#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/answers.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct StatusOptions {};

void Define(CLI::App& verb, StatusOptions&) {
  verb.footer(R"(Examples:
  lifescope status                                   of the server at LIFESCOPE_SERVER
  lifescope status --server gpu1.lab:50051
  lifescope status --output json | jq .maxForwardsPerRun)");
}

// The names of all artefacts of a kind, "3: a, b, c"; the first page is plenty.
template <typename Artifacts>
std::string Names(const Artifacts& artifacts) {
  std::vector<std::string> names;
  for (const auto& artifact : artifacts) names.push_back(artifact.name());
  return names.empty() ? "none" : absl::StrJoin(names, ", ");
}

absl::Status AddCatalog(Session& session, Table& table) {
  const auto models = session.client->ListModels({});
  if (!models.ok()) return models.status();
  const auto dictionaries = session.client->ListDictionaries({});
  if (!dictionaries.ok()) return dictionaries.status();
  const auto heads = session.client->ListHeads({});
  if (!heads.ok()) return heads.status();
  const auto corpora = session.client->ListCorpora({});
  if (!corpora.ok()) return corpora.status();
  table.Add({"models", Names(models->models())});
  table.Add({"dictionaries", Names(dictionaries->dictionaries())});
  table.Add({"heads", Names(heads->heads())});
  table.Add({"corpora", Names(corpora->corpora())});
  return absl::OkStatus();
}

absl::Status RunStatus(const StatusOptions&, Session& session) {
  const absl::StatusOr<v1::Capabilities> found = session.client->GetCapabilities();
  if (!found.ok()) return found.status();
  const v1::Capabilities& capabilities = *found;
  if (session.output == OutputFormat::kJson) return PrintJson(capabilities, session.terminal);

  Table table({{""}, {"", Table::Align::kLeft, /*shrinks=*/true}}, /*indent=*/2);
  const absl::Status status = AddCatalog(session, table);
  if (!status.ok()) return status;
  table.Add({"compute", absl::StrCat(capabilities.device(), ", ", capabilities.worker_count(), " × ",
                                     capabilities.threads_per_worker(), " threads, torch ",
                                     capabilities.torch_version(), ", ", capabilities.blas())});
  table.Add({"store", capabilities.store()});
  table.Add({"text of lives", capabilities.gives_text() ? "given, and audited" : "not given"});
  table.Add({"limits", absl::StrCat(FormatCount(capabilities.max_documents_per_run()), " documents and ",
                                    FormatCount(capabilities.max_forwards_per_run()), " forwards per run, ",
                                    FormatBytes(capabilities.max_message_bytes()), " per message, ",
                                    capabilities.max_queued_calls(), " calls waiting")});
  const absl::Duration uptime = absl::Seconds(capabilities.uptime_seconds());
  PrintTitle(session, absl::StrCat("lifescope ", capabilities.software_version()),
             absl::StrCat("up ", FormatSpan(uptime)));
  table.Print(session.terminal);
  return absl::OkStatus();
}

}  // namespace

void AddStatus(CLI::App& app, Action& action) {
  AddVerb<StatusOptions>(app, action, "status", "What the server holds, runs on and allows", Define, RunStatus);
}

}  // namespace lifescope
