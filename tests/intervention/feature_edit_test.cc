#include "server/intervention/feature_edit.h"

#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

constexpr char kPoint[] = "blocks.0.hook_resid_post";
constexpr double kNear = 1e-6;

Edit FeatureEdit(std::vector<int64_t> features, EditMode mode, Positions positions = {},
                 ErrorMode error_mode = ErrorMode::kDelta) {
  Edit edit = MakeEdit(FeatureTarget{0, std::move(features)}, std::move(mode), std::move(positions));
  edit.error_mode = error_mode;
  return edit;
}

// Runs edits on the small run's document 1 and keeps the activation before and after them.
struct Outcome {
  at::Tensor x;  // clean
  at::Tensor f;  // its features
  at::Tensor edited;
  at::Tensor clean_final, edited_final;
};

Outcome RunEdits(std::vector<Edit> edits, lifescope::Run run = SmallRun()) {
  const int64_t at_point = AddActivationRead(&run, kPoint);
  const int64_t final = AddActivationRead(&run, "blocks.1.hook_resid_post");
  for (Edit& edit : edits) edit.documents = {1};
  AddIntervention(&run, std::move(edits));
  const RunResult result = Execute(run, SmallModel());
  const DocumentResult& edited = result.interventions[0].documents[0];
  const at::Tensor x = TensorOf(result.clean[1], at_point);
  return {x, SmallDictionary().Encode(x), TensorOf(edited, at_point), TensorOf(result.clean[1], final),
          TensorOf(edited, final)};
}

// A position at which the feature is active and one at which it is not.
int64_t ActivePosition(const at::Tensor& f, int64_t feature, bool active = true) {
  const at::Tensor positions = (f.select(1, feature) > 0).eq(active).nonzero();
  EXPECT_GT(positions.numel(), 0) << "feature " << feature;
  return positions[0][0].item<int64_t>();
}

TEST(FeatureEdit, EditThatChangesNothingIsTheIdentityBitForBit) {
  const Outcome o = RunEdits({FeatureEdit({0, 3, 23}, Scale{1}), FeatureEdit({4}, Add{{0}})});
  EXPECT_TRUE(SameBits(o.edited, o.x));
  EXPECT_TRUE(SameBits(o.edited_final, o.clean_final));
}

TEST(FeatureEdit, OwnDonorIsTheIdentityBitForBit) {
  const Outcome o = RunEdits({FeatureEdit({0, 3, 23}, Donor{1, {}})});
  EXPECT_TRUE(SameBits(o.edited, o.x));
  EXPECT_TRUE(SameBits(o.edited_final, o.clean_final));
}

TEST(FeatureEdit, DeltaMovesAlongTheDecoderDirection) {
  const int64_t position = ActivePosition(RunEdits({FeatureEdit({3}, Scale{1})}).f, 3);
  const Outcome o = RunEdits({FeatureEdit({3}, SetTo{{4}}, At({position}))});
  const at::Tensor expected = o.x.clone();
  expected[position] += (4 - o.f[position][3]) * SmallDictionary().w_dec[3];
  ExpectNear(o.edited, expected, kNear);
  EXPECT_FALSE(SameBits(o.edited[position], o.x[position]));
}

TEST(FeatureEdit, RowsWhoseFeaturesDoNotChangeKeepTheirBits) {
  const Outcome o = RunEdits({FeatureEdit({3}, Zero{})});
  for (int64_t position = 0; position < o.x.size(0); ++position) {
    EXPECT_EQ(SameBits(o.edited[position], o.x[position]), o.f[position][3].item<float>() == 0) << position;
  }
  EXPECT_GE(ActivePosition(o.f, 3, true) + ActivePosition(o.f, 3, false), 1);
}

TEST(FeatureEdit, UnchangedRowsKeepEvenTheSignOfZero) {
  const Outcome o = RunEdits({MakeEdit(ActivationTarget{Point(kPoint)}, SetTo{{-0.0}}, At({2})),
                              FeatureEdit({3}, Scale{1}, At({2, 5})), FeatureEdit({3}, Add{{1}}, At({5}))});
  EXPECT_TRUE(SameBits(o.edited[2], at::full({16}, -0.0f)));
}

TEST(FeatureEdit, ReplaceWritesTheReconstruction) {
  const Outcome o = RunEdits({FeatureEdit({3}, SetTo{{4}}, At({2, 6}), ErrorMode::kReplace)});
  const at::Tensor f = o.f.clone();
  f.select(1, 3).fill_(4);
  const at::Tensor reconstruction = SmallDictionary().Decode(f, o.x);
  for (int64_t position = 0; position < o.x.size(0); ++position) {
    if (position == 2 || position == 6) {
      ExpectNear(o.edited[position], reconstruction[position], kNear);
    } else {
      EXPECT_TRUE(SameBits(o.edited[position], o.x[position])) << position;
    }
  }
}

TEST(FeatureEdit, MeanIsOverAllPositionsOfItsDocuments) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kPoint);
  const RunResult clean = Execute(run, SmallModel());
  const at::Tensor reference = at::cat({TensorOf(clean.clean[0], read), TensorOf(clean.clean[2], read)});
  const at::Tensor mean = SmallDictionary().Encode(reference).to(at::kDouble).mean(0);
  const Outcome o = RunEdits({FeatureEdit({7, 2}, Mean{{0, 2}}, At({5}))});
  const at::Tensor expected = o.x[5] + (mean[7].item<float>() - o.f[5][7]) * SmallDictionary().w_dec[7] +
                              (mean[2].item<float>() - o.f[5][2]) * SmallDictionary().w_dec[2];
  ExpectNear(o.edited[5], expected, kNear);
}

