#include "server/model/head_import.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "server/artifact/safetensors.h"
#include "server/model/checkpoint_file.h"
#include "server/model/decoder.h"
#include "server/model/weights.h"
#include "tests/model/small_model.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kTargets = 2, kClasses = 3;

Decoder DecoderFor(const std::string& kind, int64_t hidden) {
  return InitializeDecoder(kind, {hidden, 2 * hidden, 4, kTargets * kClasses}, 5);
}

// A checkpoint as fine-tuning leaves it: the encoder and a decoder of `kind` (none: ""), in one state dict.
std::string FineTuned(const std::string& kind) {
  const Hyperparameters shape = SmallHyperparameters();
  std::map<std::string, at::Tensor> state = ToStateDict(InitializeWeights(shape, 3, 0.5), shape);
  if (!kind.empty()) {
    Decoder decoder = DecoderFor(kind, shape.hidden_size);
    for (const auto& [name, tensor] : TrainableTensors(decoder)) state[name] = *tensor;
  }
  const std::string path = TemporaryFolder() + "/finetuned.safetensors";
  WriteSafetensors(path, state);
  return path;
}

HeadImportOptions Options(const std::string& file, const std::string& kind) {
  HeadImportOptions options;
  options.file = file;
  options.kind = kind;
  options.hidden_size = SmallHyperparameters().hidden_size;
  options.description.model_digest = "sha256:0123";
  options.description.n_slots = 64;
  options.description.targets = {{"a", {"low", "middle", "high"}}, {"b", {"low", "middle", "high"}}};
  return options;
}

std::string ErrorOf(const HeadImportOptions& options, const std::string& folder) {
  return MessageOf<c10::ValueError>([&] { ImportHead(options, folder); });
}

class HeadImport : public testing::TestWithParam<const char*> {};

TEST_P(HeadImport, GivesTheCheckpointsDecoderToTheBit) {
  const std::string kind = GetParam(), folder = TemporaryFolder() + "/head";
  const std::string digest = ImportHead(Options(FineTuned(kind), kind), folder);
  const LoadedHead loaded = LoadHead(folder, at::kFloat, at::kCPU);
  EXPECT_EQ(loaded.digest, digest);
  const int64_t hidden = SmallHyperparameters().hidden_size;
  const ClassifierHead expected(Options("", kind).description, DecoderFor(kind, hidden));
  at::manual_seed(1);
  const at::Tensor final = at::randn({9, hidden});
  EXPECT_TRUE(at::equal(loaded.head->Logits(final, {0, 4, 9}), expected.Logits(final, {0, 4, 9})));
}

INSTANTIATE_TEST_SUITE_P(Kinds, HeadImport, testing::Values("cls", "attention", "ordinal", "flat"),
                         [](const auto& test) { return std::string(test.param); });

TEST(HeadImportFaults, NameFileAndTensorAndLeaveNothing) {
  const std::string folder = TemporaryFolder() + "/head";
  EXPECT_THAT(ErrorOf(Options(FineTuned(""), "cls"), folder), HasSubstr("no tensor is called decoder.*"));
  EXPECT_THAT(ErrorOf(Options(FineTuned("cls"), "attention"), folder),
              AllOf(HasSubstr("finetuned.safetensors: tensor 'decoder."), HasSubstr("is missing")));
  HeadImportOptions few = Options(FineTuned("cls"), "cls");
  few.description.targets.pop_back();
  EXPECT_THAT(ErrorOf(few, folder), AllOf(HasSubstr("'decoder.out_layer.weight' has shape"), HasSubstr("expected [3")));
  EXPECT_FALSE(std::filesystem::exists(folder));
}

}  // namespace
}  // namespace lifescope
