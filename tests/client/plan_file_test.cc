#include "client/cli/plan_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/temporary_file.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;

absl::StatusOr<v1::RunRequest> Read(const std::string& text) { return ReadPlanFile(TemporaryFile(text).path()); }

std::string ErrorOf(const std::string& text) {
  const auto request = Read(text);
  EXPECT_TRUE(absl::IsInvalidArgument(request.status())) << text;
  return std::string(request.status().message());
}

TEST(PlanFileTest, ARunIsTakenAsItIs) {
  const auto request = Read(R"({"documents": [{"person": {"person_id": 17}, "mask_positions": [57]}],
      "interventions": [{"name": "off", "edits": [{"features": {"features": [97]}, "zero": {}}]}],
      "reads": [{"klToClean": {}}]})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->request_id(), "");
  EXPECT_EQ(request->run().documents(0).person().person_id(), 17);
  EXPECT_EQ(request->run().interventions(0).edits(0).features().features(0), 97);
  EXPECT_TRUE(request->run().reads(0).has_kl_to_clean());
}

TEST(PlanFileTest, ARunRequestBringsItsId) {
  const auto request = Read(R"({"request_id": "sweep-1", "run": {"reads": [{"klToClean": {}}]}})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->request_id(), "sweep-1");
  EXPECT_EQ(request->run().reads_size(), 1);
}

TEST(PlanFileTest, AnUnknownFieldIsNamedWithItsPathAndWhatIsKnown) {
  EXPECT_THAT(
      ErrorOf(R"({"reads": [{"name": "x"}, {"activation": {"hook_pont": "b"}}]})"),
      AllOf(HasSubstr("input.json: reads[1].activation: unknown field 'hook_pont'"), HasSubstr("known: hook_point")));
  EXPECT_THAT(ErrorOf(R"({"modell": "demo"})"), AllOf(HasSubstr("unknown field 'modell'"), HasSubstr("n_slots")));
  EXPECT_THAT(ErrorOf(R"({"run": {"reads": [{"nome": "x"}]}})"), HasSubstr("run.reads[0]: unknown field 'nome'"));
}

TEST(PlanFileTest, AWrongTypeIsNamedWithItsPath) {
  EXPECT_THAT(ErrorOf(R"({"n_slots": "many"})"), AllOf(HasSubstr("n_slots"), HasSubstr("many")));
  EXPECT_THAT(ErrorOf(R"({"n_slots": 1.5})"), HasSubstr("n_slots"));
  EXPECT_THAT(ErrorOf(R"({"reads": [3]})"), HasSubstr("reads[0]"));
  EXPECT_THAT(ErrorOf(R"({"precision": "FLOAT"})"), HasSubstr("FLOAT"));
}

TEST(PlanFileTest, TwoSourcesOfOneDocumentAreRefused) {
  EXPECT_THAT(ErrorOf(R"({"documents": [{"person": {"person_id": 1}, "life": {}}]})"), HasSubstr("documents[0]"));
}

TEST(PlanFileTest, WhatIsNotJsonIsToldWithItsPlace) {
  EXPECT_THAT(ErrorOf("{\"reads\": [\n  {]}"), AllOf(HasSubstr("input.json: not JSON"), HasSubstr("line 2")));
  EXPECT_THAT(ErrorOf(""), HasSubstr("not JSON"));
  // Protobuf's own parser would take these.
  EXPECT_THAT(ErrorOf("{reads: []}"), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("found array"));
}

TEST(PlanFileTest, AKeyThatOccursTwiceIsRefused) {
  EXPECT_THAT(ErrorOf(R"({"reads": [{"name": "a", "name": "b"}]})"), HasSubstr("'name' occurs twice"));
  EXPECT_TRUE(Read(R"({"reads": [{"name": "a"}, {"name": "b"}]})").ok());
}

TEST(PlanFileTest, AFileThatIsNotThereIsNamed) {
  const auto request = ReadPlanFile("/nonexistent/plan.json");
  EXPECT_TRUE(absl::IsInvalidArgument(request.status()));
  EXPECT_THAT(std::string(request.status().message()), HasSubstr("/nonexistent/plan.json"));
  EXPECT_FALSE(ReadPlanFile("/tmp").ok());
}

}  // namespace
}  // namespace lifescope
