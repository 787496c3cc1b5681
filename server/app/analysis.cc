// The analyses: Attribute, FindCircuit, TestConcept. Each is planned as a run that reads its metric and its places, so
// that names, documents and positions are resolved and refused as those of a run are.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/app/constructor.h"
#include "server/app/convert.h"
#include "server/app/planned_metric.h"
#include "server/app/status_macros.h"
#include "server/evaluation/concept_activation.h"
#include "server/intervention/attribution/attribution.h"
#include "server/intervention/attribution/feature_circuit.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

constexpr int32_t kMaxSteps = 1000, kMaxChecked = 1000, kMaxListed = 10000, kMaxNodes = 500, kMaxRandom = 1000;

// Reads of a planned analysis after its metric.
constexpr size_t kFirstPlaceRead = 1;

absl::Status CheckAtMost(int32_t value, int32_t least, int32_t most, const std::string& field) {
  if (least <= value && value <= most) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value, ", expected ", least, " to ", most));
}

// Of a concept.
absl::Status CheckLives(int count, const std::string& field) {
  if (count >= 4) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(count, " lives, expected at least 4"));
}

int64_t OrDefault(int32_t value, int64_t fallback) { return value == 0 ? fallback : value; }

// Documents of the baseline after those that are there.
void AddBaseline(const v1::Baseline& baseline, v1::Run& run) {
  if (baseline.has_document()) *run.add_documents() = baseline.document();
  for (const v1::Document& document : baseline.mean().documents()) *run.add_documents() = document;
}

// What Attribute and FindCircuit begin with: one document, its metric and the baseline's documents.
template <typename Request>
absl::Status AddDocumentAndMetric(const Request& request, v1::Run& run) {
  run.set_model(request.model());
  run.set_n_slots(request.n_slots());
  run.set_precision(request.precision());
  *run.add_documents() = request.document();
  AddBaseline(request.baseline(), run);
  return AddMetric(request.metric(), 0, 1, run);
}

RunPaths Paths(std::vector<RunPaths::Rule> places) {
  RunPaths paths;
  paths.rules = std::move(places);
  AddMetricPaths(paths);
  paths.rules.push_back({std::regex("run\\."), ""});
  return paths;
}

// Of a document with a baseline: document 0, then the baseline's.
std::vector<RunPaths::Rule> DocumentRules(const v1::Baseline& baseline) {
  std::vector<RunPaths::Rule> rules = {{std::regex("run\\.documents\\[0\\]"), "document"}};
  if (baseline.has_document()) rules.push_back({std::regex("run\\.documents\\[1\\]"), "baseline.document"});
  for (int i = 0; i < baseline.mean().documents_size(); ++i) {
    rules.push_back({std::regex(absl::StrCat("run\\.documents\\[", i + 1, "\\]")),
                     absl::StrCat("baseline.mean.documents[", i, "]")});
  }
  return rules;
}

lifescope::Baseline PlannedBaseline(const v1::Baseline& message, const Plan& plan) {
  if (message.has_document()) return DocumentBaseline{plan.run.documents.at(1)};
  if (message.has_mean()) return MeanBaseline{{plan.run.documents.begin() + 1, plan.run.documents.end()}};
  return ZeroBaseline{};
}

GradientOptions OptionsOf(const Plan& plan, const ExecuteOptions& options) {
  return {plan.run.n_slots, options.batch_tokens, options.cancelled};
}

lifescope::GradientRule RuleOf(v1::GradientRule rule, lifescope::GradientRule fallback) {
  switch (rule) {
    case v1::GRADIENT_RULE_AT_VALUE:
      return lifescope::GradientRule::kAtValue;
    case v1::GRADIENT_RULE_AT_BASELINE:
      return lifescope::GradientRule::kAtBaseline;
    case v1::GRADIENT_RULE_INTEGRATED_LEFT:
      return lifescope::GradientRule::kIntegratedLeft;
    case v1::GRADIENT_RULE_INTEGRATED_MIDPOINT:
      return lifescope::GradientRule::kIntegratedMidpoint;
    case v1::GRADIENT_RULE_INTEGRATED_TRAPEZOID:
      return lifescope::GradientRule::kIntegratedTrapezoid;
    default:
      return fallback;
  }
}

absl::Status CheckRule(v1::GradientRule rule, int32_t steps) {
  if (!v1::GradientRule_IsValid(rule)) return InvalidField("rule", absl::StrCat(rule, ", expected a GradientRule"));
  return CheckAtMost(steps, 0, kMaxSteps, "steps");
}

