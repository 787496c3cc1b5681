#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/cli/answers.h"
#include "client/cli/chart.h"
#include "client/cli/format.h"
#include "client/cli/life_text.h"
#include "client/cli/message_json.h"
#include "client/cli/metric_argument.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/wire_values.h"

namespace lifescope {
namespace {

constexpr int kBarWidth = 16;

struct AttributeOptions {
  DocumentSource source;
  DocumentOptions documents;
  MetricOptions metric;
  BaselineOptions baseline;
  std::string model;
  std::string hook;
  v1::ActivationUnit unit = v1::ACTIVATION_UNIT_UNSPECIFIED;
  std::string dictionary;
  bool features = false;
  v1::GradientRule rule = v1::GRADIENT_RULE_UNSPECIFIED;
  int32_t steps = 0;
  int32_t top = 15;
  int32_t check = 32;
  uint64_t seed = 1;
  int32_t n_slots = 0;
  bool no_text = false;
};

void Define(CLI::App& verb, AttributeOptions& options) {
  AddDocumentSource(verb, options.source, "", "The life");
  AddDocumentOptions(verb, options.documents);
  AddMetricOptions(verb, options.metric);
  AddBaselineOptions(verb, options.baseline);
  const char places[] = "The places it is explained by";
  verb.add_option("--hook", options.hook, "Of a hook point")->option_text("NAME")->group(places);
  const std::vector<std::pair<std::string, v1::ActivationUnit>> units = {{"position", v1::ACTIVATION_UNIT_POSITION},
                                                                         {"head", v1::ACTIVATION_UNIT_HEAD},
                                                                         {"channel", v1::ACTIVATION_UNIT_CHANNEL}};
  verb.add_option("--unit", options.unit, "Its positions (default), heads or channels at each position")
      ->transform(CLI::CheckedTransformer(units))
      ->option_text("position|head|channel")
      ->group(places);
  verb.add_flag("--features", options.features, "The features of a dictionary, and its errors")->group(places);
  verb.add_option("--dictionary", options.dictionary, "Which one (default: the model's only one)")
      ->option_text("NAME")
      ->group(places);
  AddGradientRule(verb, options.rule, options.steps);
  verb.add_option("--top", options.top, "Places that are listed")->capture_default_str()->check(CLI::PositiveNumber);
  verb.add_option("--check", options.check, "Places drawn at random whose exact effect is computed too")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--seed", options.seed, "Of that draw")->capture_default_str();
  verb.add_option("--model", options.model, "Model (default: the only one)")->option_text("NAME");
  verb.add_option("--n-slots", options.n_slots, "Padded length that global heads count (default: the model's)");
  verb.add_flag("--no-text", options.no_text, "Do not fetch the words of the life");
  verb.footer(R"(Examples:
  lifescope attribute --person 17 --mask 57 --metric-at 57 --tokens IND_4662,IND_2110 --hook blocks.0.hook_resid_post
                                                     which positions the answer rests on
  lifescope attribute ... --features --rule trapezoid --baseline-person 21
                                                     which features make the difference between two lives
  lifescope attribute --person 17 --class cardiac --hook hook_embed
                                                     what a fine-tuned head's answer rests on

An effect is the first-order estimate of what the number would change by if the place went to its baseline. "exact" is the change
itself where it was computed; their correlation says how far the estimates can be trusted.)");
}

absl::StatusOr<v1::AttributeRequest> MakeRequest(const AttributeOptions& options) {
  if (options.features == !options.hook.empty()) {
    return absl::InvalidArgumentError("say by which places: --hook NAME or --features");
  }
  const absl::StatusOr<v1::Document> document = ReadDocument(options.source, options.documents);
  if (!document.ok()) return document.status();
  const absl::StatusOr<v1::Metric> metric = ReadMetric(options.metric);
  if (!metric.ok()) return metric.status();
  const absl::StatusOr<v1::Baseline> baseline = ReadBaseline(options.baseline, options.documents);
  if (!baseline.ok()) return baseline.status();
  v1::AttributeRequest request;
  request.set_request_id(NewRequestId());
  request.set_model(options.model);
  *request.mutable_document() = *document;
  *request.mutable_metric() = *metric;
  if (options.features) {
    request.mutable_features()->set_dictionary(options.dictionary);
  } else {
    request.mutable_activation()->set_hook_point(options.hook);
    request.mutable_activation()->set_unit(options.unit);
  }
  *request.mutable_baseline() = *baseline;
  request.set_rule(options.rule);
  request.set_steps(options.steps);
  request.set_top_nodes(options.top);
  request.set_exact_count(options.check == 0 ? -1 : options.check);
  request.set_seed(options.seed);
  request.set_n_slots(options.n_slots);
  return request;
}

absl::Status RunAttribute(const AttributeOptions& options, Session& session) {
  const absl::StatusOr<v1::AttributeRequest> request = MakeRequest(options);
  if (!request.ok()) return request.status();
  const absl::StatusOr<v1::AttributeResponse> response = session.client->Attribute(*request);
  if (!response.ok()) return response.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*response, session.terminal);
  AnswerView view;
  view.with_text = !options.no_text;
  return PrintAttribute(session, *request, *response, view);
}

// Towards the baseline the number rises or falls.
Text EffectBar(double effect, double largest) {
  return Text(Bar(largest > 0 ? std::abs(effect) / largest : 0, kBarWidth), effect > 0 ? Style::kUp : Style::kDown);
}

std::string UnitName(const v1::AttributeRequest& request, const v1::NodeEffect& node) {
  if (request.has_features()) return node.unit() < 0 ? "error" : absl::StrCat("feature ", node.unit());
  switch (request.activation().unit()) {
    case v1::ACTIVATION_UNIT_HEAD:
      return absl::StrCat("head ", node.unit());
    case v1::ACTIVATION_UNIT_CHANNEL:
      return absl::StrCat("channel ", node.unit());
    default:
      return "";
  }
}

void PrintNodes(Session& session, const v1::AttributeRequest& request, const v1::AttributeResponse& response,
                const std::optional<LifeText>& text) {
  using Align = Table::Align;
  Table table({{"position", Align::kRight},
               {text ? "token" : ""},
               {text ? "when" : ""},
               {"place"},
               {"effect", Align::kRight},
               {"exact", Align::kRight},
               {""}},
              /*indent=*/2);
  const double largest = response.nodes_size() > 0 ? std::abs(response.nodes(0).effect()) : 0;
  for (const v1::NodeEffect& node : response.nodes()) {
    const LifeText::Event* event = text ? text->EventAt(node.position()) : nullptr;
    table.Add({absl::StrCat(node.position()), text ? text->TokenAt(node.position()) : "",
               Text(event != nullptr ? LifeText::When(*event) : "", Style::kDim), UnitName(request, node),
               FormatNumber(node.effect()), node.has_exact() ? FormatNumber(node.exact()) : "",
               EffectBar(node.effect(), largest)});
  }
  table.Print(session.terminal);
}

// Sums over the events of a life, the largest first.
absl::Status PrintEvents(Session& session, const v1::AttributeResponse& response, const LifeText& text, size_t count) {
  const absl::StatusOr<std::vector<double>> effects = ToDoubles(response.position_effects());
  if (!effects.ok()) return effects.status();
  std::vector<std::pair<double, const LifeText::Event*>> events;
  for (const LifeText::Event& event : text.events()) {
    double sum = 0;
    for (int32_t p = event.begin; p < event.end && p < static_cast<int32_t>(effects->size()); ++p) sum += (*effects)[p];
    events.emplace_back(sum, &event);
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const auto& a, const auto& b) { return std::abs(a.first) > std::abs(b.first); });
  if (events.size() > count) events.resize(count);
  using Align = Table::Align;
  Table table({{"event", Align::kRight}, {"when"}, {"effect", Align::kRight}, {""}, {"", Align::kLeft, true}}, 2);
  for (const auto& [sum, event] : events) {
    table.Add({absl::StrCat(event->number), LifeText::When(*event), FormatNumber(sum),
               EffectBar(sum, std::abs(events.front().first)), text.Line(*event)});
  }
  PrintLine(session.terminal);
  table.Print(session.terminal);
  return absl::OkStatus();
}

}  // namespace

