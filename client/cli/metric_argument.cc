#include "client/cli/metric_argument.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace lifescope {

void AddMetricOptions(CLI::App& verb, MetricOptions& options) {
  const char group[] = "The number that is explained";
  verb.add_option("--metric-at", options.position, "Position where the masked-token head is asked")
      ->option_text("POSITION")
      ->check(CLI::NonNegativeNumber)
      ->group(group);
  verb.add_option("--tokens", options.tokens, "logit(A) - logit(B)")->option_text("A,B")->group(group);
  verb.add_option("--token", options.token, "Log-probability of a token")->option_text("TOKEN")->group(group);
  verb.add_option("--class", options.class_name, "Probability of a class by a fine-tuned head")
      ->option_text("CLASS")
      ->group(group);
  verb.add_option("--head", options.head, "The head (default: the model's only one)")
      ->option_text("NAME")
      ->group(group);
  verb.add_option("--target", options.target, "Its target (default: the only one)")->option_text("NAME")->group(group);
}

absl::StatusOr<v1::Metric> ReadMetric(const MetricOptions& options) {
  const int given = !options.tokens.empty() + !options.token.empty() + !options.class_name.empty();
  if (given != 1) return absl::InvalidArgumentError("say what is explained: --tokens A,B or --token T or --class C");
  v1::Metric metric;
  if (!options.class_name.empty()) {
    metric.mutable_class_probability()->set_head(options.head);
    metric.mutable_class_probability()->set_target(options.target);
    metric.mutable_class_probability()->set_class_name(options.class_name);
    return metric;
  }
  if (!options.position) return absl::InvalidArgumentError("--tokens and --token need --metric-at POSITION");
  if (!options.token.empty()) {
    metric.mutable_log_probability()->set_token(options.token);
    metric.mutable_log_probability()->set_position(*options.position);
    return metric;
  }
  const std::vector<std::string> tokens = absl::StrSplit(options.tokens, ',');
  if (tokens.size() != 2 || tokens[0].empty() || tokens[1].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tokens: '", options.tokens, "' is not two tokens such as IND_4662,IND_2110"));
  }
  metric.mutable_logit_difference()->set_token_a(tokens[0]);
  metric.mutable_logit_difference()->set_token_b(tokens[1]);
  metric.mutable_logit_difference()->set_position(*options.position);
  return metric;
}

std::string DescribeMetric(const v1::Metric& metric) {
  switch (metric.kind_case()) {
    case v1::Metric::kLogitDifference:
      return absl::StrCat("logit(", metric.logit_difference().token_a(), ") - logit(",
                          metric.logit_difference().token_b(), ") at position ", metric.logit_difference().position());
    case v1::Metric::kLogProbability:
      return absl::StrCat("log P(", metric.log_probability().token(), ") at position ",
                          metric.log_probability().position());
    case v1::Metric::kClassProbability:
      return absl::StrCat("P(", metric.class_probability().class_name(), ")");
    case v1::Metric::KIND_NOT_SET:
      break;
  }
  return "no metric";
}

void AddBaselineOptions(CLI::App& verb, BaselineOptions& options) {
  const char group[] = "Where the places go (default: zero)";
  AddDocumentSource(verb, options.document, "baseline-", group);
  AddDocumentSource(verb, options.mean, "mean-", group, "IDS");
}

absl::StatusOr<v1::Baseline> ReadBaseline(const BaselineOptions& options, const DocumentOptions& documents) {
  const auto given = [](const DocumentSource& source) { return !source.persons.empty() || !source.lives.empty(); };
  v1::Baseline baseline;
  baseline.mutable_zero();
  if (given(options.document) && given(options.mean)) {
    return absl::InvalidArgumentError("a baseline is one life or the mean of several, not both");
  }
  if (given(options.document)) {
    absl::StatusOr<v1::Document> document = ReadDocument(options.document, documents);
    if (!document.ok()) return document.status();
    *baseline.mutable_document() = *std::move(document);
  }
  if (given(options.mean)) {
    const absl::StatusOr<std::vector<v1::Document>> lives = ReadDocuments(options.mean, documents);
    if (!lives.ok()) return lives.status();
    baseline.mutable_mean()->mutable_documents()->Add(lives->begin(), lives->end());
  }
  return baseline;
}

std::string DescribeBaseline(const v1::Baseline& baseline) {
  if (baseline.has_document()) return DescribeDocument(baseline.document());
  if (baseline.has_mean()) return absl::StrCat("the mean of ", baseline.mean().documents_size(), " lives");
  return "zero";
}

void AddGradientRule(CLI::App& verb, v1::GradientRule& rule, int32_t& steps) {
  const std::vector<std::pair<std::string, v1::GradientRule>> rules = {
      {"at-value", v1::GRADIENT_RULE_AT_VALUE},
      {"at-baseline", v1::GRADIENT_RULE_AT_BASELINE},
      {"left", v1::GRADIENT_RULE_INTEGRATED_LEFT},
      {"midpoint", v1::GRADIENT_RULE_INTEGRATED_MIDPOINT},
      {"trapezoid", v1::GRADIENT_RULE_INTEGRATED_TRAPEZOID}};
  verb.add_option("--rule", rule, "Gradient at one end, or integrated by one of three rules")
      ->transform(CLI::CheckedTransformer(rules))
      ->option_text("at-value|at-baseline|left|midpoint|trapezoid");
  verb.add_option("--steps", steps, "Of integrated gradients (default 10)")->check(CLI::PositiveNumber);
}

}  // namespace lifescope