// The largest of `effects` by size, as (flat index, effect), at most `count` and none that is 0.
std::vector<std::pair<int64_t, double>> Largest(const at::Tensor& effects, int64_t count) {
  const at::Tensor flat = effects.flatten();
  const at::Tensor order = std::get<1>(flat.abs().topk(std::min(count, flat.numel())));
  std::vector<std::pair<int64_t, double>> largest;
  for (int64_t i = 0; i < order.numel(); ++i) {
    const int64_t index = order[i].item<int64_t>();
    const double effect = flat[index].item<double>();
    if (effect != 0) largest.emplace_back(index, effect);
  }
  return largest;
}

// Names the nodes of an attribution by their flat index, errors after the others.
struct NodeNames {
  int64_t units = 1;  // per position
  int64_t count = 0;  // without errors

  void Fill(int64_t node, double effect, v1::NodeEffect& message) const {
    message.set_position(static_cast<int32_t>(node < count ? node / units : node - count));
    message.set_unit(static_cast<int32_t>(node < count ? node % units : -1));
    message.set_effect(effect);
  }
};

void FillNodes(const Attribution& found, int64_t top_nodes, v1::AttributeResponse& response) {
  const NodeNames names{found.effects.dim() == 2 ? found.effects.size(1) : 1, found.effects.numel()};
  at::Tensor all = found.effects.flatten();
  if (found.error_effects.defined()) all = at::cat({all, found.error_effects});
  for (const auto& [node, effect] : Largest(all, top_nodes)) {
    v1::NodeEffect& message = *response.add_nodes();
    names.Fill(node, effect, message);
    const auto checked = std::find(found.check.nodes.begin(), found.check.nodes.end(), node);
    if (checked != found.check.nodes.end()) {
      message.set_exact(found.check.exact[static_cast<size_t>(checked - found.check.nodes.begin())]);
    }
  }
  for (size_t i = 0; i < found.check.nodes.size(); ++i) {
    v1::NodeEffect& message = *response.add_checked();
    names.Fill(found.check.nodes[i], found.check.predicted[i], message);
    message.set_exact(found.check.exact[i]);
  }
}

void FillNodes(const std::vector<CircuitNode>& nodes, google::protobuf::RepeatedPtrField<v1::NodeEffect>& messages) {
  for (const CircuitNode& node : nodes) {
    v1::NodeEffect& message = *messages.Add();
    message.set_position(static_cast<int32_t>(node.position));
    message.set_unit(static_cast<int32_t>(node.feature));
    message.set_effect(node.effect);
  }
}

// Adds a read that resolves a dictionary; positions [0], so that it counts as nothing.
void AddDictionary(const std::string& name, v1::Run& run) {
  v1::Read& read = AddReadOf(0, 1, run);
  read.mutable_features()->set_dictionary(name);
  read.mutable_positions()->add_indices(0);
}

const RunDictionary& DictionaryOf(const Plan& plan, size_t read) {
  return plan.run.dictionaries.at(std::get<lifescope::FeatureRead>(plan.run.reads.at(read).kind).dictionary);
}

}  // namespace

v1::RunKind KindOf(const v1::AttributeRequest&) { return v1::RUN_KIND_ATTRIBUTE; }
v1::RunKind KindOf(const v1::FindCircuitRequest&) { return v1::RUN_KIND_FIND_CIRCUIT; }
v1::RunKind KindOf(const v1::TestConceptRequest&) { return v1::RUN_KIND_TEST_CONCEPT; }

absl::Status Construct(const v1::AttributeRequest& request, ConstructedRun& constructed) {
  RETURN_IF_ERROR(CheckRule(request.rule(), request.steps()));
  RETURN_IF_ERROR(CheckAtMost(request.top_nodes(), 0, kMaxListed, "top_nodes"));
  RETURN_IF_ERROR(CheckAtMost(request.exact_count(), -1, kMaxChecked, "exact_count"));
  v1::Run& run = constructed.run;
  RETURN_IF_ERROR(AddDocumentAndMetric(request, run));
  std::vector<RunPaths::Rule> rules = DocumentRules(request.baseline());
  if (request.has_activation()) {
    if (!v1::ActivationUnit_IsValid(request.activation().unit())) {
      return InvalidField("activation.unit", absl::StrCat(request.activation().unit(), ", expected an ActivationUnit"));
    }
    v1::Read& read = AddReadOf(0, 1, run);
    read.mutable_activation()->set_hook_point(request.activation().hook_point());
    read.mutable_positions()->add_indices(0);
    rules.push_back({std::regex("run\\.reads\\[1\\]\\.activation"), "activation"});
  } else if (request.has_features()) {
    AddDictionary(request.features().dictionary(), run);
    rules.push_back({std::regex("run\\.reads\\[1\\]\\.features"), "features"});
  } else {
    return InvalidField("nodes", "not set, expected activation or features");
  }
  constructed.paths = Paths(std::move(rules));
  return absl::OkStatus();
}