absl::Status PrintAttribute(Session& session, const v1::AttributeRequest& request,
                            const v1::AttributeResponse& response, const AnswerView& view) {
  std::optional<LifeText> text;
  if (view.with_text) text = FetchText(session, request.document());
  PrintTitle(session, absl::StrCat(DescribeMetric(request.metric()), " in ", DescribeDocument(request.document())),
             absl::StrCat(request.has_features() ? "by features" : request.activation().hook_point(), " going to ",
                          DescribeBaseline(request.baseline())));
  PrintLine(session.terminal,
            absl::StrCat("  ", FormatNumber(response.metric()), ", with all at the baseline ",
                         FormatNumber(response.metric_baseline()), "; effects add up to that but for ",
                         FormatNumber(response.completeness_residual())));
  if (response.checked_size() > 0) {
    PrintLine(session.terminal,
              absl::StrCat("  ", response.checked_size(), " places computed exactly: correlation with the estimates ",
                           response.has_exact_correlation() ? FormatFixed(response.exact_correlation(), 3) : "–"));
  }
  PrintLine(session.terminal);
  PrintNodes(session, request, response, text);
  if (text) {
    if (const absl::Status printed = PrintEvents(session, response, *text, 10); !printed.ok()) return printed;
  }
  PrintRunLine(session, response.run_id(), response.provenance());
  return absl::OkStatus();
}

void AddAttribute(CLI::App& app, Action& action) {
  AddVerb<AttributeOptions>(app, action, "attribute", "Which places of a life an answer rests on, by gradients", Define,
                            RunAttribute);
}

}  // namespace lifescope
