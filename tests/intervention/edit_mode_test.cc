// Bounds, resampling, units and conditions of edits, each against a plain computation.
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "server/intervention/target.h"
#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

using ::testing::StartsWith;

constexpr char kPoint[] = "blocks.1.hook_resid_post", kNeurons[] = "blocks.2.mlp.hook_post";
constexpr double kNear = 1e-12;

struct Outcome {
  std::vector<at::Tensor> clean;  // of every document
  at::Tensor edited;              // document 1
};

// What edits of document 1 do at a hook point.
Outcome RunEdits(std::vector<Edit> edits, const std::string& point, lifescope::Run run = DeepRun()) {
  const int64_t read = AddActivationRead(&run, point);
  for (Edit& edit : edits) edit.documents = {1};
  AddIntervention(&run, std::move(edits));
  const RunResult result = Execute(run, DeepModel());
  Outcome outcome;
  for (const DocumentResult& document : result.clean) outcome.clean.push_back(TensorOf(document, read));
  outcome.edited = TensorOf(result.interventions[0].documents[0], read);
  return outcome;
}

Outcome RunEdit(const Edit& edit, const std::string& point) { return RunEdits({edit}, point); }

TEST(CapAndFloor, BoundNeurons) {
  const Outcome capped = RunEdit(MakeEdit(NeuronTarget{2, {5, 30}}, Cap{{0, 0.05}}), kNeurons);
  const at::Tensor expected = capped.clean[1].clone();
  expected.select(1, 5).clamp_max_(0);
  expected.select(1, 30).clamp_max_(0.05);
  EXPECT_TRUE(SameBits(capped.edited, expected));
  EXPECT_FALSE(SameBits(capped.edited, capped.clean[1]));
  const Outcome floored = RunEdit(MakeEdit(NeuronTarget{2, {5}}, Floor{{0.1}}, At({1, 2})), kNeurons);
  const at::Tensor raised = floored.clean[1].clone();
  raised.narrow(0, 1, 2).select(1, 5).clamp_min_(0.1);
  EXPECT_TRUE(SameBits(floored.edited, raised));
}

TEST(CapAndFloor, BoundFeatures) {
  const Outcome o = RunEdit(MakeEdit(FeatureTarget{0, {1, 2, 3}}, Cap{{0.2}}), kPoint);
  const at::Tensor f = DeepDictionary().Encode(o.clean[1]), capped = f.clone();
  capped.narrow(1, 1, 3).clamp_max_(0.2);
  EXPECT_GT((f - capped).max().item<double>(), 0);
  ExpectNear(o.edited, o.clean[1] + (capped - f).matmul(DeepDictionary().w_dec), kNear);
}

// Which row of the documents' activations each edited row is; -1: none.
std::vector<int64_t> SourcesOf(const at::Tensor& edited, const at::Tensor& pool) {
  std::vector<int64_t> sources;
  for (int64_t row = 0; row < edited.size(0); ++row) {
    const at::Tensor same = pool.eq(edited[row]).all(1).nonzero();
    sources.push_back(same.numel() == 0 ? -1 : same[0][0].item<int64_t>());
  }
  return sources;
}

TEST(Resample, EveryRowIsARowOfItsDocuments) {
  const Edit edit = MakeEdit(ActivationTarget{Point(kPoint)}, Resample{{0, 2}, 5});
  const Outcome o = RunEdit(edit, kPoint);
  const std::vector<int64_t> sources = SourcesOf(o.edited, at::cat({o.clean[0], o.clean[2]}));
  EXPECT_EQ(std::count(sources.begin(), sources.end(), -1), 0);
  EXPECT_GT(std::set<int64_t>(sources.begin(), sources.end()).size(), 10U);
  EXPECT_TRUE(std::any_of(sources.begin(), sources.end(), [](int64_t row) { return row >= 20; }));
  EXPECT_TRUE(SameBits(RunEdit(edit, kPoint).edited, o.edited));
}

TEST(Resample, DrawsEachRowWithTheSameChance) {
  lifescope::Run run = DeepRun();
  std::vector<int64_t> count(20 + 9);
  constexpr int64_t kSeeds = 2000;
  for (int64_t seed = 0; seed < kSeeds; ++seed) {
    for (const auto& [document, row] : DrawSources(run, {{0, 2}, static_cast<uint64_t>(seed)}, Point(kPoint), 1)) {
      ++count[(document == 0 ? 0 : 20) + row];
    }
  }
  const double expected = 31.0 * kSeeds / 29;
  double chi_square = 0;
  for (const int64_t drawn : count) chi_square += (drawn - expected) * (drawn - expected) / expected;
  EXPECT_LT(chi_square, 57);  // 28 degrees of freedom: exceeded once in a thousand
}