void Analyse(const v1::AttributeRequest& request, const Plan& plan, const Transformer& model,
             const ExecuteOptions& options, v1::AttributeResponse& response) {
  AttributionRequest asked;
  asked.document = plan.run.documents.at(0);
  asked.metric = PlannedMetric(request.metric(), plan);
  if (request.has_features()) {
    asked.nodes = lifescope::FeatureNodes{DictionaryOf(plan, kFirstPlaceRead)};
  } else {
    const auto& read = std::get<lifescope::ActivationRead>(plan.run.reads.at(kFirstPlaceRead).kind);
    const v1::ActivationUnit unit = request.activation().unit();
    asked.nodes = lifescope::ActivationNodes{
        read.hook_point, unit == v1::ACTIVATION_UNIT_HEAD      ? lifescope::ActivationUnit::kHead
                         : unit == v1::ACTIVATION_UNIT_CHANNEL ? lifescope::ActivationUnit::kChannel
                                                               : lifescope::ActivationUnit::kPosition};
  }
  asked.baseline = PlannedBaseline(request.baseline(), plan);
  asked.rule = RuleOf(request.rule(), lifescope::GradientRule::kAtValue);
  asked.steps = OrDefault(request.steps(), 10);
  asked.exact_count = request.exact_count() < 0 ? 0 : OrDefault(request.exact_count(), 32);
  asked.seed = request.seed();
  asked.options = OptionsOf(plan, options);
  const Attribution found = lifescope::Attribute(asked, model);

  response.set_metric(found.metric_value);
  response.set_metric_baseline(found.metric_baseline);
  response.set_completeness_residual(found.completeness_residual);
  FillNodes(found, OrDefault(request.top_nodes(), 50), response);
  at::Tensor positions = found.effects;
  if (positions.dim() == 2) {
    ToMessage(positions.sum(0), *response.mutable_unit_effects());
    positions = positions.sum(1);
  }
  if (found.error_effects.defined()) {
    positions = positions + found.error_effects;
    response.set_error_effect(found.error_effects.sum().item<double>());
  }
  ToMessage(positions, *response.mutable_position_effects());
  if (found.check.correlation) response.set_exact_correlation(*found.check.correlation);
}

absl::Status Construct(const v1::FindCircuitRequest& request, ConstructedRun& constructed) {
  RETURN_IF_ERROR(CheckRule(request.rule(), request.steps()));
  RETURN_IF_ERROR(CheckAtMost(request.upstream_nodes(), 0, kMaxNodes, "upstream_nodes"));
  RETURN_IF_ERROR(CheckAtMost(request.downstream_nodes(), 0, kMaxNodes, "downstream_nodes"));
  RETURN_IF_ERROR(CheckAtMost(request.top_edges(), 0, kMaxListed, "top_edges"));
  v1::Run& run = constructed.run;
  RETURN_IF_ERROR(AddDocumentAndMetric(request, run));
  AddDictionary(request.upstream_dictionary(), run);
  AddDictionary(request.downstream_dictionary(), run);
  std::vector<RunPaths::Rule> rules = DocumentRules(request.baseline());
  rules.push_back({std::regex("run\\.reads\\[1\\]\\.features\\.dictionary"), "upstream_dictionary"});
  rules.push_back({std::regex("run\\.reads\\[2\\]\\.features\\.dictionary"), "downstream_dictionary"});
  constructed.paths = Paths(std::move(rules));
  return absl::OkStatus();
}

void Analyse(const v1::FindCircuitRequest& request, const Plan& plan, const Transformer& model,
             const ExecuteOptions& options, v1::FindCircuitResponse& response) {
  FeatureCircuitRequest asked;
  asked.document = plan.run.documents.at(0);
  asked.metric = PlannedMetric(request.metric(), plan);
  asked.upstream = DictionaryOf(plan, kFirstPlaceRead);
  asked.downstream = DictionaryOf(plan, kFirstPlaceRead + 1);
  asked.baseline = PlannedBaseline(request.baseline(), plan);
  asked.rule = RuleOf(request.rule(), lifescope::GradientRule::kIntegratedTrapezoid);
  asked.steps = OrDefault(request.steps(), 10);
  asked.upstream_count = OrDefault(request.upstream_nodes(), 20);
  asked.downstream_count = OrDefault(request.downstream_nodes(), 20);
  asked.options = OptionsOf(plan, options);
  const FeatureCircuit circuit = FindFeatureCircuit(asked, model);

  FillNodes(circuit.upstream, *response.mutable_upstream());
  FillNodes(circuit.downstream, *response.mutable_downstream());
  const size_t edges = std::min(circuit.edges.size(), static_cast<size_t>(OrDefault(request.top_edges(), 100)));
  for (size_t i = 0; i < edges; ++i) {
    v1::CircuitEdge& edge = *response.add_edges();
    edge.set_from(static_cast<int32_t>(circuit.edges[i].from));
    edge.set_to(static_cast<int32_t>(circuit.edges[i].to));
    edge.set_weight(circuit.edges[i].weight);
  }
  response.set_metric(circuit.metric_full);
  response.set_metric_empty(circuit.metric_empty);
  response.set_metric_circuit(circuit.metric_circuit);
  response.set_metric_complement(circuit.metric_complement);
  if (circuit.faithfulness) response.set_faithfulness(*circuit.faithfulness);
  if (circuit.completeness) response.set_completeness(*circuit.completeness);
}

