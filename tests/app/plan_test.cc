// Names and documents of a run: what is found, and what each wrong one is told.
#include "server/app/plan.h"

#include <gtest/gtest.h>

#include <limits>

#include "server/app/limits.h"
#include "tests/app/tiny_home.h"

namespace lifescope {
namespace {

const Registry& TinyRegistry() {
  static const Registry registry = Registry::Load(TinyHome(), at::kCPU);
  return registry;
}

v1::Run RunOf(const v1::Document& document) {
  v1::Run run;
  *run.add_documents() = document;
  run.add_reads()->mutable_sop_logits();
  return run;
}

absl::Status StatusOf(const v1::Run& run) { return PlanRun(run, TinyRegistry()).status(); }

// A background token and an event token of the world's vocabulary.
std::string Token(int32_t offset) { return TinyRegistry().Model("").vocabulary->token(kFirstContentToken + offset); }

TEST(Plan, APersonIsTheCorpusDocument) {
  const auto plan = PlanRun(RunOf(TinyPerson(7)), TinyRegistry());
  ASSERT_TRUE(plan.ok()) << plan.status();
  const CorpusArtifact& corpus = TinyRegistry().Corpus("");
  EXPECT_EQ(plan->run.documents.at(0).token, corpus.corpus->DocumentAt(7).token);
  EXPECT_EQ(plan->corpus_digests, std::vector<std::string>{corpus.digest});
  EXPECT_EQ(plan->model, &TinyRegistry().Model("tiny"));
}

TEST(Plan, ACorpusIsListedOnce) {
  v1::Run run = RunOf(TinyPerson(1));
  *run.add_documents() = TinyPerson(2);
  const auto plan = PlanRun(run, TinyRegistry());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->corpus_digests.size(), 1u);
}

TEST(Plan, MaskedPositionsHoldTheMaskToken) {
  v1::Document document = TinyPerson(7);
  document.add_mask_positions(2);
  const auto plan = PlanRun(RunOf(document), TinyRegistry());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->run.documents.at(0).token.at(2), kMask);
  EXPECT_NE(plan->run.documents.at(0).token.at(1), kMask);
}

TEST(Plan, AnInlineLifeIsLaidOutAsLife2vecDoes) {
  v1::Document document;
  v1::InlineLife& life = *document.mutable_life();
  life.add_background(Token(0));
  v1::LifeEvent& event = *life.add_events();
  event.set_abspos(100);
  event.set_age(40);
  event.add_tokens(Token(3));
  const auto plan = PlanRun(RunOf(document), TinyRegistry());
  ASSERT_TRUE(plan.ok()) << plan.status();
  const Document& planned = plan->run.documents.at(0);
  EXPECT_EQ(planned.token, (std::vector<int32_t>{kCls, kFirstContentToken, kSep, kFirstContentToken + 3, kSep}));
  EXPECT_EQ(planned.event, (std::vector<int32_t>{0, 0, 0, 1, 1}));
  EXPECT_TRUE(plan->corpus_digests.empty());
}

TEST(Plan, InlineSlotsAreTakenAsTheyAre) {
  v1::Document document;
  v1::InlineSlots& slots = *document.mutable_slots();
  for (const int32_t token : {kCls, 12, kSep, 13, kSep, 14}) slots.add_tokens(token);
  for (const int32_t abspos : {0, 0, 0, 5, 5, 9}) slots.add_abspos(abspos);
  for (const int32_t age : {0, 0, 0, 30, 30, 31}) slots.add_ages(age);
  for (const int32_t segment : {1, 1, 1, 2, 2, 3}) slots.add_segments(segment);
  const auto plan = PlanRun(RunOf(document), TinyRegistry());
  ASSERT_TRUE(plan.ok()) << plan.status();
  const Document& planned = plan->run.documents.at(0);
  EXPECT_EQ(planned.token, (std::vector<int32_t>{kCls, 12, kSep, 13, kSep, 14}));
  EXPECT_EQ(planned.event, (std::vector<int32_t>{0, 0, 0, 1, 1, 2}));
  EXPECT_EQ(planned.age, (std::vector<int32_t>{0, 0, 0, 30, 30, 31}));
}

TEST(Plan, ADictionaryIsUsedOnce) {
  v1::Run run = TinyRun().run();
  run.add_reads()->mutable_features()->set_dictionary("tiny_sae");
  run.add_reads()->mutable_features();
  const auto plan = PlanRun(run, TinyRegistry());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->dictionaries.size(), 1u);
  EXPECT_EQ(plan->run.dictionaries.size(), 1u);
}

