#include "server/model/classifier_head.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <map>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "tests/model/small_model.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;

HeadDescription Description() {
  HeadDescription description;
  description.model_digest = "sha256:0123";
  description.n_slots = 64;
  description.targets = {{"trait:a", {"no", "yes", "perhaps"}}, {"trait:b", {"low", "middle", "high"}}};
  return description;
}

ClassifierHead SmallHead(const std::string& kind, HeadDescription description = Description()) {
  return {std::move(description), InitializeDecoder(kind, {8, 16, 3, 6}, 5)};
}

std::string WrittenHead(const std::string& kind = "ordinal") {
  const std::string folder = TemporaryFolder() + "/head";
  WriteHead(folder, SmallHead(kind));
  return folder;
}

std::string LoadError(const std::string& folder) {
  return MessageOf<c10::ValueError>([&] { LoadHead(folder, at::kFloat, at::kCPU); });
}

void ChangeTensors(const std::string& folder, const std::function<void(std::map<std::string, at::Tensor>&)>& change) {
  const std::string path = folder + "/head.safetensors";
  const SafetensorsFile file = SafetensorsFile::Open(path);
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& name : file.names()) tensors[name] = file.Read(name);
  change(tensors);
  WriteSafetensors(path, tensors);
}

void ReplaceText(const std::string& folder, const std::string& from, const std::string& to) {
  const std::string path = folder + "/head.json";
  std::string text = ReadFile(path);
  const size_t at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from << " is not in " << text;
  WriteFileAtomically(path, text.replace(at, from.size(), to));
}

class EveryKindOfHead : public testing::TestWithParam<const char*> {};

TEST_P(EveryKindOfHead, ComesBackFromDiskToTheBit) {
  HeadDescription description = Description();
  description.link = Link::kSigSoftmax;
  const ClassifierHead head = SmallHead(GetParam(), description);
  const std::string folder = TemporaryFolder() + "/head";
  WriteHead(folder, head);
  const LoadedHead loaded = LoadHead(folder, at::kFloat, at::kCPU);
  const at::Tensor final = at::randn({9, 8});
  EXPECT_TRUE(at::equal(loaded.head->Logits(final, {0, 4, 9}), head.Logits(final, {0, 4, 9})));
  EXPECT_EQ(KindOf(loaded.head->decoder()), GetParam());
  EXPECT_EQ(loaded.head->description().link, Link::kSigSoftmax);
  EXPECT_EQ(loaded.head->description().n_slots, 64);
  EXPECT_EQ(loaded.head->description().model_digest, "sha256:0123");
  EXPECT_EQ(loaded.head->description().targets[1].name, "trait:b");
  EXPECT_EQ(loaded.head->description().targets[1].classes, description.targets[1].classes);
}

