#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>

#include "server/artifact/artifact.h"
#include "server/model/transformer.h"
#include "tests/model/small_model.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using StateDict = std::map<std::string, at::Tensor>;

constexpr char kToken[] = "transformer.embedding.token.parametrizations.weight.original";
constexpr char kDecoder[] = "mlm_decoder.out.parametrizations.weight.original";
constexpr char kQuery[] = "transformer.encoders.1.attention.attention.to_q.weight";

StateDict SmallState(const Hyperparameters& h) { return ToStateDict(SmallWeights(h, 1, at::kFloat), h); }

SafetensorsFile Written(const StateDict& state) {
  const std::string path = TemporaryFolder() + "/model.safetensors";
  WriteSafetensors(path, state);
  return SafetensorsFile::Open(path);
}

at::Tensor Logits(const Hyperparameters& h, const StateDict& state) {
  const c10::NoGradGuard no_grad;
  const Transformer model(h, ReadWeights(Written(state), h, at::kFloat, at::kCPU));
  const at::Tensor final = model.Forward(RandomBatch(h, {9, 4}, 12, 3));
  return at::cat({model.MlmLogits(final).flatten(), model.SopLogits(final).flatten()});
}

// The error of reading the small model's state dict after a change.
std::string ReadingError(const std::function<void(StateDict*)>& change) {
  const Hyperparameters h = SmallHyperparameters();
  StateDict state = SmallState(h);
  change(&state);
  const SafetensorsFile file = Written(state);
  return MessageOf<c10::ValueError>([&] { ReadWeights(file, h, at::kFloat, at::kCPU); });
}

std::string WriteModelFolder() {
  const std::string folder = TemporaryFolder();
  const Hyperparameters h = SmallHyperparameters();
  WriteSafetensors(folder + "/model.safetensors", SmallState(h));
  WriteFileAtomically(folder + "/hparams.json", h.ToJson());
  WriteFileAtomically(folder + "/vocab.tsv", "\tID\tTOKEN\tCATEGORY\n");
  return folder;
}

TEST(Checkpoint, StateDictsRoundTrip) {
  for (const bool tied : {true, false}) {
    for (const bool centred : {true, false}) {
      Hyperparameters h = SmallHyperparameters();
      h.weight_tying = tied;
      h.parametrize_emb = centred;
      const StateDict state = SmallState(h);
      Weights weights = ReadWeights(Written(state), h, at::kFloat, at::kCPU);
      EXPECT_EQ(weights.mlm.decoder.is_same(weights.embedding.token), tied);
      const StateDict again = ToStateDict(weights, h);
      ASSERT_EQ(again.size(), state.size());
      for (const auto& [name, tensor] : state) EXPECT_TRUE(at::equal(tensor, again.at(name))) << name;
    }
  }
}

TEST(Checkpoint, NamesAreThoseOfThePublishedModel) {
  const std::string folder = GoldenPath("life2vec/variant_a");
  const Hyperparameters h = Hyperparameters::Parse(ReadFile(folder + "/hparams.json"), folder);
  const SafetensorsFile file = SafetensorsFile::Open(folder + "/model.safetensors");
  const StateDict state = ToStateDict(ReadWeights(file, h, at::kFloat, at::kCPU), h);
  for (const std::string& name : file.names()) {
    const bool loss_weight = name.find("weight") != std::string::npos && file.Read(name).dim() < 2 &&
                             name.find("decoder") == std::string::npos && name.find("transformer") == std::string::npos;
    ASSERT_NE(state.count(name) > 0, loss_weight) << name;
    if (!loss_weight) {
      EXPECT_TRUE(at::equal(state.at(name), file.Read(name))) << name;
    }
  }
}

TEST(Checkpoint, BothRepositoriesNamesGiveTheSameModel) {
  const Hyperparameters h = SmallHyperparameters();
  const StateDict light = SmallState(h);
  StateDict original;
  for (const auto& [name, tensor] : light) {
    const bool sop = name.rfind("sop_decoder.", 0) == 0;
    original[sop ? "cls_decoder." + name.substr(12) : name] = tensor;
  }
  for (const char* extra : {"cls_w", "mlm_w", "cls_a", "cls_loss.weight"}) original[extra] = at::ones({3});
  EXPECT_TRUE(at::equal(Logits(h, light), Logits(h, original)));
}

TEST(Checkpoint, BuffersOverruleHyperparameters) {
  const Hyperparameters h = SmallHyperparameters();
  StateDict state = SmallState(h);
  const at::Tensor logits = Logits(h, state);
  Hyperparameters other = h;
  other.norm_input_emb = !h.norm_input_emb;
  EXPECT_TRUE(at::equal(Logits(other, state), logits));
  state["transformer.embedding.token.parametrizations.weight.0.norm"].fill_(true);
  EXPECT_FALSE(at::allclose(Logits(h, state), logits));
}

