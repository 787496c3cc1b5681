// Donors from the run of an earlier intervention.
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {
namespace {

using ::testing::StartsWith;

constexpr char kFinal[] = "blocks.3.hook_resid_post";

at::Tensor Edited(const RunResult& result, size_t intervention, int64_t read) {
  return TensorOf(result.interventions.at(intervention).documents.at(0), read);
}

TEST(EarlierDonor, GivesTheValueAfterItsEdits) {
  lifescope::Run run = DeepRun();
  const int64_t z = AddActivationRead(&run, "blocks.2.attn.hook_z");
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.1.hook_resid_mid")}, Scale{0.3}, {}, {1}),
                         MakeEdit(HeadTarget{2, 1}, Add{{0.25}}, {}, {1})});
  AddIntervention(&run, {MakeEdit(HeadTarget{2, 1}, Donor{1, At({7, 2}), 0}, At({3, 9}), {0})});
  const RunResult result = Execute(run, DeepModel());
  at::Tensor expected = TensorOf(result.clean[0], z).clone();
  const at::Tensor donor = Edited(result, 0, z);
  expected[3][1].copy_(donor[7][1]);
  expected[9][1].copy_(donor[2][1]);
  EXPECT_TRUE(SameBits(Edited(result, 1, z), expected));
  EXPECT_FALSE(SameBits(donor[7][1], TensorOf(result.clean[1], z)[7][1]));
}

TEST(EarlierDonor, OfTheWholeStreamRepeatsItsRun) {
  lifescope::Run run = DeepRun();
  const int64_t final = AddActivationRead(&run, kFinal);
  const EditTarget stream = ActivationTarget{Point("blocks.1.hook_resid_post")};
  AddIntervention(&run, {MakeEdit(HeadTarget{0, 2}, Zero{}, {}, {0})});
  AddIntervention(&run, {MakeEdit(stream, Donor{0, {}, 0}, {}, {0})});
  AddIntervention(&run, {MakeEdit(stream, Donor{0, {}, 1}, {}, {0})});
  const RunResult result = Execute(run, DeepModel());
  EXPECT_TRUE(SameBits(Edited(result, 1, final), Edited(result, 0, final)));
  EXPECT_TRUE(SameBits(Edited(result, 2, final), Edited(result, 0, final)));
  run.deterministic = false;
  const RunResult batched = Execute(run, DeepModel());
  ExpectNear(Edited(batched, 2, final), Edited(result, 0, final), 1e-12);
}

TEST(EarlierDonor, GivesFeatures) {
  lifescope::Run run = DeepRun();
  const int64_t features = AddActivationRead(&run, "blocks.1.hook_resid_post");
  const std::vector<int64_t> all = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  AddIntervention(&run, {MakeEdit(HeadTarget{1, 0}, Scale{4}, {}, {0})});
  AddIntervention(&run, {MakeEdit(FeatureTarget{0, all}, Donor{0, {}, 0}, At({6}), {0})});
  const RunResult result = Execute(run, DeepModel());
  const at::Tensor clean = TensorOf(result.clean[0], features)[6].unsqueeze(0);
  const at::Tensor f = DeepDictionary().Encode(clean), donor = DeepDictionary().Encode(Edited(result, 0, features));
  at::Tensor expected = clean.clone();
  for (const int64_t i : all) expected += (donor[6][i] - f[0][i]) * DeepDictionary().w_dec[i];
  EXPECT_FALSE(at::allclose(expected, clean));
  ExpectNear(Edited(result, 1, features)[6].unsqueeze(0), expected, 1e-12);
}

// The donor's run is needed though no read covers its document.
TEST(EarlierDonor, RunsThoughNothingReadsIt) {
  lifescope::Run run = DeepRun();
  const int64_t z = AddRead(&run, ActivationRead{Point("blocks.1.attn.hook_z")}, {}, {0});
  AddIntervention(&run, {MakeEdit(ActivationTarget{Point("blocks.0.hook_resid_post")}, Zero{}, {}, {1})});
  AddIntervention(&run, {MakeEdit(HeadTarget{1, 3}, Donor{1, {}, 0}, At({2}), {0})});
  const RunResult short_run = Execute(run, DeepModel());
  run.reads[0].documents.clear();
  const RunResult result = Execute(run, DeepModel());
  EXPECT_TRUE(SameBits(Edited(short_run, 1, z), Edited(result, 1, z)));
  EXPECT_TRUE(SameBits(Edited(result, 1, z)[2][3], Edited(result, 0, z)[2][3]));
}

TEST(EarlierDonor, IsEarlierAndEditsTheDocument) {
  lifescope::Run run = DeepRun();
  AddActivationRead(&run, kFinal);
  AddIntervention(&run, {MakeEdit(HeadTarget{0, 2}, Zero{}, {}, {0})});
  AddIntervention(&run, {MakeEdit(HeadTarget{0, 2}, Donor{0, {}, 0}, {}, {0})});
  const auto message = [&](Donor donor) -> std::string {
    run.interventions[1].edits[0].mode = std::move(donor);
    try {
      ValidateRun(run, DeepModel());
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "accepted";
  };
  EXPECT_EQ(message({0, {}, 0}), "accepted");
  EXPECT_THAT(message({0, {}, 1}), StartsWith("interventions[1].edits[0].donor.intervention: 1, expected -1"));
  EXPECT_THAT(message({0, {}, -2}), StartsWith("interventions[1].edits[0].donor.intervention: -2, expected -1"));
  EXPECT_THAT(
      message({1, {}, 0}),
      StartsWith("interventions[1].edits[0].donor.document: 1, expected a document that interventions[0] edits"));
}

}  // namespace
}  // namespace lifescope
