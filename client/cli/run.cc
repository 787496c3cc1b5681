#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/answers.h"
#include "client/cli/document_argument.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/plan_file.h"
#include "client/cli/run_labels.h"
#include "client/cli/safetensors_output.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/wire_values.h"

namespace lifescope {
namespace {

// Values that are shown one by one; more are told by their range.
constexpr size_t kFewValues = 6;

struct RunOptions {
  std::string plan;
  std::string out;
  std::string request_id;
};

void Define(CLI::App& verb, RunOptions& options) {
  verb.add_option("plan", options.plan, "JSON file of a lifescope.v1.Run or RunRequest ('-': stdin)")
      ->option_text("FILE (required)")
      ->required();
  verb.add_option("--out", options.out, "Write all results to this .safetensors file")->option_text("FILE");
  verb.add_option("--request-id", options.request_id, "Asked again with the same id, the stored answer comes back")
      ->option_text("ID");
  verb.footer(R"(Examples:
  lifescope run plan.json                            what each read gave, in short
  lifescope run plan.json --out result.safetensors   all of it, for numpy and PyTorch

plan.json: documents, edits that are made together, and what is read from the clean and from each edited run
  {"documents": [{"person": {"person_id": 17}, "mask_positions": [57]}],
   "interventions": [
     {"name": "without 97", "edits": [{"features": {"features": [97]}, "zero": {}}]},
     {"name": "head 1.3 off", "edits": [{"head": {"layer": 1, "head": 3}, "zero": {}}]}],
   "reads": [
     {"name": "resid", "activation": {"hook_point": "blocks.1.hook_resid_post"}},
     {"name": "answer", "log_probability": {"token": "IND_4662"}, "positions": {"indices": [57]}},
     {"name": "kl", "kl_to_clean": {}},
     {"name": "risk", "class_probability": {"head": "heart"}},
     {"name": "summary", "activation": {"hook_point": "heads.heart.hook_person_summary"}}]}

In the file a result is called "clean/0/resid" or "without 97/0/resid"; 0 is the document's index.)");
}

std::string ValuesInShort(const std::vector<double>& values) {
  if (values.empty()) return "";
  if (values.size() <= kFewValues) {
    return absl::StrJoin(values, "  ", [](std::string* out, double value) { out->append(FormatNumber(value)); });
  }
  double sum = 0;
  for (const double value : values) sum += value;
  const auto [least, largest] = std::minmax_element(values.begin(), values.end());
  return absl::StrCat(FormatNumber(*least), " … ", FormatNumber(*largest), ", mean ",
                      FormatNumber(sum / static_cast<double>(values.size())));
}

absl::Status AddValue(const std::string& run, int32_t document, const std::string& read, const v1::ReadValue& value,
                      Table& table) {
  if (value.has_features()) {
    const absl::StatusOr<std::vector<FeatureRow>> rows = ToRows(value.features());
    if (!rows.ok()) return rows.status();
    size_t active = 0;
    for (const FeatureRow& row : *rows) active += row.active.size();
    table.Add({run, absl::StrCat(document), read,
               absl::StrCat("sparse [", rows->size(), ", ", value.features().feature_count(), "]"),
               absl::StrCat(FormatCount(static_cast<int64_t>(active)), " active")});
    return absl::OkStatus();
  }
  const absl::StatusOr<std::vector<double>> values = ToDoubles(value.tensor());
  if (!values.ok()) return values.status();
  table.Add({run, absl::StrCat(document), read, FormatShape(value.tensor()), ValuesInShort(*values)});
  return absl::OkStatus();
}

absl::Status AddDocuments(const std::string& run, const google::protobuf::RepeatedPtrField<v1::DocumentResult>& results,
                          const std::vector<std::string>& reads, Table& table) {
  for (const v1::DocumentResult& result : results) {
    for (const v1::ReadValue& value : result.values()) {
      const bool is_known = value.read() >= 0 && value.read() < static_cast<int32_t>(reads.size());
      if (!is_known)
        return absl::DataLossError(absl::StrCat("the answer has a read ", value.read(), ", not asked for"));
      const absl::Status status = AddValue(run, result.document(), reads[value.read()], value, table);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status WriteOut(const std::string& path, const v1::RunRequest& request, const v1::RunResponse& response) {
  const std::map<std::string, std::string> metadata = {{"run_id", response.run_id()},
                                                       {"model_digest", response.provenance().model_digest()},
                                                       {"n_slots", absl::StrCat(response.provenance().n_slots())},
                                                       {"software_version", response.provenance().software_version()}};
  const auto bytes = SafetensorsBytes(NamedTensors(request.run(), response.result()), metadata);
  return bytes.ok() ? WriteFile(path, *bytes) : bytes.status();
}

absl::Status RunRun(const RunOptions& options, Session& session) {
  absl::StatusOr<v1::RunRequest> request = ReadPlanFile(options.plan);
  if (!request.ok()) return request.status();
  if (!options.request_id.empty()) request->set_request_id(options.request_id);
  if (request->request_id().empty()) request->set_request_id(NewRequestId());
  const absl::StatusOr<v1::RunResponse> response = session.client->Run(*request);
  if (!response.ok()) return response.status();
  if (!options.out.empty()) {
    const absl::Status written = WriteOut(options.out, *request, *response);
    if (!written.ok()) {
      return absl::Status(written.code(), absl::StrCat(std::string(written.message()), " (the answer is stored as run ",
                                                       response->run_id(), ")"));
    }
  }
  if (session.output == OutputFormat::kJson) return PrintJson(*response, session.terminal);
  const absl::Status printed = PrintRun(session, *request, *response);
  if (printed.ok() && !options.out.empty()) PrintLine(session.terminal, absl::StrCat("results in ", options.out));
  return printed;
}

}  // namespace

absl::Status PrintRun(Session& session, const v1::RunRequest& request, const v1::RunResponse& response) {
  const v1::Run& run = request.run();
  const std::vector<std::string> reads = ReadLabels(run);
  const std::vector<std::string> interventions = InterventionLabels(run);
  if (response.result().interventions_size() != run.interventions_size()) {
    return absl::DataLossError(absl::StrCat("asked for ", run.interventions_size(), " interventions, answered ",
                                            response.result().interventions_size()));
  }
  using Align = Table::Align;
  Table table({{"run"}, {"document", Align::kRight}, {"read"}, {"shape"}, {"values", Align::kLeft, /*shrinks=*/true}},
              /*indent=*/2);
  absl::Status status = AddDocuments("clean", response.result().clean(), reads, table);
  for (int index = 0; status.ok() && index < run.interventions_size(); ++index) {
    status = AddDocuments(interventions[index], response.result().interventions(index).documents(), reads, table);
  }
  if (!status.ok()) return status;
  PrintTitle(session, absl::StrCat(run.documents_size(), run.documents_size() == 1 ? " document, " : " documents, ",
                                   run.interventions_size(),
                                   run.interventions_size() == 1 ? " intervention" : " interventions"));
  for (int index = 0; index < run.documents_size(); ++index) {
    PrintLine(session.terminal, absl::StrCat("  ", index, "  ", DescribeDocument(run.documents(index))));
  }
  PrintLine(session.terminal);
  table.Print(session.terminal);
  PrintRunLine(session, response.run_id(), response.provenance());
  return absl::OkStatus();
}

void AddRun(CLI::App& app, Action& action) {
  AddVerb<RunOptions>(app, action, "run", "A plan of your own: documents, edits, reads", Define, RunRun);
}

}  // namespace lifescope
