// What the process tells its caller: exit codes, errors and retries, against a server on a socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/fake_server.h"
#include "tests/client/temporary_file.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

grpc::Status Refused(grpc::StatusCode code, const std::string& message) { return grpc::Status(code, message); }

TEST(ExitCodeTest, AnAnswerIsZero) {
  FakeServer server;
  const Outcome outcome = Invoke({"status"}, server.address());
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("demo-sae"));
}

TEST(ExitCodeTest, ARefusalIsOneWithCodeMessageAndNextMove) {
  FakeServer server;
  const Outcome outcome = Invoke({"models", "nosuch"}, server.address());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("NOT_FOUND: no model 'nosuch'"), HasSubstr("next: `lifescope models`")));
}

TEST(ExitCodeTest, WrongArgumentsAreTwoAndAskNoServer) {
  FakeServer server;
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"nosuch"},
      {"encode"},
      {"encode", "--person", "x"},
      {"encode", "--person", "17", "--life", "life.json"},
      {"encode", "--person", "17", "--at", "nowhere"},
      {"encode", "--person", "17", "--nosuch"},
      {"encode", "--life", "/nonexistent.json"},
      {"status", "--output", "yaml"},
      {"status", "--timeout", "-1"},
      {"ablate", "--person", "17"},
      {"ablate", "--person", "17,18", "--features", "3"},
      {"ablate", "--person", "17", "--features", "3", "--kind", "set"},
      {"ablate", "--person", "17", "--features", "3", "--value", "2"},
      {"patch", "--clean-person", "17", "--corrupted-person", "18", "--metric-at", "4", "--tokens", "A,B"},
      {"patch", "--clean-person", "17", "--corrupted-person", "18", "--metric-at", "4", "--tokens", "A", "--hook", "h"},
      {"patch", "--clean-person", "17", "--corrupted-person", "18", "--metric-at", "4", "--tokens", "A,B", "--head",
       "1"},
      {"top"},
      {"top", "-5"},
      {"run", "/nonexistent.json"},
      {"document"},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    const Outcome outcome = Invoke(arguments, server.address());
    EXPECT_EQ(outcome.exit_code, 2) << testing::PrintToString(arguments);
    EXPECT_THAT(outcome.err, AllOf(HasSubstr("lifescope: "), HasSubstr("--help"))) << testing::PrintToString(arguments);
  }
  EXPECT_THAT(server.methods, IsEmpty());
}

TEST(ExitCodeTest, AnUnknownFieldOfAPlanIsTwoAndNamed) {
  FakeServer server;
  const TemporaryFile plan(R"({"reeds": []})", "plan.json");
  const Outcome outcome = Invoke({"run", plan.path()}, server.address());
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("unknown field 'reeds'"));
  EXPECT_THAT(server.methods, IsEmpty());
}

TEST(ExitCodeTest, NoServerIsThreeAndSaysHowToStartOne) {
  FakeServer server;
  const std::string address = server.address();
  server.Stop();
  const Outcome outcome = Invoke({"encode", "--person", "17"}, address);
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr(address), HasSubstr("lifescoped serve"), HasSubstr("LIFESCOPE_SERVER")));
}

TEST(ExitCodeTest, HelpAndVersionAreZeroForEveryVerb) {
  EXPECT_EQ(Invoke({"--help"}, "").exit_code, 0);
  EXPECT_THAT(Invoke({"--version"}, "").out, HasSubstr("lifescope "));
  for (const char* verb : {"status", "models", "dictionaries", "corpora", "document", "encode", "ablate", "patch",
                           "features", "feature", "top", "run", "runs"}) {
    const Outcome outcome = Invoke({verb, "--help"}, "");
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.out, HasSubstr(std::string("lifescope ") + verb)) << "an example of " << verb;
  }
}

TEST(ExitCodeTest, AResultThatCannotBeWrittenIsOneAndNamesTheStoredRun) {
  FakeServer server;
  const TemporaryFile plan(R"({"reads": [{"kl_to_clean": {}}]})", "plan.json");
  const Outcome outcome = Invoke({"run", plan.path(), "--out", "/nonexistent/x.safetensors"}, server.address());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("/nonexistent/x.safetensors"), HasSubstr("5b0c6d0c")));
}

TEST(RetryTest, AFullServerIsAskedAgainWithTheSameRequestId) {
  FakeServer server;
  server.refusals = {{Refused(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full"), "1"},
                     {Refused(grpc::StatusCode::UNAVAILABLE, "the database is down"), "1"}};
  const Outcome outcome = Invoke({"encode", "--person", "17", "--no-text"}, server.address());
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  ASSERT_EQ(server.request_ids.size(), 3);
  EXPECT_THAT(server.request_ids, Each(server.request_ids.front()));
  EXPECT_EQ(server.request_ids.front().size(), 36);
}

TEST(RetryTest, TwoInvocationsHaveTwoRequestIds) {
  FakeServer server;
  Invoke({"encode", "--person", "17", "--no-text"}, server.address());
  Invoke({"encode", "--person", "17", "--no-text"}, server.address());
  ASSERT_EQ(server.request_ids.size(), 2);
  EXPECT_NE(server.request_ids[0], server.request_ids[1]);
}

TEST(RetryTest, WithoutAPushbackAnExhaustedServerIsNotAskedAgain) {
  FakeServer server;
  server.refusals = {{Refused(grpc::StatusCode::RESOURCE_EXHAUSTED, "the answer is over 64 MiB"), ""}};
  const Outcome outcome = Invoke({"encode", "--person", "17"}, server.address());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("RESOURCE_EXHAUSTED: the answer is over 64 MiB"));
  EXPECT_THAT(server.methods, ElementsAre("Encode"));
}

TEST(RetryTest, AServerThatStaysUnavailableIsARefusal) {
  FakeServer server;
  for (int attempt = 0; attempt < 5; ++attempt) {
    server.refusals.push_back({Refused(grpc::StatusCode::UNAVAILABLE, "the server drains"), "1"});
  }
  const Outcome outcome = Invoke({"encode", "--person", "17"}, server.address());
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("UNAVAILABLE: the server drains"));
  EXPECT_EQ(server.methods.size(), 5);
}

TEST(RetryTest, APushbackBeyondTheTimeoutIsNotWaitedFor) {
  FakeServer server;
  server.refusals = {{Refused(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full"), "600000"}};
  EXPECT_EQ(Invoke({"encode", "--person", "17", "--timeout", "30"}, server.address()).exit_code, 1);
}

TEST(PrincipalTest, EveryCallSaysWhoAsks) {
  FakeServer server;
  Invoke({"encode", "--person", "17"}, server.address());
  EXPECT_THAT(server.principals, ElementsAre("ada", "ada"));
}

}  // namespace
}  // namespace lifescope