TEST(Checkpoint, AMissingTensorIsNamed) {
  EXPECT_THAT(ReadingError([](StateDict* state) { state->erase(kQuery); }),
              AllOf(HasSubstr("model.safetensors"), HasSubstr(kQuery), HasSubstr("missing")));
  EXPECT_THAT(ReadingError([](StateDict* state) { state->erase("sop_decoder.norm.g"); }),
              HasSubstr("sop_decoder.norm.g"));
}

TEST(Checkpoint, AnUnknownTensorIsNamed) {
  EXPECT_THAT(ReadingError([](StateDict* state) { (*state)["transformer.extra"] = at::ones({1}); }),
              AllOf(HasSubstr("'transformer.extra'"), HasSubstr("unknown")));
  EXPECT_THAT(ReadingError([](StateDict* state) { (*state)["sop_weight"] = at::ones({1}); }), "no error");
}

TEST(Checkpoint, AWrongShapeIsNamedWithFoundAndExpected) {
  EXPECT_THAT(ReadingError([](StateDict* state) {
                (*state)[kQuery] = at::ones({20, 21});
              }),
              AllOf(HasSubstr(kQuery), HasSubstr("[20, 21]"), HasSubstr("expected [20, 20]")));
}

TEST(Checkpoint, AWrongDtypeIsNamed) {
  EXPECT_THAT(ReadingError([](StateDict* state) {
                (*state)[kQuery] = at::ones({20, 20}, at::kHalf);
              }),
              AllOf(HasSubstr(kQuery), HasSubstr("Half")));
}

TEST(Checkpoint, AValueThatIsNotFiniteIsNamed) {
  for (const float value : {NAN, INFINITY}) {
    EXPECT_THAT(ReadingError([&](StateDict* state) {
                  (*state)[kQuery] = (*state)[kQuery].clone();
                  (*state)[kQuery][3][4] = value;
                }),
                AllOf(HasSubstr(kQuery), HasSubstr("NaN")));
  }
}

TEST(Checkpoint, TiedTensorsThatDifferAreNamed) {
  EXPECT_THAT(ReadingError([](StateDict* state) { (*state)[kDecoder] = (*state)[kToken] + 1; }),
              AllOf(HasSubstr(kDecoder), HasSubstr("differs")));
}

TEST(Checkpoint, AnIgnoredTokenOutsideTheVocabularyIsNamed) {
  const std::string name = "mlm_decoder.out.parametrizations.weight.0.ignore_index";
  EXPECT_THAT(ReadingError([&](StateDict* state) {
                (*state)[name] = at::tensor({0, 50}, at::kLong);
              }),
              AllOf(HasSubstr(name), HasSubstr("vocabulary of 50")));
}

TEST(LoadModel, GivesTheWeightsAndTheDigestOfTheFolder) {
  const std::string folder = WriteModelFolder();
  const LoadedModel model = LoadModel(folder, at::kDouble, at::kCPU);
  EXPECT_EQ(model.transformer->dtype(), at::kDouble);
  EXPECT_EQ(model.transformer->hyperparameters().ToJson(), SmallHyperparameters().ToJson());
  EXPECT_EQ(model.digest, ModelDigest(folder));
  EXPECT_EQ(model.digest, Sha256("hparams.json " + Sha256OfFile(folder + "/hparams.json") + "\nmodel.safetensors " +
                                 Sha256OfFile(folder + "/model.safetensors") + "\nvocab.tsv " +
                                 Sha256OfFile(folder + "/vocab.tsv") + "\n"));
}

TEST(LoadModel, TheDigestChangesWithEveryFile) {
  for (const char* name : {"hparams.json", "model.safetensors", "vocab.tsv"}) {
    const std::string folder = WriteModelFolder(), path = folder + "/" + name, before = ModelDigest(folder);
    WriteFileAtomically(path, ReadFile(path) + " ");
    EXPECT_NE(ModelDigest(folder), before) << name;
  }
}

TEST(LoadModel, AMissingFileIsNamed) {
  for (const char* name : {"hparams.json", "model.safetensors", "vocab.tsv"}) {
    const std::string folder = WriteModelFolder();
    std::filesystem::remove(folder + "/" + name);
    EXPECT_THAT(MessageOf<c10::ValueError>([&] { LoadModel(folder, at::kFloat, at::kCPU); }),
                HasSubstr(folder + "/" + name));
  }
}

TEST(LoadModel, ATruncatedFileIsNamed) {
  const std::string folder = WriteModelFolder(), path = folder + "/model.safetensors";
  const std::string bytes = ReadFile(path);
  for (const size_t size : {size_t{0}, size_t{7}, size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
    WriteFileAtomically(path, bytes.substr(0, size));
    EXPECT_THAT(MessageOf<c10::ValueError>([&] { LoadModel(folder, at::kFloat, at::kCPU); }),
                AllOf(HasSubstr(path), HasSubstr("truncated")));
  }
}

}  // namespace
}  // namespace lifescope
