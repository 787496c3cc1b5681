#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/cli/answers.h"
#include "client/cli/chart.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/metric_argument.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct CircuitOptions {
  DocumentSource source;
  DocumentOptions documents;
  MetricOptions metric;
  BaselineOptions baseline;
  std::string model, upstream, downstream;
  v1::GradientRule rule = v1::GRADIENT_RULE_UNSPECIFIED;
  int32_t steps = 0;
  int32_t nodes = 20;
  int32_t edges = 30;
  int32_t n_slots = 0;
};

void Define(CLI::App& verb, CircuitOptions& options) {
  AddDocumentSource(verb, options.source, "", "The life");
  AddDocumentOptions(verb, options.documents);
  AddMetricOptions(verb, options.metric);
  AddBaselineOptions(verb, options.baseline);
  verb.add_option("--upstream", options.upstream, "Dictionary of the earlier layer")
      ->option_text("NAME (required)")
      ->required();
  verb.add_option("--downstream", options.downstream, "Dictionary of the later layer")
      ->option_text("NAME (required)")
      ->required();
  AddGradientRule(verb, options.rule, options.steps);
  verb.add_option("--nodes", options.nodes, "Nodes of each dictionary")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb.add_option("--edges", options.edges, "Edges that are listed")->capture_default_str()->check(CLI::PositiveNumber);
  verb.add_option("--model", options.model, "Model (default: the only one)")->option_text("NAME");
  verb.add_option("--n-slots", options.n_slots, "Padded length that global heads count (default: the model's)");
  verb.footer(R"(Example:
  lifescope circuit --person 17 --mask 57 --metric-at 57 --tokens IND_4662,IND_2110 --upstream resid0 --downstream resid1

Faithfulness: share of the answer that the circuit's features alone give; completeness: share that is left without them.)");
}

absl::Status RunCircuit(const CircuitOptions& options, Session& session) {
  const absl::StatusOr<v1::Document> document = ReadDocument(options.source, options.documents);
  if (!document.ok()) return document.status();
  const absl::StatusOr<v1::Metric> metric = ReadMetric(options.metric);
  if (!metric.ok()) return metric.status();
  const absl::StatusOr<v1::Baseline> baseline = ReadBaseline(options.baseline, options.documents);
  if (!baseline.ok()) return baseline.status();
  v1::FindCircuitRequest request;
  request.set_request_id(NewRequestId());
  request.set_model(options.model);
  *request.mutable_document() = *document;
  *request.mutable_metric() = *metric;
  *request.mutable_baseline() = *baseline;
  request.set_upstream_dictionary(options.upstream);
  request.set_downstream_dictionary(options.downstream);
  request.set_rule(options.rule);
  request.set_steps(options.steps);
  request.set_upstream_nodes(options.nodes);
  request.set_downstream_nodes(options.nodes);
  request.set_top_edges(options.edges);
  request.set_n_slots(options.n_slots);
  const absl::StatusOr<v1::FindCircuitResponse> response = session.client->FindCircuit(request);
  if (!response.ok()) return response.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*response, session.terminal);
  return PrintCircuit(session, request, *response);
}

std::string NodeName(const v1::NodeEffect& node) {
  return absl::StrCat(node.unit() < 0 ? "error" : absl::StrCat("feature ", node.unit()), " at ", node.position());
}

std::string Share(bool known, double share) { return known ? FormatFixed(share, 2) : "–"; }

}  // namespace

absl::Status PrintCircuit(Session& session, const v1::FindCircuitRequest& request,
                          const v1::FindCircuitResponse& response) {
  PrintTitle(session, absl::StrCat(DescribeMetric(request.metric()), " in ", DescribeDocument(request.document())),
             absl::StrCat(request.upstream_dictionary(), " → ", request.downstream_dictionary(), ", others at ",
                          DescribeBaseline(request.baseline())));
  PrintLine(session.terminal, absl::StrCat("  ", FormatNumber(response.metric()), "; circuit alone ",
                                           FormatNumber(response.metric_circuit()), ", without it ",
                                           FormatNumber(response.metric_complement()), ", nothing ",
                                           FormatNumber(response.metric_empty())));
  PrintLine(session.terminal,
            absl::StrCat("  faithfulness ", Share(response.has_faithfulness(), response.faithfulness()),
                         ", completeness ", Share(response.has_completeness(), response.completeness())));
  PrintLine(session.terminal);
  using Align = Table::Align;
  Table table({{"from"}, {"to"}, {"weight", Align::kRight}, {""}}, /*indent=*/2);
  const double largest = response.edges_size() > 0 ? std::abs(response.edges(0).weight()) : 0;
  for (const v1::CircuitEdge& edge : response.edges()) {
    if (edge.from() < 0 || edge.from() >= response.upstream_size() || edge.to() < 0 ||
        edge.to() >= response.downstream_size()) {
      return absl::DataLossError("an edge of the answer names a node that it does not have");
    }
    table.Add({NodeName(response.upstream(edge.from())), NodeName(response.downstream(edge.to())),
               FormatNumber(edge.weight()),
               Text(Bar(largest > 0 ? std::abs(edge.weight()) / largest : 0, 16),
                    edge.weight() > 0 ? Style::kUp : Style::kDown)});
  }
  table.Print(session.terminal);
  PrintRunLine(session, response.run_id(), response.provenance());
  return absl::OkStatus();
}

void AddCircuit(CLI::App& app, Action& action) {
  AddVerb<CircuitOptions>(app, action, "circuit", "Which features act on an answer through which later ones", Define,
                          RunCircuit);
}

}  // namespace lifescope