TEST(Plan, ArtefactsAreKnownByDigestToo) {
  v1::Run run = RunOf(TinyPerson(0));
  run.set_model(TinyRegistry().Model("").digest);
  EXPECT_TRUE(StatusOf(run).ok());
}

TEST(Plan, DenseReadsAreCountedForEveryRun) {
  v1::Run run = TinyRun().run();
  const auto plan = PlanRun(run, TinyRegistry());
  ASSERT_TRUE(plan.ok()) << plan.status();
  // Two documents, clean and edited: 16 values at [CLS], and one value at every position.
  const int64_t positions = TinyPersonLength(0) + TinyPersonLength(1);
  EXPECT_EQ(DenseReadBytes(*plan), 2 * (2 * 16 + positions) * 4);
}

// A change that makes a valid run wrong, and what it is told.
struct Wrong {
  const char* name;
  std::function<void(v1::Run&)> spoil;
  absl::StatusCode code;
  std::string message;
};

class WrongRunTest : public testing::TestWithParam<Wrong> {};

TEST_P(WrongRunTest, IsToldWhatWasFoundAndExpected) {
  v1::Run run = TinyRun().run();
  GetParam().spoil(run);
  const absl::Status status = StatusOf(run);
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_EQ(std::string(status.message()).substr(0, GetParam().message.size()), GetParam().message) << status;
}

v1::InlineLife& LifeOf(v1::Run& run) {
  v1::InlineLife& life = *run.mutable_documents(0)->mutable_life();
  life.add_background("[UNK]");
  for (const int32_t abspos : {10, 20}) {
    v1::LifeEvent& event = *life.add_events();
    event.set_abspos(abspos);
    event.add_tokens("[UNK]");
  }
  return life;
}

v1::InlineSlots& SlotsOf(v1::Run& run) {
  v1::InlineSlots& slots = *run.mutable_documents(0)->mutable_slots();
  for (int i = 0; i < 3; ++i) {
    slots.add_tokens(12);
    slots.add_abspos(0);
    slots.add_ages(0);
    slots.add_segments(1);
  }
  return slots;
}

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

