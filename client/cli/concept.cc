#include "absl/strings/str_cat.h"
#include "client/cli/answers.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/metric_argument.h"
#include "client/cli/positions.h"
#include "client/cli/session.h"

namespace lifescope {
namespace {

struct ConceptOptions {
  DocumentSource positive, negative, tested;
  DocumentOptions documents;
  MetricOptions metric;
  std::string model;
  std::string hook;
  std::string at;
  int32_t random = 50;
  uint64_t seed = 1;
  int32_t n_slots = 0;
};

void Define(CLI::App& verb, ConceptOptions& options) {
  AddDocumentSource(verb, options.positive, "with-", "Lives that have the concept", "IDS");
  AddDocumentSource(verb, options.negative, "without-", "Lives that do not", "IDS");
  AddDocumentSource(verb, options.tested, "", "Lives whose answer is tested", "IDS");
  AddDocumentOptions(verb, options.documents);
  AddMetricOptions(verb, options.metric);
  verb.add_option("--hook", options.hook, "Where the concept is looked for")
      ->option_text("NAME (required)")
      ->required();
  verb.add_option("--at", options.at, absl::StrCat("Mean over these positions (default: cls): ", kPositionsHelp))
      ->option_text("POSITIONS");
  verb.add_option("--random", options.random, "Directions of shuffled labels to compare with")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb.add_option("--seed", options.seed, "Of those, and of the split of the lives")->capture_default_str();
  verb.add_option("--model", options.model, "Model (default: the only one)")->option_text("NAME");
  verb.add_option("--n-slots", options.n_slots, "Padded length that global heads count (default: the model's)");
  verb.footer(R"(Example:
  lifescope concept --with-person 1-40 --without-person 41-80 --person 100-160 --class cardiac \
                    --hook heads.mortality.hook_person_summary
                                                     whether a head's answer grows along a concept (TCAV))");
}

absl::Status RunConcept(const ConceptOptions& options, Session& session) {
  v1::TestConceptRequest request;
  const auto read = [&](const DocumentSource& source, google::protobuf::RepeatedPtrField<v1::Document>* into) {
    const absl::StatusOr<std::vector<v1::Document>> documents = ReadDocuments(source, options.documents);
    if (documents.ok()) into->Add(documents->begin(), documents->end());
    return documents.status();
  };
  for (const absl::Status& status :
       {read(options.positive, request.mutable_positive()), read(options.negative, request.mutable_negative()),
        read(options.tested, request.mutable_documents())}) {
    if (!status.ok()) return status;
  }
  const absl::StatusOr<v1::Metric> metric = ReadMetric(options.metric);
  if (!metric.ok()) return metric.status();
  if (!options.at.empty()) {
    const absl::StatusOr<v1::Positions> positions = ParsePositions("--at", options.at);
    if (!positions.ok()) return positions.status();
    *request.mutable_positions() = *positions;
  }
  request.set_request_id(NewRequestId());
  request.set_model(options.model);
  *request.mutable_metric() = *metric;
  request.set_hook_point(options.hook);
  request.set_random_count(options.random);
  request.set_seed(options.seed);
  request.set_n_slots(options.n_slots);
  const absl::StatusOr<v1::TestConceptResponse> response = session.client->TestConcept(request);
  if (!response.ok()) return response.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*response, session.terminal);
  return PrintConcept(session, request, *response);
}

}  // namespace

absl::Status PrintConcept(Session& session, const v1::TestConceptRequest& request,
                          const v1::TestConceptResponse& response) {
  PrintTitle(session, absl::StrCat(DescribeMetric(request.metric()), " along a concept at ", request.hook_point()),
             absl::StrCat(request.positive_size(), " lives with it, ", request.negative_size(), " without, ",
                          request.documents_size(), " tested"));
  PrintLine(session.terminal,
            absl::StrCat("  told apart on the half that was held out: ", FormatPercent(response.accuracy())));
  PrintLine(session.terminal,
            absl::StrCat("  the number grows along the concept for ", FormatPercent(response.sign_count()),
                         " of the lives (magnitude ", FormatFixed(response.magnitude(), 2), ")"));
  PrintLine(session.terminal, absl::StrCat("  p = ", FormatNumber(response.p_value()), " against ",
                                           response.random_sign_counts_size(), " directions of shuffled labels"));
  PrintRunLine(session, response.run_id(), response.provenance());
  return absl::OkStatus();
}

void AddConcept(CLI::App& app, Action& action) {
  AddVerb<ConceptOptions>(app, action, "concept", "Whether an answer grows along a concept (TCAV)", Define, RunConcept);
}

}  // namespace lifescope