TEST_P(EveryKindOfHead, GivesProbabilitiesOfEveryTarget) {
  for (const Link link : {Link::kSoftmax, Link::kSigSoftmax}) {
    HeadDescription description = Description();
    description.link = link;
    const ClassifierHead head = SmallHead(GetParam(), description);
    const at::Tensor probabilities = head.Probabilities(head.Logits(at::randn({9, 8}), {0, 4, 9}));
    EXPECT_EQ(probabilities.sizes(), at::IntArrayRef({2, 2, 3}));
    EXPECT_TRUE(at::allclose(probabilities.sum(2), at::ones({2, 2})));
    EXPECT_TRUE(probabilities.gt(0).all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryKindOfHead, testing::Values("cls", "attention", "ordinal", "flat"),
                         [](const auto& info) { return std::string(info.param); });

TEST(ClassifierHead, TheDigestIsThatOfBothFiles) {
  const std::string folder = WrittenHead();
  const std::string digest = LoadHead(folder, at::kFloat, at::kCPU).digest;
  EXPECT_EQ(LoadHead(WrittenHead(), at::kFloat, at::kCPU).digest, digest);
  ReplaceText(folder, "\"n_slots\": 64", "\"n_slots\": 63");
  EXPECT_NE(LoadHead(folder, at::kFloat, at::kCPU).digest, digest);
}

TEST(ClassifierHead, ReadsOverTensorsThatThePublishedCodeNeverUses) {
  const std::string folder = WrittenHead("ordinal");
  ChangeTensors(folder, [](auto& tensors) { tensors["decoder.rezero.weights"] = at::zeros({1}); });
  LoadHead(folder, at::kDouble, at::kCPU);
}

TEST(ClassifierHead, AFaultOfTheTensorsIsRefusedByName) {
  struct Fault {
    std::function<void(std::map<std::string, at::Tensor>&)> damage;
    std::vector<std::string> named;
  };
  const Fault faults[] = {
      {[](auto& t) { t["decoder.more"] = at::zeros({1}); }, {"decoder.more", "unknown"}},
      {[](auto& t) { t.erase("decoder.ff.bias"); }, {"decoder.ff.bias"}},
      {[](auto& t) {
         t["decoder.pool.weight"] = at::zeros({8, 4});
       },
       {"decoder.pool.weight", "[8, 4]", "[4, 8]"}},
      {[](auto& t) { t["decoder.out.bias"][0] = NAN; }, {"decoder.out.bias", "NaN"}},
      {[](auto& t) {
         t["decoder.context"] = at::zeros({3, 4}, at::kLong);
       },
       {"decoder.context", "Long"}},
  };
  for (const Fault& fault : faults) {
    const std::string folder = WrittenHead();
    ChangeTensors(folder, fault.damage);
    for (const std::string& name : fault.named) EXPECT_THAT(LoadError(folder), HasSubstr(name));
    EXPECT_THAT(LoadError(folder), HasSubstr(folder + "/head.safetensors"));
  }
}

TEST(ClassifierHead, AFaultOfTheDescriptionIsRefusedByName) {
  const std::pair<std::pair<const char*, const char*>, const char*> faults[] = {
      {{"\"link\"", "\"color\": 1, \"link\""}, "unknown key 'color'"},
      {{"\"n_slots\": 64,", "\"n_slots\": -1,"}, "'n_slots'"},
      {{"\"kind\": \"ordinal\"", "\"kind\": \"linear\""}, "linear"},
      {{"softmax", "argmax"}, "'link' is \"argmax\""},
      {{"\"epsilon\": 1e-06", "\"epsilon\": \"small\""}, "'epsilon'"},
      {{"\"context_count\": 3,", ""}, "'context_count' is missing"},
      {{"\"classes\"", "\"labels\""}, "targets[0]: unknown key 'labels'"},
      {{"{", ""}, "not JSON"},
  };
  for (const auto& [change, named] : faults) {
    const std::string folder = WrittenHead();
    ReplaceText(folder, change.first, change.second);
    EXPECT_THAT(LoadError(folder), AllOf(HasSubstr(named)));
  }
}

TEST(ClassifierHead, HowItWasTrainedStandsInItsDescription) {
  HeadDescription description = Description();
  description.training = R"({"corpus_digest":"sha256:4567","seed":3})";
  const std::string folder = TemporaryFolder() + "/head";
  WriteHead(folder, SmallHead("cls", description));
  const LoadedHead loaded = LoadHead(folder, at::kFloat, at::kCPU);
  EXPECT_EQ(loaded.head->description().training, description.training);
  WriteHead(folder + "-again", *loaded.head);
  EXPECT_EQ(LoadHead(folder + "-again", at::kFloat, at::kCPU).digest, loaded.digest);
  description.training = "3";
  WriteHead(folder + "-number", SmallHead("cls", description));
  EXPECT_THAT(LoadError(folder + "-number"), HasSubstr("key 'training' is 3, expected an object"));
}

TEST(ClassifierHead, TargetsWithOtherNumbersOfClassesAreRefused) {
  HeadDescription description = Description();
  description.targets[1].classes.push_back("highest");
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { SmallHead("cls", description); }),
              AllOf(HasSubstr("'trait:b' has 4"), HasSubstr("expected 3")));
  description.targets.clear();
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { SmallHead("cls", description); }), HasSubstr("no target"));
}

TEST(ClassifierHead, RowsOfAnotherWidthAreRefused) {
  EXPECT_THAT(MessageOf<c10::ValueError>([] {
                SmallHead("cls").Logits(at::zeros({4, 9}), {0, 4});
              }),
              HasSubstr("rows of 8"));
}

TEST(ClassifierHead, IsNeverOverwritten) {
  const std::string folder = WrittenHead();
  EXPECT_THAT(MessageOf<c10::ValueError>([&] { WriteHead(folder, SmallHead("cls")); }), HasSubstr(folder));
}

}  // namespace
}  // namespace lifescope