TEST(FeatureEdit, DonorTakesFeaturesAtPairedPositions) {
  lifescope::Run run = SmallRun();
  const int64_t read = AddActivationRead(&run, kPoint);
  const at::Tensor donor = SmallDictionary().Encode(TensorOf(Execute(run, SmallModel()).clean[0], read));
  const Outcome o = RunEdits({FeatureEdit({1, 2, 3, 4, 5}, Donor{0, At({12, 0})}, At({4, 8}))});
  for (const auto& [position, from] : {std::pair<int64_t, int64_t>{4, 12}, {8, 0}}) {
    const at::Tensor change = (donor[from] - o.f[position]).narrow(0, 1, 5);
    const at::Tensor expected = o.x[position] + change.unsqueeze(0).matmul(SmallDictionary().w_dec.narrow(0, 1, 5))[0];
    ExpectNear(o.edited[position], expected, kNear);
  }
}

TEST(FeatureEdit, NeighboursAreOneChange) {
  const Outcome o = RunEdits({FeatureEdit({3}, SetTo{{5}}, At({2, 4})), FeatureEdit({3, 9}, Scale{2}, At({4, 6}))});
  const at::Tensor f = o.f.clone();
  for (const int64_t position : {2, 4}) f[position][3] = 5;
  for (const int64_t position : {4, 6}) {
    f[position][3] *= 2;
    f[position][9] *= 2;
  }
  ExpectNear(o.edited, o.x + (f - o.f).matmul(SmallDictionary().w_dec), kNear);
}

TEST(FeatureEdit, AnotherErrorModeEncodesAnew) {
  const Outcome o =
      RunEdits({FeatureEdit({3}, SetTo{{5}}, At({2})), FeatureEdit({9}, SetTo{{1}}, At({2}), ErrorMode::kReplace)});
  const at::Tensor between = o.x[2] + (5 - o.f[2][3]) * SmallDictionary().w_dec[3];
  const at::Tensor f = SmallDictionary().Encode(between.unsqueeze(0));
  f.select(1, 9).fill_(1);
  ExpectNear(o.edited[2], SmallDictionary().Decode(f, between)[0], 1e-5);
}

TEST(FeatureEdit, DenseEditBetweenSeparatesFeatureEdits) {
  const Outcome o =
      RunEdits({FeatureEdit({3}, SetTo{{5}}, At({2})), MakeEdit(ActivationTarget{Point(kPoint)}, Zero{}, At({2})),
                FeatureEdit({9}, SetTo{{1}}, At({2}))});
  const at::Tensor zero = at::zeros({1, 16});
  const at::Tensor f = SmallDictionary().Encode(zero);
  ExpectNear(o.edited[2], ((1 - f[0][9]) * SmallDictionary().w_dec[9]), kNear);
}

TEST(FeatureEdit, WorksOnFlattenedHeads) {
  lifescope::Run run = SmallRun();
  run.dictionaries[0].hook_point = Point("blocks.1.attn.hook_z");
  const int64_t read = AddActivationRead(&run, "blocks.1.attn.hook_z");
  AddIntervention(&run, {FeatureEdit({6}, Add{{2}})});
  const RunResult result = Execute(run, SmallModel());
  const at::Tensor expected = TensorOf(result.clean[0], read) + (2 * SmallDictionary().w_dec[6]).view({4, 4});
  ExpectNear(TensorOf(result.interventions[0].documents[0], read), expected, kNear);
}

TEST(FeatureEdit, WideDictionariesAreEncodedInChunks) {
  constexpr int64_t kFeatures = int64_t{1} << 20;  // 16 rows a chunk
  const auto dictionary = std::make_shared<ReluDictionary>(16, 4, at::kFloat, 1);
  const at::Tensor narrow_enc = dictionary->w_enc, narrow_b = dictionary->b_enc, narrow_dec = dictionary->w_dec;
  const auto widen = [](const at::Tensor& t, int64_t dim, std::vector<int64_t> shape) {
    const at::Tensor wide = at::zeros(shape);
    wide.narrow(dim, kFeatures - 4, 4).copy_(t);
    return wide;
  };
  dictionary->w_enc = widen(narrow_enc, 1, {16, kFeatures});
  dictionary->b_enc = widen(narrow_b, 0, {kFeatures});
  dictionary->w_dec = widen(narrow_dec, 0, {kFeatures, 16});
  lifescope::Run run = SmallRun();
  run.dictionaries[0].dictionary = dictionary;
  Positions most;
  most.ranges = {{1, 19}};
  const Outcome o = RunEdits(
      {FeatureEdit({kFeatures - 1}, Donor{0, {}}, most), FeatureEdit({kFeatures - 2}, SetTo{{3}}, At({2, 18}))}, run);
  const at::Tensor donor_x = [&] {
    lifescope::Run clean = SmallRun();
    const int64_t read = AddActivationRead(&clean, kPoint);
    return TensorOf(Execute(clean, SmallModel()).clean[0], read);
  }();
  const auto encode = [&](const at::Tensor& x) { return (x.matmul(narrow_enc) + narrow_b).relu(); };
  const at::Tensor before = encode(o.x), after = before.clone();
  after.narrow(0, 1, 18).select(1, 3).copy_(encode(donor_x).narrow(0, 1, 18).select(1, 3));
  for (const int64_t position : {2, 18}) after[position][2] = 3;
  ExpectNear(o.edited, o.x + (after - before).matmul(narrow_dec), kNear);
}

}  // namespace
}  // namespace lifescope
