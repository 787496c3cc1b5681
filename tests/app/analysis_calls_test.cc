// Attribute, FindCircuit and TestConcept against a real model and a real database.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "server/app/app.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::vector<double> Doubles(const v1::Tensor& tensor) {
  EXPECT_EQ(tensor.data_type(), v1::DATA_TYPE_FLOAT64);
  std::vector<double> values(tensor.data().size() / sizeof(double));
  std::memcpy(values.data(), tensor.data().data(), tensor.data().size());
  return values;
}
double Sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

template <typename Request, typename Response>
absl::Status Ask(const TinyApp& tiny, absl::Status (App::*method)(const Request&, CallContext&, Response&),
                 const Request& request, Response& response) {
  CallContext call;
  return (tiny.app.get()->*method)(request, call, response);
}

// The tokens of the tiny patch's metric, at its position.
v1::Metric TinyMetric() {
  const v1::PatchMetric patch = TinyPatch().metric();
  v1::Metric metric;
  metric.mutable_logit_difference()->set_position(patch.position());
  metric.mutable_logit_difference()->set_token_a(patch.token_a());
  metric.mutable_logit_difference()->set_token_b(patch.token_b());
  return metric;
}

v1::AttributeRequest TinyAttribution() {
  v1::AttributeRequest request;
  *request.mutable_document() = TinyPerson(0);
  *request.mutable_metric() = TinyMetric();
  request.mutable_features();
  request.set_exact_count(20);
  request.set_precision(v1::PRECISION_FLOAT64);
  return request;
}

TEST(AnalysisCalls, AttributionAddsUpAndIsStored) {
  const TinyApp tiny;
  v1::AttributeRequest request = TinyAttribution();
  request.set_rule(v1::GRADIENT_RULE_INTEGRATED_TRAPEZOID);
  request.set_steps(50);
  v1::AttributeResponse response;
  const absl::Status status = Ask(tiny, &App::Attribute, request, response);
  ASSERT_TRUE(status.ok()) << status;
  const std::vector<double> positions = Doubles(response.position_effects());
  EXPECT_EQ(positions.size(), static_cast<size_t>(TinyPersonLength(0)));
  EXPECT_NEAR(Sum(positions), Sum(Doubles(response.unit_effects())) + response.error_effect(), 1e-9);
  EXPECT_NEAR(Sum(positions), response.metric_baseline() - response.metric() + response.completeness_residual(), 1e-9);
  EXPECT_LT(std::abs(response.completeness_residual()),
            0.05 * std::abs(response.metric_baseline() - response.metric()));
  EXPECT_LE(response.nodes_size(), 50);
  for (int i = 1; i < response.nodes_size(); ++i) {
    EXPECT_GE(std::abs(response.nodes(i - 1).effect()), std::abs(response.nodes(i).effect()));
  }
  ASSERT_EQ(response.checked_size(), 20);
  EXPECT_TRUE(response.has_exact_correlation());
  v1::GetRunRequest get;
  get.set_run_id(response.run_id());
  v1::GetRunResponse stored;
  ASSERT_TRUE(tiny.app->GetRun(get, stored).ok());
  EXPECT_EQ(stored.summary().kind(), v1::RUN_KIND_ATTRIBUTE);
  EXPECT_EQ(stored.attribute_response().SerializeAsString(), response.SerializeAsString());
}

TEST(AnalysisCalls, HeadsAreNodes) {
  const TinyApp tiny;
  v1::AttributeRequest request = TinyAttribution();
  request.mutable_activation()->set_hook_point("blocks.0.attn.hook_z");
  request.mutable_activation()->set_unit(v1::ACTIVATION_UNIT_HEAD);
  request.set_exact_count(-1);
  v1::AttributeResponse response;
  const absl::Status status = Ask(tiny, &App::Attribute, request, response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_NEAR(Sum(Doubles(response.position_effects())), Sum(Doubles(response.unit_effects())), 1e-9);
  EXPECT_EQ(response.checked_size(), 0);
  EXPECT_FALSE(response.has_error_effect());
}

TEST(AnalysisCalls, ClassProbabilitiesAreExplained) {
  const TinyApp tiny;
  v1::AttributeRequest request = TinyAttribution();
  request.mutable_activation()->set_hook_point("hook_embed");
  request.mutable_metric()->mutable_class_probability()->set_class_name("no such class");
  v1::AttributeResponse response;
  absl::Status status = Ask(tiny, &App::Attribute, request, response);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()),
              StartsWith("metric.class_probability.class_name: 'no such class', expected one of "));
  const std::string known(status.message());
  const size_t begin = known.find("expected one of ") + 16;
  request.mutable_metric()->mutable_class_probability()->set_class_name(
      known.substr(begin, known.find(',', begin) - begin));
  status = Ask(tiny, &App::Attribute, request, response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_GT(response.metric(), 0);
  EXPECT_LT(response.metric(), 1);
  EXPECT_EQ(response.provenance().head_digests_size(), 1);
}

