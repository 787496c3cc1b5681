#include "server/intervention/self_check.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/artifact/safetensors.h"
#include "tests/intervention/small_run.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> NamesOf(const std::vector<Invariant>& invariants) {
  std::vector<std::string> names;
  for (const Invariant& invariant : invariants) names.push_back(invariant.name);
  return names;
}

std::vector<std::string> BrokenOf(const std::vector<Invariant>& invariants) {
  std::vector<std::string> names;
  for (const Invariant& invariant : invariants) {
    if (!invariant.holds()) names.push_back(invariant.name + ": " + std::to_string(invariant.deviation));
  }
  return names;
}

TEST(SelfCheck, HoldsInBothPrecisions) {
  const lifescope::Run deep = DeepRun(), small = SmallRun();
  const std::vector<Invariant> of_double = SelfCheck(deep.documents, deep.dictionaries, 0, DeepModel());
  const std::vector<Invariant> of_float = SelfCheck(small.documents, small.dictionaries, 32, SmallModel());
  for (const auto& invariants : {of_double, of_float}) {
    EXPECT_THAT(BrokenOf(invariants), ElementsAre());
    EXPECT_THAT(
        NamesOf(invariants),
        ElementsAre("attention weights . v = z, local heads", "attention weights . v = z, global heads",
                    "resid_pre + attn_contrib = resid_mid", "resid_mid + mlp_contrib = resid_post", "packed = padded",
                    "edits of nothing change nothing", "a head zeroed at hook_z takes its write away",
                    "one feature of dictionaries[0] = its decoder row", "documents[0] patched with itself = 1",
                    "documents[1] patched with itself = 0"));
  }
  EXPECT_GT(of_double[1].deviation, 0);
}

class GoldenSelfCheck : public testing::TestWithParam<at::ScalarType> {};

TEST_P(GoldenSelfCheck, HoldsOnTheTrainedModel) {
  const std::shared_ptr<const Transformer> model =
      LoadModel(GoldenPath("life2vec/struct_small"), GetParam(), at::kCPU).transformer;
  const auto dictionary = std::make_shared<const ReluDictionary>(64, 128, GetParam(), 5);
  std::vector<Document> documents;
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath("life2vec/struct_small/interventions.f32.safetensors"));
  for (const char* name : {"clean", "corrupt"}) {
    const at::Tensor rows = file.Read(std::string(name) + ".input_ids")[0].to(at::kInt).contiguous();
    const auto row = [&](int64_t i) {
      const int32_t* data = rows[i].data_ptr<int32_t>();
      return std::vector<int32_t>(data, data + rows.size(1));
    };
    documents.push_back(
        {0, row(0), row(1), row(2), row(3), std::vector<int32_t>(static_cast<size_t>(rows.size(1)), 0)});
  }
  const std::vector<Invariant> invariants =
      SelfCheck(documents, {{dictionary, Point("blocks.1.hook_resid_post")}}, 0, *model);
  EXPECT_THAT(BrokenOf(invariants), ElementsAre());
}

INSTANTIATE_TEST_SUITE_P(Precisions, GoldenSelfCheck, testing::Values(at::kFloat, at::kDouble),
                         [](const auto& info) { return info.param == at::kFloat ? "Float32" : "Float64"; });

// Adds something other than its decoder rows.
class WrongDictionary : public ReluDictionary {
 public:
  using ReluDictionary::ReluDictionary;
  at::Tensor DecodeChange(const at::Tensor& change, const std::vector<int64_t>& features,
                          const at::Tensor& x) const override {
    return ReluDictionary::DecodeChange(change, features, x) * 1.001;
  }
};

TEST(SelfCheck, FindsADictionaryThatDoesNotAddItsDecoderRow) {
  lifescope::Run run = DeepRun();
  run.dictionaries.push_back(
      {std::make_shared<const WrongDictionary>(16, 24, at::kDouble, 7), Point("blocks.0.hook_resid_post")});
  EXPECT_THAT(BrokenOf(SelfCheck(run.documents, run.dictionaries, 0, DeepModel())),
              ElementsAre(HasSubstr("one feature of dictionaries[1] = its decoder row")));
}

TEST(SelfCheck, LeavesOutWhatTheModelDoesNotHave) {
  Hyperparameters h = SmallModel().hyperparameters();
  h.n_local = h.n_heads;
  const Transformer model(h, InitializeWeights(h, 9, 1.0));
  const std::vector<Invariant> invariants = SelfCheck(SmallRun().documents, {}, 0, model);
  EXPECT_THAT(BrokenOf(invariants), ElementsAre());
  EXPECT_THAT(NamesOf(invariants), testing::Not(testing::Contains(HasSubstr("global"))));
  EXPECT_THAT(NamesOf(invariants), testing::Not(testing::Contains(HasSubstr("feature"))));
}

TEST(Invariant, OfNoNumberDoesNotHold) {
  EXPECT_FALSE((Invariant{"", std::nan(""), 1}.holds()));
  EXPECT_TRUE((Invariant{"", 0, 0}.holds()));
}

TEST(SelfCheck, StopsWhenCancelled) {
  ExecuteOptions options;
  int asked = 0;
  options.cancelled = [&asked] { return ++asked > 20; };
  EXPECT_THROW(SelfCheck(SmallRun().documents, {}, 0, SmallModel(), options), Cancelled);
  EXPECT_EQ(asked, 21);
}

TEST(SelfCheck, NeedsTwoDocumentsThatDiffer) {
  lifescope::Run run = SmallRun();
  try {
    SelfCheck({run.documents[0]}, {}, 0, SmallModel());
    FAIL() << "was not refused";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what_without_backtrace(), HasSubstr("documents: 1, expected at least 2"));
  }
  try {
    SelfCheck({run.documents[0], run.documents[0]}, {}, 0, SmallModel());
    FAIL() << "was not refused";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what_without_backtrace(), HasSubstr("documents[1]: its [CLS]"));
  }
}

}  // namespace
}  // namespace lifescope
