#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/cli/answers.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/paging.h"
#include "client/cli/run_labels.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct RunsOptions {
  std::string run_id;
  v1::RunKind kind = v1::RUN_KIND_UNSPECIFIED;
  int32_t count = 20;
  bool no_text = false;
};

void Define(CLI::App& verb, RunsOptions& options) {
  verb.add_option("id", options.run_id, "Show this stored run")->option_text("ID");
  const std::vector<std::pair<std::string, v1::RunKind>> kinds = {{"encode", v1::RUN_KIND_ENCODE},
                                                                  {"ablate", v1::RUN_KIND_ABLATE_FEATURES},
                                                                  {"patch", v1::RUN_KIND_PATCH_ACTIVATIONS},
                                                                  {"attribute", v1::RUN_KIND_ATTRIBUTE},
                                                                  {"circuit", v1::RUN_KIND_FIND_CIRCUIT},
                                                                  {"concept", v1::RUN_KIND_TEST_CONCEPT},
                                                                  {"sweep", v1::RUN_KIND_SWEEP},
                                                                  {"run", v1::RUN_KIND_RUN}};
  verb.add_option("--kind", options.kind, "Only runs of this kind")
      ->transform(CLI::CheckedTransformer(kinds))
      ->option_text("encode|ablate|patch|attribute|circuit|concept|sweep|run");
  verb.add_option("--count", options.count, "Runs to list, newest first")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb.add_flag("--no-text", options.no_text, "Do not fetch the words of the lives of a shown run");
  verb.footer(R"(Examples:
  lifescope runs                                     the newest 20
  lifescope runs --kind patch --count 100
  lifescope runs 0b0e6d0c-5b7a-4a8e-9d3b-2f6f0a1c9d11
                                                     one with its whole answer, and where it came from
  lifescope runs 0b0e6d0c-... --output json          request, answer and provenance)");
}

absl::Status ListRuns(const RunsOptions& options, Session& session) {
  v1::ListRunsRequest request;
  request.set_kind(options.kind);
  const auto runs =
      ListAll(*session.client, &Client::ListRuns, request, &v1::ListRunsResponse::mutable_runs, options.count);
  if (!runs.ok()) return runs.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*runs, session.terminal);
  if (runs->runs().empty()) {
    PrintLine(session.terminal, "No run is stored yet.");
    return absl::OkStatus();
  }
  using Align = Table::Align;
  Table table({{"run"}, {"when"}, {"kind"}, {"model"}, {"who"}, {"ms", Align::kRight}, {"answer", Align::kRight}});
  for (const v1::RunSummary& run : runs->runs()) {
    const v1::Provenance& provenance = run.provenance();
    table.Add({run.run_id(), Text(FormatAge(absl::Now() - ToTime(provenance.created_at())), Style::kDim),
               Text(DescribeKind(run.kind()), Style::kAccent), run.model(), provenance.principal(),
               FormatFixed(provenance.duration_ms(), 1), FormatBytes(run.result_bytes())});
  }
  table.Print(session.terminal);
  if (!runs->next_page_token().empty()) PrintLine(session.terminal, Text("there are more: --count", Style::kDim));
  return absl::OkStatus();
}

void PrintRecord(Session& session, const v1::RunSummary& run) {
  const v1::Provenance& provenance = run.provenance();
  const absl::Time created_at = ToTime(provenance.created_at());
  Table table({{""}, {"", Table::Align::kLeft, /*shrinks=*/true}}, /*indent=*/2);
  table.Add({"asked", absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", created_at, absl::LocalTimeZone()), ", ",
                                   FormatAge(absl::Now() - created_at), ", by ", provenance.principal())});
  table.Add({"request id", run.request_id()});
  table.Add({"model", absl::StrCat(run.model(), "  ", ShortDigest(provenance.model_digest()))});
  for (const std::string& digest : provenance.dictionary_digests()) table.Add({"dictionary", ShortDigest(digest)});
  for (const std::string& digest : provenance.corpus_digests()) table.Add({"corpus", ShortDigest(digest)});
  const std::string precision = provenance.precision() == v1::PRECISION_FLOAT64 ? "float64" : "float32";
  table.Add({"numbers", absl::StrCat(precision, provenance.deterministic() ? ", deterministic" : "", ", n_slots ",
                                     provenance.n_slots())});
  table.Add({"computed", absl::StrFormat("lifescope %s, torch %s, %s, %s, %d threads", provenance.software_version(),
                                         provenance.torch_version(), provenance.device(), provenance.blas(),
                                         provenance.thread_count())});
  PrintTitle(session, absl::StrCat(DescribeKind(run.kind()), " ", run.run_id()));
  table.Print(session.terminal);
  PrintLine(session.terminal);
}

absl::Status ShowRun(const RunsOptions& options, Session& session) {
  v1::GetRunRequest request;
  request.set_run_id(std::string(absl::StripPrefix(options.run_id, "runs/")));
  const absl::StatusOr<v1::GetRunResponse> found = session.client->GetRun(request);
  if (!found.ok()) return found.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*found, session.terminal);
  PrintRecord(session, found->summary());
  AnswerView view;
  view.with_text = !options.no_text;
  switch (found->response_case()) {
    case v1::GetRunResponse::kEncodeResponse:
      return PrintEncode(session, found->encode(), found->encode_response(), view);
    case v1::GetRunResponse::kAblateFeaturesResponse:
      return PrintAblate(session, found->ablate_features(), found->ablate_features_response(), view);
    case v1::GetRunResponse::kPatchActivationsResponse:
      return PrintPatch(session, found->patch_activations(), found->patch_activations_response());
    case v1::GetRunResponse::kAttributeResponse:
      return PrintAttribute(session, found->attribute(), found->attribute_response(), view);
    case v1::GetRunResponse::kFindCircuitResponse:
      return PrintCircuit(session, found->find_circuit(), found->find_circuit_response());
    case v1::GetRunResponse::kTestConceptResponse:
      return PrintConcept(session, found->test_concept(), found->test_concept_response());
    case v1::GetRunResponse::kSweepResponse:
      return PrintSweep(session, found->sweep(), found->sweep_response(), view.top);
    case v1::GetRunResponse::kRunResponse:
      return PrintRun(session, found->run(), found->run_response());
    case v1::GetRunResponse::RESPONSE_NOT_SET:
      break;
  }
  return absl::DataLossError("the stored run has no answer that this client knows");
}

absl::Status RunRuns(const RunsOptions& options, Session& session) {
  return options.run_id.empty() ? ListRuns(options, session) : ShowRun(options, session);
}

}  // namespace

void AddRuns(CLI::App& app, Action& action) {
  AddVerb<RunsOptions>(app, action, "runs", "Stored runs: a list, or one with its answer", Define, RunRuns);
}

}  // namespace lifescope
