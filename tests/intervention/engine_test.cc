// Batching, determinism, progress, cancellation, and what is not computed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr char kFinal[] = "blocks.1.hook_resid_post";

// Every kind of edit and of read.
Run RichRun() {
  lifescope::Run run = SmallRun();
  AddActivationRead(&run, kFinal);
  AddRead(&run, FeatureRead{0}, At({1, 4}));
  AddRead(&run, MlmLogitsRead{}, At({2, 3}));
  AddRead(&run, KlToCleanRead{}, At({3}));
  AddRead(&run, SopLogitsRead{});
  AddIntervention(
      &run, {MakeEdit(FeatureTarget{0, {1, 2}}, SetTo{{3}}, At({2, 5})), MakeEdit(HeadTarget{1, 2}, Mean{{0, 1}})});
  AddIntervention(&run, {MakeEdit(NeuronTarget{0, {8}}, Add{{1}}, {}, {0, 2})});
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.1.hook_resid_pre")}, Donor{2, {}}, {}, {1})});
  AddIntervention(&run,
                  {MakeEdit(HeadTarget{0, 1, Site::kQ}, Scale{2}),
                   MakeEdit(DirectionTarget{Point("blocks.0.hook_resid_mid"), std::vector<double>(16, 1)}, Cap{{0}}),
                   MakeEdit(ErrorTarget{0}, Resample{{0, 2}, 4}), MakeEdit(FeatureTarget{0, {5}}, Floor{{0.5}})});
  Edit& last = run.interventions.back().edits.back();
  last.unit = {Unit::Kind::kMaximum, 0, {0, 1}};
  last.condition = Condition{0, 3, 0};
  run.interventions.back().document_edits = {{HideBackground{}, {1}}};
  return run;
}

// Every tensor of a result, in order; features as values.
std::vector<at::Tensor> Tensors(const RunResult& result) {
  std::vector<at::Tensor> tensors;
  const auto add = [&](const std::vector<DocumentResult>& documents) {
    for (const DocumentResult& document : documents) {
      for (const ReadValue& value : document.values) {
        const auto* features = std::get_if<FeatureValue>(&value.value);
        tensors.push_back(features != nullptr ? features->activations.values : std::get<at::Tensor>(value.value));
      }
    }
  };
  add(result.clean);
  for (const InterventionResult& intervention : result.interventions) add(intervention.documents);
  return tensors;
}

void ExpectSameBits(const RunResult& a, const RunResult& b) {
  const std::vector<at::Tensor> left = Tensors(a), right = Tensors(b);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) EXPECT_TRUE(SameBits(left[i], right[i])) << "tensor " << i;
}

void ExpectNearResults(const RunResult& a, const RunResult& b, double tolerance) {
  const std::vector<at::Tensor> left = Tensors(a), right = Tensors(b);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) ExpectNear(left[i], right[i], tolerance);
}

TEST(Execute, ResultHasOneEntryPerEditedDocument) {
  const RunResult result = Execute(RichRun(), SmallModel());
  EXPECT_EQ(result.n_slots, 48);
  ASSERT_THAT(result.clean, SizeIs(3));
  ASSERT_THAT(result.interventions, SizeIs(4));
  EXPECT_THAT(result.interventions[0].documents, SizeIs(3));
  ASSERT_THAT(result.interventions[1].documents, SizeIs(2));
  EXPECT_EQ(result.interventions[1].documents[1].document, 2);
  for (const DocumentResult& document : result.interventions[0].documents) {
    ASSERT_THAT(document.values, SizeIs(5));
    for (int64_t read = 0; read < 5; ++read) EXPECT_EQ(document.values[static_cast<size_t>(read)].read, read);
  }
}

TEST(Execute, NamesAreKept) {
  lifescope::Run run = RichRun();
  run.interventions[1].name = "neuron 8";
  EXPECT_EQ(Execute(run, SmallModel()).interventions[1].name, "neuron 8");
}

TEST(Execute, BatchSizeDoesNotMatter) {
  lifescope::Run run = RichRun();
  const RunResult alone = Execute(run, SmallModel());
  run.deterministic = false;
  ExpectNearResults(Execute(run, SmallModel()), alone, 1e-5);
  ExecuteOptions options;
  options.batch_tokens = 40;
  ExpectNearResults(Execute(run, SmallModel(), options), alone, 1e-5);
}

TEST(Execute, BatchesOfOneAreTheDeterministicResult) {
  lifescope::Run run = RichRun();
  const RunResult alone = Execute(run, SmallModel());
  run.deterministic = false;
  ExecuteOptions options;
  options.batch_tokens = 1;
  ExpectSameBits(Execute(run, SmallModel(), options), alone);
}

TEST(Execute, DeterministicResultDoesNotDependOnTheOtherDocuments) {
  lifescope::Run together = RichRun();
  together.interventions.resize(1);
  together.interventions[0].edits.resize(1);
  const RunResult all = Execute(together, SmallModel());
  lifescope::Run single = together;
  single.documents = {together.documents[1]};
  const RunResult one = Execute(single, SmallModel());
  for (size_t value = 0; value < 5; ++value) {
    if (value == 1) continue;
    const int64_t read = static_cast<int64_t>(value);
    EXPECT_TRUE(SameBits(TensorOf(one.clean[0], read), TensorOf(all.clean[1], read))) << read;
    EXPECT_TRUE(
        SameBits(TensorOf(one.interventions[0].documents[0], read), TensorOf(all.interventions[0].documents[1], read)))
        << read;
  }
}