TEST(Resample, TheDrawDependsOnSeedPersonAndPositionAlone) {
  const Outcome all = RunEdit(MakeEdit(ActivationTarget{Point(kPoint)}, Resample{{0, 2}, 5}), kPoint);
  const Outcome some = RunEdit(MakeEdit(ActivationTarget{Point(kPoint)}, Resample{{0, 2}, 5}, At({7, 20})), kPoint);
  for (const int64_t position : {7, 20}) EXPECT_TRUE(SameBits(some.edited[position], all.edited[position]));
  EXPECT_TRUE(SameBits(some.edited[8], some.clean[1][8]));
  const Outcome other = RunEdit(MakeEdit(ActivationTarget{Point(kPoint)}, Resample{{0, 2}, 6}), kPoint);
  EXPECT_FALSE(SameBits(other.edited, all.edited));
  lifescope::Run run = DeepRun();
  const auto rows = [&](int64_t document) {
    std::vector<int64_t> drawn;
    for (const SourceRow& source : DrawSources(run, {{0}, 5}, Point(kPoint), document)) drawn.push_back(source.row);
    drawn.resize(9);
    return drawn;
  };
  EXPECT_NE(rows(1), rows(2));
  run.documents[2].person_id = run.documents[1].person_id;
  EXPECT_EQ(rows(1), rows(2));
}

TEST(Resample, TargetsOfOneSeedComeFromTheSamePlaces) {
  const Outcome o = RunEdits(
      {MakeEdit(NeuronTarget{2, {4}}, Resample{{0}, 9}), MakeEdit(NeuronTarget{2, {8}}, Resample{{0}, 9})}, kNeurons);
  for (int64_t position = 0; position < 31; ++position) {
    const at::Tensor from = o.clean[0].select(1, 4).eq(o.edited[position][4]).nonzero();
    ASSERT_EQ(from.numel(), 1);
    EXPECT_TRUE(SameBits(o.edited[position][8], o.clean[0][from[0][0].item<int64_t>()][8]));
  }
}