absl::Status Construct(const v1::TestConceptRequest& request, ConstructedRun& constructed) {
  RETURN_IF_ERROR(CheckAtMost(request.random_count(), 0, kMaxRandom, "random_count"));
  RETURN_IF_ERROR(CheckLives(request.positive_size(), "positive"));
  RETURN_IF_ERROR(CheckLives(request.negative_size(), "negative"));
  v1::Run& run = constructed.run;
  run.set_model(request.model());
  run.set_n_slots(request.n_slots());
  run.set_precision(request.precision());
  // positive, negative, documents.
  std::vector<RunPaths::Rule> rules;
  const auto add = [&](const char* name, const google::protobuf::RepeatedPtrField<v1::Document>& documents) {
    for (int i = 0; i < documents.size(); ++i) {
      rules.push_back({std::regex(absl::StrCat("run\\.documents\\[", run.documents_size(), "\\]")),
                       absl::StrCat(name, "[", i, "]")});
      *run.add_documents() = documents.Get(i);
    }
  };
  add("positive", request.positive());
  add("negative", request.negative());
  add("documents", request.documents());
  if (request.documents().empty()) return InvalidField("documents", "none, expected at least one");
  const int32_t first = request.positive_size() + request.negative_size();
  RETURN_IF_ERROR(AddMetric(request.metric(), first, request.documents_size(), run));
  v1::Read& read = AddReadOf(0, run.documents_size(), run);
  read.mutable_activation()->set_hook_point(request.hook_point());
  *read.mutable_positions() = request.positions();
  if (!request.has_positions() && request.hook_point().rfind("heads.", 0) != 0) read.mutable_positions()->set_cls(true);
  rules.push_back({std::regex("run\\.reads\\[1\\]\\.activation\\.hook_point"), "hook_point"});
  rules.push_back({std::regex("run\\.reads\\[1\\]\\.positions"), "positions"});
  constructed.paths = Paths(std::move(rules));
  return absl::OkStatus();
}

void Analyse(const v1::TestConceptRequest& request, const Plan& plan, const Transformer& model,
             const ExecuteOptions& options, v1::TestConceptResponse& response) {
  const lifescope::Read& place = plan.run.reads.at(kFirstPlaceRead);
  const HookPoint& point = std::get<lifescope::ActivationRead>(place.kind).hook_point;
  const auto positives = static_cast<int64_t>(request.positive_size());
  const auto fitted = positives + request.negative_size();
  // The mean activation of each life that the direction is fitted on.
  lifescope::Run run = plan.run;
  run.reads = {place};
  run.reads[0].documents.clear();
  run.documents.resize(static_cast<size_t>(fitted));
  std::vector<at::Tensor> lives;
  for (const DocumentResult& document : Execute(run, model, options).clean) {
    lives.push_back(std::get<at::Tensor>(document.values.at(0).value).flatten(1).to(at::kDouble).mean(0));
  }
  const at::Tensor rows = at::stack(lives);
  const lifescope::Metric metric = PlannedMetric(request.metric(), plan);
  std::vector<at::Tensor> gradients;
  for (size_t d = static_cast<size_t>(fitted); d < plan.run.documents.size(); ++d) {
    const Document& document = plan.run.documents[d];
    const at::Tensor gradient =
        GradientsAt(document, metric, model, {point}, OptionsOf(plan, options)).gradients[0].flatten(1);
    const std::vector<int64_t> positions = ResolveRows(point, place.positions, document, "positions");
    const at::Tensor index = at::tensor(positions, at::kLong).to(gradient.device());
    gradients.push_back(gradient.index_select(0, index).to(at::kDouble).sum(0));
  }
  ConceptActivationOptions asked;
  asked.random_count = OrDefault(request.random_count(), asked.random_count);
  asked.seed = request.seed();
  asked.cancelled = options.cancelled;
  const ConceptActivation found =
      MeasureConceptActivation(rows.slice(0, 0, positives), rows.slice(0, positives), at::stack(gradients), asked);
  response.set_accuracy(found.accuracy);
  response.set_sign_count(found.sign_count);
  response.set_magnitude(found.magnitude);
  response.mutable_random_sign_counts()->Add(found.random_sign_counts.begin(), found.random_sign_counts.end());
  response.set_p_value(found.p_value);
  ToMessage(found.direction, *response.mutable_direction());
}

}  // namespace lifescope
