// What a request says of itself: identity, paths, unknown fields.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "lifescope/v1/run_service.pb.h"
#include "server/app/field_path.h"
#include "server/app/identity.h"
#include "server/app/unknown_fields.h"

namespace lifescope {
namespace {

TEST(Identity, UuidsAreVersionFourAndDistinct) {
  const std::regex pattern("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = NewUuid();
    EXPECT_TRUE(std::regex_match(uuid, pattern)) << uuid;
    EXPECT_TRUE(seen.insert(uuid).second) << uuid << " twice";
  }
}

TEST(Identity, BytesOfAMessageReadBack) {
  v1::EncodeRequest request;
  request.set_request_id("a");
  request.add_documents()->mutable_person()->set_person_id(5);
  v1::EncodeRequest copy;
  ASSERT_TRUE(copy.ParseFromString(DeterministicBytes(request)));
  EXPECT_EQ(DeterministicBytes(copy), DeterministicBytes(request));
  copy.set_n_slots(3);
  EXPECT_NE(DeterministicBytes(copy), DeterministicBytes(request));
}

TEST(Identity, PlainTextIsShortAndWithoutControlCharacters) {
  EXPECT_TRUE(CheckPlainText("request_id", "Überraschung 7").ok());
  EXPECT_TRUE(CheckPlainText("request_id", std::string(128, 'a')).ok());
  const absl::Status too_long = CheckPlainText("request_id", std::string(129, 'a'));
  EXPECT_EQ(too_long.message(), "request_id: 129 bytes, expected at most 128");
  EXPECT_TRUE(absl::IsInvalidArgument(CheckPlainText("request_id", std::string("a\0b", 3))));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckPlainText("request_id", "a\nb")));
}

TEST(FieldPath, EnginePathsBecomePathsOfTheRequest) {
  RunPaths paths;
  paths.documents = {"clean", "corrupted"};
  paths.rules = {{std::regex("run\\.interventions\\[(\\d+)\\]\\.edits\\[0\\]"), "targets[$1]"},
                 {std::regex("run\\."), ""}};
  const auto renamed = [&](const char* message) {
    return std::string(RenamePaths(absl::InvalidArgumentError(message), paths).message());
  };
  EXPECT_EQ(renamed("interventions[2].edits[0].features.features[1]: 9, expected less"),
            "targets[2].features.features[1]: 9, expected less");
  EXPECT_EQ(renamed("documents[1]: 9 positions"), "corrupted: 9 positions");
  EXPECT_EQ(renamed("run.documents[0].person.corpus: no corpus 'x'"), "clean.person.corpus: no corpus 'x'");
  EXPECT_EQ(renamed("n_slots: 9, the length of documents[1]"), "n_slots: 9, the length of corrupted");
  EXPECT_EQ(renamed("the disk is full: run.documents"), "the disk is full: run.documents");
  EXPECT_EQ(renamed("no path at all"), "no path at all");
}

TEST(FieldPath, ARunKeepsItsPrefix) {
  EXPECT_EQ(RenamePaths(absl::OutOfRangeError("reads[0].positions.indices[0]: 9"), {}),
            absl::OutOfRangeError("run.reads[0].positions.indices[0]: 9"));
}

TEST(UnknownFields, AreRefusedWithTheirPlace) {
  v1::RunRequest request;
  request.mutable_run()->add_documents();
  request.mutable_run()->add_reads()->mutable_sop_logits();
  EXPECT_TRUE(CheckNoUnknownFields(request).ok());
  v1::Read& read = *request.mutable_run()->mutable_reads(0);
  read.GetReflection()->MutableUnknownFields(&read)->AddVarint(99, 1);
  EXPECT_EQ(CheckNoUnknownFields(request),
            absl::InvalidArgumentError("run.reads[0]: has field number 99 that this server does not know"));
}

}  // namespace
}  // namespace lifescope