// Sorted values of one column of documents 0 and 2.
std::vector<double> Sorted(const at::Tensor& a, const at::Tensor& b, int64_t column) {
  const at::Tensor values = at::cat({a.select(1, column), b.select(1, column)}).contiguous();
  std::vector<double> sorted(values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

double StandardDeviation(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

Edit InUnit(EditTarget target, EditMode mode, Unit::Kind kind, double quantile = 0) {
  Edit edit = MakeEdit(std::move(target), std::move(mode), At({4}));
  edit.unit = {kind, quantile, {0, 2}};
  return edit;
}

TEST(Unit, MaximumAndDeviationOfNeurons) {
  const Outcome set = RunEdit(InUnit(NeuronTarget{2, {7, 3}}, SetTo{{2, -1}}, Unit::Kind::kMaximum), kNeurons);
  const std::vector<double> seven = Sorted(set.clean[0], set.clean[2], 7),
                            three = Sorted(set.clean[0], set.clean[2], 3);
  EXPECT_DOUBLE_EQ(set.edited[4][7].item<double>(), 2 * seven.back());
  EXPECT_DOUBLE_EQ(set.edited[4][3].item<double>(), -three.back());
  const Outcome add = RunEdit(InUnit(NeuronTarget{2, {7, 3}}, Add{{1.5}}, Unit::Kind::kStandardDeviation), kNeurons);
  EXPECT_NEAR(add.edited[4][7].item<double>(), add.clean[1][4][7].item<double>() + 1.5 * StandardDeviation(seven),
              kNear);
  EXPECT_NEAR(add.edited[4][3].item<double>(), add.clean[1][4][3].item<double>() + 1.5 * StandardDeviation(three),
              kNear);
}

TEST(Unit, QuantileIsInterpolated) {
  const Outcome o = RunEdit(InUnit(NeuronTarget{2, {7}}, SetTo{{1}}, Unit::Kind::kQuantile, 0.9), kNeurons);
  const std::vector<double> sorted = Sorted(o.clean[0], o.clean[2], 7);
  ASSERT_EQ(sorted.size(), 29U);
  // 0.9 * 28 = 25.2.
  EXPECT_NEAR(o.edited[4][7].item<double>(), 0.8 * sorted[25] + 0.2 * sorted[26], kNear);
}

TEST(Unit, FeaturesCountZerosExceptInQuantiles) {
  // A feature that is active at some positions and not at others.
  const Outcome clean = RunEdit(MakeEdit(FeatureTarget{0, {0}}, Scale{1}), kPoint);
  const at::Tensor f0 = DeepDictionary().Encode(clean.clean[0]), f2 = DeepDictionary().Encode(clean.clean[2]);
  const at::Tensor share = at::cat({f0, f2}).gt(0).to(at::kDouble).mean(0);
  const int64_t feature = (share - 0.5).abs().argmin().item<int64_t>();
  const std::vector<double> all = Sorted(f0, f2, feature);
  const std::vector<double> active(std::upper_bound(all.begin(), all.end(), 0.0), all.end());
  ASSERT_GT(active.size(), 2U);
  ASSERT_LT(active.size(), all.size());
  const double place = 0.25 * static_cast<double>(active.size() - 1);
  const auto below = static_cast<size_t>(place);
  const double quantile = active[below] + (place - static_cast<double>(below)) * (active[below + 1] - active[below]);
  const double present = DeepDictionary().Encode(clean.clean[1])[4][feature].item<double>();
  const auto expect = [&](Unit::Kind kind, double size) {
    const Outcome o = RunEdit(InUnit(FeatureTarget{0, {feature}}, SetTo{{2}}, kind, 0.25), kPoint);
    ExpectNear(o.edited[4], clean.clean[1][4] + (2 * size - present) * DeepDictionary().w_dec[feature], kNear);
  };
  expect(Unit::Kind::kMaximum, active.back());
  expect(Unit::Kind::kStandardDeviation, StandardDeviation(all));
  expect(Unit::Kind::kQuantile, quantile);
}

TEST(Unit, OfADirectionIsThatOfItsProjection) {
  std::vector<double> vector(16, 0);
  vector[2] = 3;
  vector[9] = 4;
  const Outcome o =
      RunEdit(InUnit(DirectionTarget{Point(kPoint), vector}, Add{{2}}, Unit::Kind::kStandardDeviation), kPoint);
  const auto projection = [](const at::Tensor& x) {
    return (0.6 * x.select(1, 2) + 0.8 * x.select(1, 9)).unsqueeze(1);
  };
  const double size = StandardDeviation(Sorted(projection(o.clean[0]), projection(o.clean[2]), 0));
  const at::Tensor expected = o.clean[1][4].clone();
  expected[2] += 2 * size * 0.6;
  expected[9] += 2 * size * 0.8;
  ExpectNear(o.edited[4], expected, kNear);
}

TEST(Unit, AChannelWithoutSizeIsRefused) {
  lifescope::Run run = DeepRun();
  const auto dictionary = std::make_shared<ReluDictionary>(16, 24, at::kDouble, 6);
  dictionary->b_enc[5] = -1e6;
  run.dictionaries[0].dictionary = dictionary;
  AddActivationRead(&run, kPoint);
  for (const Unit::Kind kind : {Unit::Kind::kMaximum, Unit::Kind::kQuantile, Unit::Kind::kStandardDeviation}) {
    run.interventions.clear();
    AddIntervention(&run, {InUnit(FeatureTarget{0, {5}}, SetTo{{2}}, kind, 0.5)});
    try {
      Execute(run, DeepModel());
      FAIL() << "was not refused";
    } catch (const c10::ValueError& error) {
      EXPECT_THAT(error.what_without_backtrace(), StartsWith("interventions[0].edits[0].unit: 0 for channel 5"));
    }
  }
}

TEST(Condition, EditsOnlyWhereTheFeatureIsAboveItsBoundInTheCleanRun) {
  Edit edit = MakeEdit(NeuronTarget{2, {7}}, SetTo{{50}});
  edit.condition = Condition{0, 3, 0.1};
  // Another activation of the feature in this run: the clean one counts.
  const Edit earlier = MakeEdit(FeatureTarget{0, {3}}, SetTo{{9}});
  const at::Tensor f = DeepDictionary().Encode(RunEdit(edit, kPoint).clean[1]);
  const Outcome o = RunEdits({earlier, edit}, kNeurons);
  int64_t active = 0;
  for (int64_t position = 0; position < 31; ++position) {
    const bool is_active = f[position][3].item<double>() > 0.1;
    EXPECT_EQ(o.edited[position][7].item<double>() == 50, is_active) << position;
    active += is_active;
  }
  EXPECT_GT(active, 0);
  EXPECT_LT(active, 31);
}

TEST(Condition, RestrictsDonorPairs) {
  Edit edit = MakeEdit(ActivationTarget{Point(kPoint)}, Donor{0, {}});
  edit.condition = Condition{0, 3, 0};
  const Outcome o = RunEdit(edit, kPoint);
  const at::Tensor f = DeepDictionary().Encode(o.clean[1]);
  for (int64_t position = 0; position < 20; ++position) {
    const at::Tensor from = f[position][3].item<double>() > 0 ? o.clean[0] : o.clean[1];
    EXPECT_TRUE(SameBits(o.edited[position], from[position])) << position;
  }
}

TEST(Filter, ThatLeavesNothingEditsAndReadsNothing) {
  lifescope::Run run = DeepRun();
  Positions none;
  none.age = {150, 160};
  AddActivationRead(&run, kPoint);
  AddRead(&run, ActivationRead{Point(kPoint)}, none);
  AddRead(&run, LogProbabilityRead{12}, none);
  AddIntervention(&run, {MakeEdit(FeatureTarget{0, {3}}, SetTo{{4}}, none), MakeEdit(HeadTarget{1, 0}, Zero{}, none),
                         MakeEdit(HeadTarget{1, 0}, Donor{1, {}}, none)});
  const RunResult result = Execute(run, DeepModel());
  for (size_t d = 0; d < 3; ++d) {
    const DocumentResult& edited = result.interventions[0].documents[d];
    EXPECT_TRUE(SameBits(TensorOf(edited, 0), TensorOf(result.clean[d], 0)));
    EXPECT_EQ(TensorOf(edited, 1).sizes(), at::IntArrayRef({0, 16}));
    EXPECT_EQ(TensorOf(edited, 2).sizes(), at::IntArrayRef({0}));
  }
}

}  // namespace
}  // namespace lifescope