INSTANTIATE_TEST_SUITE_P(
    Names, WrongRunTest,
    testing::Values(
        Wrong{"Model", [](v1::Run& r) { r.set_model("x"); }, absl::StatusCode::kNotFound,
              "run.model: no model 'x'; there are: tiny"},
        Wrong{"Dictionary",
              [](v1::Run& r) { r.mutable_interventions(0)->mutable_edits(0)->mutable_features()->set_dictionary("x"); },
              absl::StatusCode::kNotFound,
              "run.interventions[0].edits[0].features.dictionary: no dictionary 'x'; there are: tiny_sae"},
        Wrong{"Corpus", [](v1::Run& r) { r.mutable_documents(1)->mutable_person()->set_corpus("x"); },
              absl::StatusCode::kNotFound, "run.documents[1].person.corpus: no corpus 'x'; there are: world"},
        Wrong{"Person", [](v1::Run& r) { r.mutable_documents(1)->mutable_person()->set_person_id(-5); },
              absl::StatusCode::kNotFound, "run.documents[1].person.person_id: no person -5 in corpus 'world'"},
        Wrong{"HookPointOfARead",
              [](v1::Run& r) { r.mutable_reads(0)->mutable_activation()->set_hook_point("blocks.0.hook_x"); }, kInvalid,
              "run.reads[0].activation.hook_point: "},
        Wrong{"LayerOfAnEdit",
              [](v1::Run& r) {
                r.mutable_interventions(0)->mutable_edits(0)->mutable_activation()->set_hook_point(
                    "blocks.9.hook_resid_post");
              },
              kInvalid, "run.interventions[0].edits[0].activation.hook_point: "},
        Wrong{"Token", [](v1::Run& r) { r.mutable_reads(1)->mutable_log_probability()->set_token("x"); }, kInvalid,
              "run.reads[1].log_probability.token: no token 'x' in the vocabulary of model 'tiny'"},
        Wrong{"TokenOfAList", [](v1::Run& r) { r.mutable_reads(1)->mutable_mlm_logits()->add_tokens("x"); }, kInvalid,
              "run.reads[1].mlm_logits.tokens[0]: no token 'x'"},
        Wrong{"Precision", [](v1::Run& r) { r.set_precision(static_cast<v1::Precision>(9)); }, kInvalid,
              "run.precision: 9, expected FLOAT32 or FLOAT64"},
        Wrong{"Target", [](v1::Run& r) { r.mutable_interventions(0)->mutable_edits(0)->clear_target(); }, kInvalid,
              "run.interventions[0].edits[0].target: not set"},
        Wrong{"Mode", [](v1::Run& r) { r.mutable_interventions(0)->mutable_edits(0)->clear_mode(); }, kInvalid,
              "run.interventions[0].edits[0].mode: not set"},
        Wrong{"ErrorMode",
              [](v1::Run& r) {
                r.mutable_interventions(0)->mutable_edits(0)->set_error_mode(static_cast<v1::ErrorMode>(7));
              },
              kInvalid, "run.interventions[0].edits[0].error_mode: 7, expected DELTA or REPLACE"},
        Wrong{"ErrorModeWithoutFeatures",
              [](v1::Run& r) {
                v1::Edit& edit = *r.mutable_interventions(0)->mutable_edits(0);
                edit.mutable_head()->set_layer(0);
                edit.set_error_mode(v1::ERROR_MODE_DELTA);
              },
              kInvalid, "run.interventions[0].edits[0].error_mode: ERROR_MODE_DELTA, expected none"},
        Wrong{"ReadKind", [](v1::Run& r) { r.mutable_reads(0)->clear_kind(); }, kInvalid,
              "run.reads[0].kind: not set"}),
    [](const testing::TestParamInfo<Wrong>& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Documents, WrongRunTest,
    testing::Values(
        Wrong{"Empty", [](v1::Run& r) { r.mutable_documents(0)->Clear(); }, kInvalid,
              "run.documents[0]: empty, expected person, life or slots"},
        Wrong{"EmptyLife", [](v1::Run& r) { r.mutable_documents(0)->mutable_life(); }, kInvalid,
              "run.documents[0].life: empty"},
        Wrong{"EmptySlots", [](v1::Run& r) { r.mutable_documents(0)->mutable_slots(); }, kInvalid,
              "run.documents[0].slots.tokens: none"},
        Wrong{"TokenOfAnEvent", [](v1::Run& r) { LifeOf(r).mutable_events(1)->add_tokens("x"); }, kInvalid,
              "run.documents[0].life.events[1].tokens[1]: no token 'x' in the vocabulary of model 'tiny'"},
        Wrong{"TokenOfTheBackground", [](v1::Run& r) { LifeOf(r).add_background("x"); }, kInvalid,
              "run.documents[0].life.background[1]: no token 'x'"},
        Wrong{"EventWithoutTokens", [](v1::Run& r) { LifeOf(r).mutable_events(0)->clear_tokens(); }, kInvalid,
              "run.documents[0].life.events[0].tokens: none"},
        Wrong{"EventsOutOfOrder", [](v1::Run& r) { LifeOf(r).mutable_events(1)->set_abspos(9); }, kInvalid,
              "run.documents[0].life.events[1].abspos: 9, expected at least 10"},
        Wrong{"Age", [](v1::Run& r) { LifeOf(r).mutable_events(1)->set_age(-1); }, kInvalid,
              "run.documents[0].life.events[1].age: -1"},
        Wrong{"SlotToken", [](v1::Run& r) { SlotsOf(r).set_tokens(2, 99999); }, absl::StatusCode::kOutOfRange,
              "run.documents[0].slots.tokens[2]: 99999, expected 0 <= token < "},
        Wrong{"SlotPadding", [](v1::Run& r) { SlotsOf(r).set_tokens(2, 0); }, kInvalid,
              "run.documents[0].slots.tokens[2]: 0 ([PAD])"},
        Wrong{"SlotSegment", [](v1::Run& r) { SlotsOf(r).set_segments(1, 4); }, absl::StatusCode::kOutOfRange,
              "run.documents[0].slots.segments[1]: 4, expected 0 <= segment < 4"},
        Wrong{"SlotLengths", [](v1::Run& r) { SlotsOf(r).add_ages(3); }, kInvalid,
              "run.documents[0].slots.ages: 4 entries, expected 3"},
        Wrong{"MaskPosition", [](v1::Run& r) { r.mutable_documents(0)->add_mask_positions(1000); },
              absl::StatusCode::kOutOfRange, "run.documents[0].mask_positions[0]: 1000, expected 0 <= position < "}),
    [](const testing::TestParamInfo<Wrong>& info) { return info.param.name; });

TEST(Plan, AForeignDictionaryDoesNotFit) {
  Registry registry = Registry::Load(TinyHome(), at::kCPU);
  const_cast<DictionaryArtifact&>(registry.dictionaries()[0]).model = "another";
  v1::Run run = TinyRun().run();
  run.mutable_interventions(0)->mutable_edits(0)->mutable_features()->set_dictionary("tiny_sae");
  const absl::Status status = PlanRun(run, registry).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("'tiny_sae' and model 'tiny' do not fit: it was trained on model 'another'"),
            absl::string_view::npos)
      << status;
}

}  // namespace
}  // namespace lifescope
