#include "server/model/decoder.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/artifact/safetensors.h"
#include "tests/model/golden_batch.h"
#include "tests/model/small_model.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

constexpr char kHeads[] = "life2vec/struct_small/finetune_heads.safetensors";

struct GoldenHead {
  const char* name;  // in the golden file
  const char* kind;
};

// The final residual stream of the golden documents, without their padding.
struct PackedFinal {
  at::Tensor rows;
  std::vector<int64_t> offsets = {0};

  PackedFinal(const SafetensorsFile& file, at::ScalarType dtype) {
    const at::Tensor mask = file.Read("padding_mask");
    rows = file.Read("final_hidden").to(dtype).index({mask});
    for (int64_t d = 0; d < mask.size(0); ++d) offsets.push_back(offsets.back() + mask[d].sum().item<int64_t>());
  }
};

Decoder GoldenDecoder(const SafetensorsFile& file, const GoldenHead& head, at::ScalarType dtype) {
  Decoder decoder = DecoderOfKind(head.kind);
  for (const auto& [name, tensor] : TrainableTensors(decoder)) {
    *tensor = file.Read(std::string(head.name) + ".weights." + name.substr(std::string("decoder.").size())).to(dtype);
  }
  return decoder;
}

using Case = std::tuple<GoldenHead, at::ScalarType>;

class GoldenHeadTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!HasGolden(kHeads)) GTEST_SKIP() << "no whole golden set";
  }
};

TEST_P(GoldenHeadTest, DecodesAsThePublishedCode) {
  const auto& [head, dtype] = GetParam();
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath(kHeads));
  const PackedFinal final(file, dtype);
  at::Tensor summary, pattern;
  Hooks hooks;
  hooks.Capture({Site::kPersonSummary, -1, "golden"}, &summary);
  hooks.Capture({Site::kPoolPattern, -1, "golden"}, &pattern);
  const at::Tensor logits =
      Decode(GoldenDecoder(file, head, dtype), final.rows, final.offsets, 1e-6, {&hooks, "golden"});

  const std::string name = head.name, dot = ".", suffix = dot + GoldenSuffix(dtype), kind = head.kind;
  const auto expect = [&](const at::Tensor& actual, const at::Tensor& expected, const Tolerance& tolerance,
                          const std::string& what) {
    ExpectClose(actual, expected, tolerance.absolute, tolerance.relative, "life2vec.head_" + kind + what + suffix);
  };
  expect(logits, file.Read(name + ".out" + suffix).flatten(1), LogitTolerance(dtype), "");
  if (!file.Contains(name + ".person_summary" + suffix)) return;
  expect(summary, file.Read(name + ".person_summary" + suffix), ActivationTolerance(dtype), ".person_summary");
  const at::Tensor expected = file.Read(name + ".pool_attention" + suffix);  // [(contexts,) documents, slots]
  const at::Tensor per_context = expected.dim() == 2 ? expected.unsqueeze(0) : expected;
  const at::Tensor packed = per_context.permute({1, 2, 0}).index({file.Read("padding_mask")});
  expect(pattern, packed, ActivationTolerance(dtype), ".pool_pattern");
}

INSTANTIATE_TEST_SUITE_P(
    Published, GoldenHeadTest,
    testing::Combine(testing::Values(GoldenHead{"cls_ft2", "cls"}, GoldenHead{"attention", "attention"},
                                     GoldenHead{"attention_l", "ordinal"}, GoldenHead{"flat", "flat"}),
                     testing::Values(at::kFloat, at::kDouble)),
    [](const testing::TestParamInfo<Case>& info) {
      return std::string(std::get<0>(info.param).kind) + "_" + GoldenSuffix(std::get<1>(info.param));
    });

class DecoderTest : public testing::TestWithParam<const char*> {
 protected:
  DecoderTest() {
    for (const auto& [name, tensor] : TrainableTensors(decoder_)) *tensor = tensor->to(at::kDouble);
    at::manual_seed(3);
    final_ = at::randn({12, 8}, at::kDouble);
  }
  Decoder decoder_ = InitializeDecoder(GetParam(), {8, 16, 3, 6}, 5);
  const std::vector<int64_t> offsets_ = {0, 5, 6, 12};
  at::Tensor final_;
};

