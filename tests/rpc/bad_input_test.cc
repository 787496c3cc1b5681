// Bad input: a code, a message that names the thing, what was found and what was expected, and a server that serves on.
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "tests/rpc/rpc_fixture.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

const TinyServer& Server() {
  static const TinyServer server;
  return server;
}

// Asks with a request and gives what came back.
using Ask = std::function<grpc::Status(grpc::ClientContext&)>;

Ask AskRun(const std::function<void(v1::Run&)>& spoil) {
  return [spoil](grpc::ClientContext& context) {
    v1::RunRequest request = TinyRun();
    spoil(*request.mutable_run());
    v1::RunResponse response;
    return Server().runs->Run(&context, request, &response);
  };
}

Ask AskEncode(const std::function<void(v1::EncodeRequest&)>& spoil) {
  return [spoil](grpc::ClientContext& context) {
    v1::EncodeRequest request = TinyEncode();
    spoil(request);
    v1::EncodeResponse response;
    return Server().runs->Encode(&context, request, &response);
  };
}

Ask AskAblation(const std::function<void(v1::AblateFeaturesRequest&)>& spoil) {
  return [spoil](grpc::ClientContext& context) {
    v1::AblateFeaturesRequest request = TinyAblation();
    spoil(request);
    v1::AblateFeaturesResponse response;
    return Server().runs->AblateFeatures(&context, request, &response);
  };
}

Ask AskPatch(const std::function<void(v1::PatchActivationsRequest&)>& spoil) {
  return [spoil](grpc::ClientContext& context) {
    v1::PatchActivationsRequest request = TinyPatch();
    spoil(request);
    v1::PatchActivationsResponse response;
    return Server().runs->PatchActivations(&context, request, &response);
  };
}

struct BadInput {
  const char* name;
  Ask ask;
  grpc::StatusCode code;
  // Start of the message.
  std::string message;
};

class BadInputTest : public testing::TestWithParam<BadInput> {};

TEST_P(BadInputTest, IsNamedAndTheServerServesOn) {
  const int64_t stored = Server().tiny.StoredRunCount();
  grpc::ClientContext context;
  const grpc::Status status = GetParam().ask(context);
  EXPECT_EQ(status.error_code(), GetParam().code) << status.error_message();
  EXPECT_EQ(status.error_message().substr(0, GetParam().message.size()), GetParam().message) << status.error_message();
  EXPECT_EQ(Server().tiny.StoredRunCount(), stored) << "a failed run was stored";
  grpc::ClientContext next;
  v1::EncodeResponse response;
  EXPECT_TRUE(Server().runs->Encode(&next, TinyEncode(), &response).ok());
}

v1::Edit& FirstEdit(v1::Run& run) { return *run.mutable_interventions(0)->mutable_edits(0); }

void AddLongDocument(v1::Run& run) {
  v1::InlineSlots& slots = *run.add_documents()->mutable_slots();
  for (int i = 0; i < kTinyMaxLength + 1; ++i) {
    slots.add_tokens(12);
    slots.add_abspos(0);
    slots.add_ages(0);
    slots.add_segments(1);
  }
}

// [CLS] [UNK] [SEP].
v1::Document ShortLife() {
  v1::Document document;
  document.mutable_life()->add_background("[UNK]");
  return document;
}

constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;
constexpr auto kRange = grpc::StatusCode::OUT_OF_RANGE;
constexpr auto kMissing = grpc::StatusCode::NOT_FOUND;