TEST(Execute, RepeatsToTheBit) {
  const lifescope::Run run = RichRun();
  ExpectSameBits(Execute(run, SmallModel()), Execute(run, SmallModel()));
}

TEST(Execute, InterventionsDoNotAffectEachOther) {
  const lifescope::Run run = RichRun();
  const RunResult together = Execute(run, SmallModel());
  for (size_t i = 0; i < run.interventions.size(); ++i) {
    lifescope::Run single = run;
    single.interventions = {run.interventions[i]};
    RunResult expected = together;
    expected.interventions = {together.interventions[i]};
    ExpectSameBits(Execute(single, SmallModel()), expected);
  }
}

TEST(Execute, SlotsArePartOfTheFunction) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kFinal);
  const RunResult wide = Execute(run, SmallModel());
  run.n_slots = 31;
  const RunResult narrow = Execute(run, SmallModel());
  EXPECT_EQ(narrow.n_slots, 31);
  const at::Tensor change = TensorOf(narrow.clean[1], read) - TensorOf(wide.clean[1], read);
  EXPECT_GT(change.abs().max().item<double>(), 1e-4);
}

TEST(Execute, ProgressCountsForwards) {
  const lifescope::Run run = RichRun();
  std::vector<std::pair<int64_t, int64_t>> seen;
  ExecuteOptions options;
  options.on_progress = [&](int64_t done, int64_t total) { seen.emplace_back(done, total); };
  Execute(run, SmallModel(), options);
  // 3 clean and 3 + 2 + 1 + 3 edited.
  ASSERT_THAT(seen, SizeIs(12));
  EXPECT_THAT(seen.front(), Pair(1, 12));
  EXPECT_THAT(seen.back(), Pair(12, 12));
}

// How often `cancelled` is asked: once per batch and once per layer.
int64_t Questions(const Run& run) {
  int64_t count = 0;
  ExecuteOptions options;
  options.cancelled = [&] {
    ++count;
    return false;
  };
  Execute(run, SmallModel(), options);
  return count;
}

TEST(Execute, RunsOnlyTheLayersThatAReadNeeds) {
  const auto questions = [](ReadKind kind) {
    lifescope::Run run = SmallRun();
    run.deterministic = false;
    AddRead(&run, std::move(kind));
    return Questions(run);
  };
  EXPECT_EQ(questions(ActivationRead{Point("hook_embed")}), 1);
  EXPECT_EQ(questions(ActivationRead{Point("blocks.0.hook_resid_post")}), 2);
  EXPECT_EQ(questions(FeatureRead{0}), 2);
  EXPECT_EQ(questions(ActivationRead{Point("blocks.1.hook_resid_pre")}), 3);
  EXPECT_EQ(questions(SopLogitsRead{}), 3);
  EXPECT_EQ(questions(LogProbabilityRead{12}), 3);
}

TEST(Execute, RunsNoDocumentThatNothingNeeds) {
  lifescope::Run run = SmallRun();
  AddRead(&run, SopLogitsRead{}, {}, {0});
  AddIntervention(&run, {MakeEdit(HeadTarget{0, 0}, Zero{})});
  // Document 0 clean and edited.
  EXPECT_EQ(Questions(run), 2 * 3);
  run.interventions[0].edits[0].mode = Mean{{2}};
  // And the first layer of document 2.
  EXPECT_EQ(Questions(run), 2 * 3 + 2);
}

TEST(Execute, CleanRunsAreNotRepeatedPerIntervention) {
  lifescope::Run run = SmallRun();
  AddRead(&run, KlToCleanRead{});
  for (int i = 0; i < 4; ++i) AddIntervention(&run, {MakeEdit(HeadTarget{0, 0}, Donor{0, {}}, {}, {1})});
  EXPECT_EQ(Questions(run), (3 + 4) * 3);
}

TEST(Execute, StopsWhenCancelled) {
  const lifescope::Run run = RichRun();
  const int64_t questions = Questions(run);
  for (const int64_t allowed : {int64_t{0}, int64_t{1}, int64_t{2}, questions - 1}) {
    int64_t asked = 0;
    int64_t done = 0;
    ExecuteOptions options;
    options.cancelled = [&] { return asked++ == allowed; };
    options.on_progress = [&](int64_t d, int64_t) { done = d; };
    EXPECT_THROW(Execute(run, SmallModel(), options), Cancelled);
    EXPECT_EQ(asked, allowed + 1);
    EXPECT_LT(done, 12);
  }
}

TEST(Execute, DoesNotRecordGradients) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kFinal);
  EXPECT_FALSE(TensorOf(Execute(run, SmallModel()).clean[0], read).requires_grad());
}

}  // namespace
}  // namespace lifescope