TEST(AnalysisCalls, FaultsAreNamedByTheRequestsOwnFields) {
  const TinyApp tiny;
  const auto message = [&](const v1::AttributeRequest& request) {
    v1::AttributeResponse response;
    return std::string(Ask(tiny, &App::Attribute, request, response).message());
  };
  v1::AttributeRequest request = TinyAttribution();
  request.clear_metric();
  EXPECT_THAT(message(request), StartsWith("metric.kind: not set"));
  request = TinyAttribution();
  request.mutable_metric()->mutable_logit_difference()->set_token_b("NONE");
  EXPECT_THAT(message(request), StartsWith("metric.logit_difference.token_b: no token 'NONE'"));
  request = TinyAttribution();
  request.mutable_metric()->mutable_logit_difference()->set_position(4000);
  EXPECT_THAT(message(request), StartsWith("metric.position: 4000"));
  request = TinyAttribution();
  request.clear_nodes();
  EXPECT_THAT(message(request), StartsWith("nodes: not set"));
  request = TinyAttribution();
  request.mutable_activation()->set_hook_point("blocks.0.hook_nothing");
  EXPECT_THAT(message(request), StartsWith("activation.hook_point: "));
  request = TinyAttribution();
  *request.mutable_baseline()->mutable_document() = TinyPerson(1);
  EXPECT_THAT(message(request), StartsWith("baseline.document: "));
  request = TinyAttribution();
  request.set_steps(100000);
  EXPECT_THAT(message(request), StartsWith("steps: 100000, expected 0 to 1000"));
}

TEST(AnalysisCalls, ACircuitNeedsAnOrder) {
  const TinyApp tiny;
  v1::FindCircuitRequest request;
  *request.mutable_document() = TinyPerson(0);
  *request.mutable_metric() = TinyMetric();
  v1::FindCircuitResponse response;
  const absl::Status status = Ask(tiny, &App::FindCircuit, request, response);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected a hook point before the downstream"));
}

TEST(AnalysisCalls, ConceptsAreTestedOnTheResidualStreamAndThePersonSummary) {
  const TinyApp tiny;
  v1::TestConceptRequest request;
  for (int i = 0; i < 6; ++i) {
    *request.add_positive() = TinyPerson(i);
    *request.add_negative() = TinyPerson(10 + i);
    *request.add_documents() = TinyPerson(20 + i);
  }
  *request.mutable_metric() = TinyMetric();
  request.mutable_metric()->mutable_logit_difference()->set_position(1);
  request.set_hook_point(kTinyHook);
  v1::TestConceptResponse response;
  absl::Status status = Ask(tiny, &App::TestConcept, request, response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.random_sign_counts_size(), 50);
  EXPECT_NEAR(response.sign_count() * 6, std::round(response.sign_count() * 6), 1e-9);
  EXPECT_EQ(response.direction().shape(0), 16);

  request.set_hook_point("heads.tiny_head.hook_person_summary");
  status = Ask(tiny, &App::TestConcept, request, response);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is not passed by the run of the metric"));
  v1::AttributeRequest probe;
  *probe.mutable_document() = TinyPerson(0);
  probe.mutable_activation()->set_hook_point("hook_embed");
  probe.mutable_metric()->mutable_class_probability();
  v1::AttributeResponse refused;
  const std::string known(Ask(tiny, &App::Attribute, probe, refused).message());
  const size_t begin = known.find("expected one of ") + 16;
  request.mutable_metric()->mutable_class_probability()->set_class_name(
      known.substr(begin, known.find(',', begin) - begin));
  status = Ask(tiny, &App::TestConcept, request, response);
  ASSERT_TRUE(status.ok()) << status;

  request.mutable_positive()->DeleteSubrange(0, 4);
  status = Ask(tiny, &App::TestConcept, request, response);
  EXPECT_THAT(std::string(status.message()), StartsWith("positive: 2 lives, expected at least 4"));
}

}  // namespace
}  // namespace lifescope