const char* Name(const testing::TestParamInfo<BadInput>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Run, BadInputTest,
    testing::Values(
        BadInput{"NoRun",
                 [](grpc::ClientContext& context) {
                   v1::RunResponse response;
                   return Server().runs->Run(&context, v1::RunRequest(), &response);
                 },
                 kInvalid, "run: not set"},
        BadInput{"NoDocuments", AskRun([](v1::Run& r) { r.clear_documents(); }), kInvalid, "run.documents: none"},
        BadInput{"NoReads", AskRun([](v1::Run& r) { r.clear_reads(); }), kInvalid, "run.reads: none"},
        BadInput{"NoEdits", AskRun([](v1::Run& r) { r.mutable_interventions(0)->clear_edits(); }), kInvalid,
                 "run.interventions[0].edits: none"},
        BadInput{"TokenIdOutsideTheVocabulary", AskRun([](v1::Run& r) {
                   AddLongDocument(r);
                   r.mutable_documents(2)->mutable_slots()->set_tokens(7, 123456);
                 }),
                 kRange, "run.documents[2].slots.tokens[7]: 123456, expected 0 <= token < "},
        BadInput{"DocumentLongerThanTheModel", AskRun([](v1::Run& r) { AddLongDocument(r); }), kInvalid,
                 "run.documents[2]: 129 positions, expected at most n_slots = 128"},
        BadInput{"SlotsBeyondTheModel", AskRun([](v1::Run& r) { r.set_n_slots(4096); }), kInvalid,
                 "run.n_slots: 4096, expected 0 (the model's max_length) to 128"},
        BadInput{"EmptyDocument", AskRun([](v1::Run& r) { r.add_documents(); }), kInvalid,
                 "run.documents[2]: empty, expected person, life or slots"},
        BadInput{"UnknownHookPoint",
                 AskRun([](v1::Run& r) { r.mutable_reads(0)->mutable_activation()->set_hook_point("blocks.0.mlp"); }),
                 kInvalid, "run.reads[0].activation.hook_point: "},
        BadInput{"HookPointOfAnotherModel", AskRun([](v1::Run& r) {
                   r.mutable_reads(0)->mutable_activation()->set_hook_point("blocks.7.hook_resid_post");
                 }),
                 kInvalid, "run.reads[0].activation.hook_point: "},
        BadInput{"FeatureOutsideTheDictionary",
                 AskRun([](v1::Run& r) { FirstEdit(r).mutable_features()->add_features(9000); }), kRange,
                 "run.interventions[0].edits[0].features.features[1]: 9000, expected 0 <= feature < 24"},
        BadInput{"HeadOutsideTheModel", AskRun([](v1::Run& r) { FirstEdit(r).mutable_head()->set_head(4); }), kRange,
                 "run.interventions[0].edits[0].head.head: 4, expected 0 <= head < 4"},
        BadInput{"NanValue", AskRun([](v1::Run& r) { FirstEdit(r).mutable_set()->add_values(kNan); }), kInvalid,
                 "run.interventions[0].edits[0].set.values[0]: nan, expected a finite number"},
        BadInput{"InfiniteFactor", AskRun([](v1::Run& r) { FirstEdit(r).mutable_scale()->set_factor(kInfinity); }),
                 kInvalid, "run.interventions[0].edits[0].scale.factor: inf, expected a finite number"},
        BadInput{"WrongNumberOfValues", AskRun([](v1::Run& r) {
                   for (int i = 0; i < 5; ++i) FirstEdit(r).mutable_add()->add_values(1);
                 }),
                 kInvalid, "run.interventions[0].edits[0].add.values: 5 values, expected 1 or 1"},
        BadInput{"PositionOutsideTheDocument",
                 AskRun([](v1::Run& r) { r.mutable_reads(1)->mutable_positions()->add_indices(127); }), kRange,
                 "run.reads[1].positions.indices[0]: 127, expected 0 <= position < "},
        BadInput{"DonorOutsideTheRun", AskRun([](v1::Run& r) { FirstEdit(r).mutable_donor()->set_document(2); }),
                 kRange, "run.interventions[0].edits[0].donor.document: 2, expected 0 <= document < 2"},
        BadInput{"UnknownModel", AskRun([](v1::Run& r) { r.set_model("gpt"); }), kMissing,
                 "run.model: no model 'gpt'; there are: tiny"},
        BadInput{"UnknownField",
                 AskRun([](v1::Run& r) { r.GetReflection()->MutableUnknownFields(&r)->AddVarint(77, 1); }), kInvalid,
                 "run: has field number 77 that this server does not know"}),
    Name);

