// Fine-tuned heads in runs: class probabilities as reads, person summaries as hook points.
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr char kFinal[] = "blocks.1.hook_resid_post", kSummary[] = "heads.heart.hook_person_summary";

std::shared_ptr<const ClassifierHead> Head(const std::string& kind, uint64_t seed, int64_t hidden = 16) {
  HeadDescription description;
  description.targets = {{"first", {"no", "yes"}}, {"second", {"a", "b"}}};
  return std::make_shared<const ClassifierHead>(description,
                                                InitializeDecoder(kind, DecoderShape{hidden, 32, 3, 4}, seed));
}

lifescope::Run RunWithHeads() {
  lifescope::Run run = SmallRun();
  run.heads = {{"heart", Head("attention", 1)}, {"mood", Head("ordinal", 2)}};
  return run;
}

// What the head says of the rows of one document.
at::Tensor ProbabilitiesOf(const ClassifierHead& head, const at::Tensor& final) {
  return head.Probabilities(head.Logits(final, {0, final.size(0)}))[0];
}

TEST(Heads, ClassProbabilitiesAreTheHeadsOfTheFinalResidualStream) {
  lifescope::Run run = RunWithHeads();
  const int64_t final = AddActivationRead(&run, kFinal);
  const int64_t heart = AddRead(&run, ClassProbabilityRead{0});
  const int64_t mood = AddRead(&run, ClassProbabilityRead{1});
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.0.hook_resid_post")}, Scale{0.5})});
  for (const bool deterministic : {true, false}) {
    run.deterministic = deterministic;
    const RunResult result = Execute(run, SmallModel());
    for (size_t d = 0; d < 3; ++d) {
      for (const DocumentResult* document : {&result.clean[d], &result.interventions[0].documents[d]}) {
        const at::Tensor rows = TensorOf(*document, final);
        ExpectNear(TensorOf(*document, heart), ProbabilitiesOf(*run.heads[0].head, rows), 1e-5);
        ExpectNear(TensorOf(*document, mood), ProbabilitiesOf(*run.heads[1].head, rows), 1e-5);
      }
      EXPECT_EQ(TensorOf(result.clean[d], heart).sizes(), at::IntArrayRef({2, 2}));
      EXPECT_FALSE(SameBits(TensorOf(result.clean[d], heart), TensorOf(result.interventions[0].documents[d], heart)));
    }
  }
}

TEST(Heads, ARunOfAHeadAloneRunsEveryLayer) {
  lifescope::Run run = RunWithHeads();
  const int64_t alone = AddRead(&run, ClassProbabilityRead{0}, {}, {1});
  const RunResult short_run = Execute(run, SmallModel());
  AddActivationRead(&run, kFinal);
  EXPECT_TRUE(SameBits(TensorOf(short_run.clean[1], alone), TensorOf(Execute(run, SmallModel()).clean[1], alone)));
}

TEST(Heads, ThePersonSummaryIsOneRowPerDocument) {
  lifescope::Run run = RunWithHeads();
  run.deterministic = false;
  const int64_t final = AddActivationRead(&run, kFinal);
  const int64_t summary = AddActivationRead(&run, kSummary);
  const RunResult result = Execute(run, SmallModel());
  for (size_t d = 0; d < 3; ++d) {
    const at::Tensor rows = TensorOf(result.clean[d], final);
    at::Tensor expected;
    Hooks hooks;
    hooks.Capture(Point(kSummary), &expected);
    run.heads[0].head->Logits(rows, {0, rows.size(0)}, {&hooks, "heart"});
    EXPECT_EQ(expected.sizes(), at::IntArrayRef({1, 16}));
    ExpectNear(TensorOf(result.clean[d], summary), expected, 1e-5);
  }
}

TEST(Heads, AnEditedSummaryChangesThatHeadAlone) {
  lifescope::Run run = RunWithHeads();
  run.deterministic = false;
  const int64_t heart = AddRead(&run, ClassProbabilityRead{0});
  const int64_t mood = AddRead(&run, ClassProbabilityRead{1});
  const int64_t summary = AddActivationRead(&run, kSummary);
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kSummary)}, Zero{}, {}, {0, 2})});
  const RunResult result = Execute(run, SmallModel());
  ASSERT_EQ(result.interventions[0].documents.size(), 2u);
  const at::Tensor bias = std::get<AttentionDecoder>(run.heads[0].head->decoder()).b_out;
  for (const DocumentResult& document : result.interventions[0].documents) {
    ExpectNear(TensorOf(document, heart), at::softmax(bias.view({2, 2}), 1), 1e-6);
    EXPECT_EQ(TensorOf(document, summary).abs().max().item<float>(), 0);
    ExpectNear(TensorOf(document, mood), TensorOf(result.clean[document.document], mood), 1e-6);
  }
}