TEST_P(DecoderTest, ADocumentKnowsNothingOfItsNeighbours) {
  const at::Tensor all = Decode(decoder_, final_, offsets_, 1e-6, {});
  for (int64_t d = 0; d < 3; ++d) {
    const int64_t length = offsets_[d + 1] - offsets_[d];
    const at::Tensor alone = Decode(decoder_, final_.narrow(0, offsets_[d], length), {0, length}, 1e-6, {});
    EXPECT_TRUE(at::allclose(alone, all.narrow(0, d, 1), 1e-12, 1e-12)) << d;
  }
}

TEST_P(DecoderTest, TheOutputLayerReadsThePersonSummary) {
  Hooks hooks;
  hooks.Add({Site::kPersonSummary, -1, "mine"}, [](const at::Tensor& x) { return at::zeros_like(x); });
  const at::Tensor logits = Decode(decoder_, final_, offsets_, 1e-6, {&hooks, "mine"});
  EXPECT_TRUE(at::equal(logits[0], logits[2])) << "what is left is the bias";
  const at::Tensor other = Decode(decoder_, final_, offsets_, 1e-6, {&hooks, "another"});
  EXPECT_FALSE(at::equal(other[0], other[2])) << "a hook of another head is not called";
}

TEST_P(DecoderTest, GradientsAreThoseOfFiniteDifferences) {
  std::vector<std::pair<std::string, at::Tensor*>> tensors = TrainableTensors(decoder_);
  for (const auto& [name, tensor] : tensors) tensor->requires_grad_(true);
  const auto value = [&] { return Decode(decoder_, final_, offsets_, 1e-6, {}).square().sum(); };
  value().backward();
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor direction = at::randn_like(*tensor).detach();
    const double step = 1e-6;
    const c10::NoGradGuard no_grad;
    tensor->add_(direction, step);
    const double up = value().item<double>();
    tensor->sub_(direction, 2 * step);
    const double down = value().item<double>();
    tensor->add_(direction, step);
    const double expected = (tensor->grad() * direction).sum().item<double>();
    EXPECT_NEAR((up - down) / (2 * step), expected, 1e-6 * (1 + std::abs(expected))) << name;
  }
}

TEST_P(DecoderTest, DropoutChangesTheResultInTrainingAlone) {
  DecoderOptions training;
  training.dropout = 0.5;
  const at::Tensor evaluated = Decode(decoder_, final_, offsets_, 1e-6, {});
  EXPECT_TRUE(at::equal(evaluated, Decode(decoder_, final_, offsets_, 1e-6, {})));
  EXPECT_FALSE(at::equal(evaluated, Decode(decoder_, final_, offsets_, 1e-6, training)));
}

TEST_P(DecoderTest, TheSameSeedDrawsTheSameTensors) {
  Decoder again = InitializeDecoder(GetParam(), {8, 16, 3, 6}, 5),
          other = InitializeDecoder(GetParam(), {8, 16, 3, 6}, 6);
  const auto of_again = TrainableTensors(again), of_other = TrainableTensors(other), mine = TrainableTensors(decoder_);
  bool differs = false;
  for (size_t i = 0; i < mine.size(); ++i) {
    EXPECT_TRUE(at::equal(of_again[i].second->to(at::kDouble), *mine[i].second)) << mine[i].first;
    differs |= !at::equal(*of_again[i].second, *of_other[i].second);
  }
  EXPECT_TRUE(differs);
}

INSTANTIATE_TEST_SUITE_P(Kinds, DecoderTest, testing::Values("cls", "attention", "ordinal", "flat"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Decoder, AnUnknownKindIsNamedWithTheKnownOnes) {
  EXPECT_THAT(MessageOf<c10::ValueError>([] { DecoderOfKind("linear"); }),
              testing::AllOf(HasSubstr("'linear'"), HasSubstr("cls, attention, ordinal or flat")));
}

TEST(SigSoftmax, IsSoftmaxTimesTheSigmoid) {
  const at::Tensor s = at::tensor({-2.0, 0.5, 3.0}, at::kDouble);
  const at::Tensor weights = s.exp() * at::sigmoid(s);
  EXPECT_TRUE(at::allclose(SigSoftmax(s, 0), weights / weights.sum(), 1e-10, 1e-10));
}

}  // namespace
}  // namespace lifescope