INSTANTIATE_TEST_SUITE_P(
    Encode, BadInputTest,
    testing::Values(BadInput{"NoDocuments", AskEncode([](v1::EncodeRequest& r) { r.clear_documents(); }), kInvalid,
                             "documents: none, expected at least one"},
                    BadInput{"UnknownPerson", AskEncode([](v1::EncodeRequest& r) {
                               r.mutable_documents(0)->mutable_person()->set_person_id(-7);
                             }),
                             kMissing, "documents[0].person.person_id: no person -7 in corpus 'world'"},
                    BadInput{"UnknownDictionary", AskEncode([](v1::EncodeRequest& r) { r.set_dictionary("x"); }),
                             kMissing, "dictionary: no dictionary 'x'; there are: tiny_sae"},
                    BadInput{"UnknownModel", AskEncode([](v1::EncodeRequest& r) { r.set_model("x"); }), kMissing,
                             "model: no model 'x'; there are: tiny"},
                    BadInput{"Position",
                             AskEncode([](v1::EncodeRequest& r) { r.mutable_positions()->add_indices(-1); }), kRange,
                             "positions.indices[0]: -1, expected 0 <= position < "},
                    BadInput{"Event", AskEncode([](v1::EncodeRequest& r) { r.mutable_positions()->add_events(999); }),
                             kRange, "positions.events[0]: 999, expected 0 <= event <= "},
                    BadInput{"DocumentLongerThanItsSlots", AskEncode([](v1::EncodeRequest& r) { r.set_n_slots(2); }),
                             kInvalid, "documents[0]: "},
                    BadInput{"RequestId", AskEncode([](v1::EncodeRequest& r) { r.set_request_id("a\nb"); }), kInvalid,
                             "request_id: has a control character"}),
    Name);

INSTANTIATE_TEST_SUITE_P(
    Ablate, BadInputTest,
    testing::Values(
        BadInput{"NoDocument", AskAblation([](v1::AblateFeaturesRequest& r) { r.clear_document(); }), kInvalid,
                 "document: empty, expected person, life or slots"},
        BadInput{"NoFeatures", AskAblation([](v1::AblateFeaturesRequest& r) { r.clear_features(); }), kInvalid,
                 "features: none, expected at least one"},
        BadInput{"Feature", AskAblation([](v1::AblateFeaturesRequest& r) { r.add_features(9000); }), kRange,
                 "features[2]: 9000, expected 0 <= feature < 24"},
        BadInput{"FeatureOfManyRuns", AskAblation([](v1::AblateFeaturesRequest& r) {
                   r.add_features(9000);
                   r.set_each_separately(true);
                 }),
                 kRange, "features[2]: 9000, expected 0 <= feature < 24"},
        BadInput{"Kind",
                 AskAblation([](v1::AblateFeaturesRequest& r) { r.set_kind(static_cast<v1::AblationKind>(9)); }),
                 kInvalid, "kind: 9, expected ZERO, MEAN, SET or SCALE"},
        BadInput{"NanValue", AskAblation([](v1::AblateFeaturesRequest& r) {
                   r.set_kind(v1::ABLATION_KIND_SET);
                   r.set_value(kNan);
                 }),
                 kInvalid, "value: nan, expected a finite number"},
        BadInput{"InfiniteScale", AskAblation([](v1::AblateFeaturesRequest& r) {
                   r.set_kind(v1::ABLATION_KIND_SCALE);
                   r.set_value(kInfinity);
                 }),
                 kInvalid, "value: inf, expected a finite number"},
        BadInput{"ValueOfZero", AskAblation([](v1::AblateFeaturesRequest& r) { r.set_value(2); }), kInvalid,
                 "value: 2, expected none"},
        BadInput{"ErrorMode",
                 AskAblation([](v1::AblateFeaturesRequest& r) { r.set_error_mode(static_cast<v1::ErrorMode>(9)); }),
                 kInvalid, "error_mode: 9, expected DELTA or REPLACE"},
        BadInput{"Positions", AskAblation([](v1::AblateFeaturesRequest& r) { r.mutable_positions()->add_events(999); }),
                 kRange, "positions.events[0]: 999, expected 0 <= event <= "},
        BadInput{"ReadPositions",
                 AskAblation([](v1::AblateFeaturesRequest& r) { r.mutable_read_positions()->add_indices(127); }),
                 kRange, "read_positions.indices[0]: 127, expected 0 <= position < "},
        BadInput{"MaskPosition",
                 AskAblation([](v1::AblateFeaturesRequest& r) { r.mutable_document()->add_mask_positions(500); }),
                 kRange, "document.mask_positions[1]: 500, expected 0 <= position < "},
        BadInput{"TopTokens", AskAblation([](v1::AblateFeaturesRequest& r) { r.set_top_tokens(101); }), kInvalid,
                 "top_tokens: 101, expected 0 (10) to 100"}),
    Name);