TEST(Heads, ADonorsSummaryGivesTheDonorsProbabilities) {
  lifescope::Run run = RunWithHeads();
  const int64_t heart = AddRead(&run, ClassProbabilityRead{0});
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kSummary)}, Donor{1, {}}, {}, {2})});
  const RunResult result = Execute(run, SmallModel());
  ExpectNear(TensorOf(result.interventions[0].documents[0], heart), TensorOf(result.clean[1], heart), 1e-6);
}

TEST(Heads, AMeanSummaryIsThatOfTheDocuments) {
  lifescope::Run run = RunWithHeads();
  const int64_t summary = AddActivationRead(&run, kSummary);
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kSummary)}, Mean{{0, 1}}, {}, {2})});
  const RunResult result = Execute(run, SmallModel());
  const at::Tensor mean = (TensorOf(result.clean[0], summary) + TensorOf(result.clean[1], summary)) / 2;
  ExpectNear(TensorOf(result.interventions[0].documents[0], summary), mean, 1e-6);
}

struct HeadFault {
  const char* name;
  const char* message;  // its beginning
  std::function<void(lifescope::Run&)> spoil;
};

void PrintTo(const HeadFault& fault, std::ostream* out) { *out << fault.name; }

class RefusedHead : public testing::TestWithParam<HeadFault> {};

TEST_P(RefusedHead, NamesThePath) {
  lifescope::Run run = RunWithHeads();
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point(kSummary)}, Zero{})});
  AddRead(&run, ClassProbabilityRead{0});
  ASSERT_NO_THROW(ValidateRun(run, SmallModel()));
  GetParam().spoil(run);
  try {
    ValidateRun(run, SmallModel());
    FAIL() << "was not refused";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what_without_backtrace(), StartsWith(GetParam().message));
  }
}

Edit& TheEdit(lifescope::Run& run) { return run.interventions[0].edits[0]; }

INSTANTIATE_TEST_SUITE_P(
    Faults, RefusedHead,
    testing::Values(
        HeadFault{"IndexOutside", "reads[0].class_probability.head: 2, expected 0 <= head < 2",
                  [](lifescope::Run& r) { r.reads[0].kind = ClassProbabilityRead{2}; }},
        HeadFault{
            "UnknownHead", "interventions[0].edits[0].activation.hook_point: heads.lungs.hook_person_summary",
            [](lifescope::Run& r) { TheEdit(r).target = ActivationTarget{Point("heads.lungs.hook_person_summary")}; }},
        HeadFault{"PoolPattern", "reads[0].activation.hook_point: heads.heart.hook_pool_pattern",
                  [](lifescope::Run& r) { r.reads[0].kind = ActivationRead{Point("heads.heart.hook_pool_pattern")}; }},
        HeadFault{"ReadPositions", "reads[0].positions: given, expected none",
                  [](lifescope::Run& r) {
                    r.reads[0].kind = ActivationRead{Point(kSummary)};
                    r.reads[0].positions = At({1});
                  }},
        HeadFault{"EditPositions", "interventions[0].edits[0].positions: given, expected none",
                  [](lifescope::Run& r) { TheEdit(r).positions = At({1}); }},
        HeadFault{"DonorPositions", "interventions[0].edits[0].donor.positions: given, expected none",
                  [](lifescope::Run& r) {
                    TheEdit(r).mode = Donor{1, At({1})};
                  }},
        HeadFault{"ValuesOfAnotherWidth", "interventions[0].edits[0].set.values: 3 values, expected 1 or 16",
                  [](lifescope::Run& r) {
                    TheEdit(r).mode = SetTo{{1, 2, 3}};
                  }},
        HeadFault{"AnotherWidth", "heads[0]: reads rows of 8, expected 16",
                  [](lifescope::Run& r) { r.heads[0].head = Head("cls", 1, 8); }},
        HeadFault{"SameName", "heads[1]: name 'heart'", [](lifescope::Run& r) { r.heads[1].name = "heart"; }},
        HeadFault{"NoHead", "heads[1]: null", [](lifescope::Run& r) { r.heads[1].head = nullptr; }},
        HeadFault{"DictionaryOverASummary", "dictionaries[0].hook_point: heads.heart.hook_person_summary",
                  [](lifescope::Run& r) { r.dictionaries[0].hook_point = Point(kSummary); }}),
    [](const testing::TestParamInfo<HeadFault>& info) { return info.param.name; });

}  // namespace
}  // namespace lifescope