INSTANTIATE_TEST_SUITE_P(
    Patch, BadInputTest,
    testing::Values(
        BadInput{"Direction", AskPatch([](v1::PatchActivationsRequest& r) { r.clear_direction(); }), kInvalid,
                 "direction: 0, expected DENOISING or NOISING"},
        BadInput{"NoTargets", AskPatch([](v1::PatchActivationsRequest& r) { r.clear_targets(); }), kInvalid,
                 "targets: none, expected at least one"},
        BadInput{"NoMetric", AskPatch([](v1::PatchActivationsRequest& r) { r.clear_metric(); }), kInvalid,
                 "metric: not set"},
        BadInput{"TargetNotSet", AskPatch([](v1::PatchActivationsRequest& r) { r.add_targets(); }), kInvalid,
                 "targets[1].target: not set"},
        BadInput{"Corrupted", AskPatch([](v1::PatchActivationsRequest& r) {
                   r.mutable_corrupted()->mutable_person()->set_corpus("x");
                 }),
                 kMissing, "corrupted.person.corpus: no corpus 'x'"},
        BadInput{"Clean", AskPatch([](v1::PatchActivationsRequest& r) { r.mutable_clean()->mutable_life(); }), kInvalid,
                 "clean.life: empty"},
        BadInput{"MetricPosition",
                 AskPatch([](v1::PatchActivationsRequest& r) { r.mutable_metric()->set_position(127); }), kRange,
                 "metric.position: 127, expected 0 <= position < "},
        BadInput{"MetricToken", AskPatch([](v1::PatchActivationsRequest& r) { r.mutable_metric()->set_token_b("x"); }),
                 kInvalid, "metric.token_b: no token 'x'"},
        BadInput{"HookPoint", AskPatch([](v1::PatchActivationsRequest& r) {
                   r.mutable_targets(0)->mutable_activation()->set_hook_point("blocks.5.hook_resid_post");
                 }),
                 kInvalid, "targets[0].activation.hook_point: "},
        BadInput{"Neuron",
                 AskPatch([](v1::PatchActivationsRequest& r) { r.add_targets()->mutable_neurons()->add_neurons(32); }),
                 kRange, "targets[1].neurons.neurons[0]: 32, expected 0 <= neuron < 32"},
        BadInput{"Position", AskPatch([](v1::PatchActivationsRequest& r) {
                   r.mutable_targets(0)->mutable_positions()->add_indices(999);
                 }),
                 kRange, "targets[0].positions.indices[1]: 999, expected 0 <= position < "},
        BadInput{"PositionThatTheDonorLacks", AskPatch([](v1::PatchActivationsRequest& r) {
                   *r.mutable_clean() = ShortLife();
                   r.mutable_targets(0)->mutable_positions()->set_indices(0, 6);
                   r.mutable_metric()->set_position(1);
                 }),
                 kRange, "targets[0].positions: clean has 3 positions"}),
    Name);

TEST(BadBytes, AreAnErrorAndTheServerServesOn) {
  const grpc::Status status = Server().CallRaw("/lifescope.v1.RunService/Run", "\xff\xff\xff not a message");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Server().Health("lifescope.v1"), kServing);
}

TEST(MessageLimit, ABiggerRequestIsRefusedWithBothSizes) {
  AppOptions options = TinyApp::SmallOptions();
  options.max_message_bytes = 1 << 20;
  const TinyServer server(options);
  const grpc::Status status = server.CallRaw("/lifescope.v1.RunService/Run", std::string(2 << 20, 'a'));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(status.error_message().find("2097152 vs. 1048576"), std::string::npos) << status.error_message();
  EXPECT_EQ(server.Health("lifescope.v1"), kServing);
}

TEST(MessageLimit, AVeryLongErrorStillArrives) {
  grpc::ClientContext context;
  const grpc::Status status = AskRun([](v1::Run& run) { run.set_model(std::string(20'000, 'm')); })(context);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND) << status.error_message();
  EXPECT_EQ(status.error_message().size(), 1024u);
}

}  // namespace
}  // namespace lifescope
