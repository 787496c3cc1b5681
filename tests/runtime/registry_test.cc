#include "server/runtime/registry.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/runtime/device.h"
#include "tests/app/tiny_home.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

std::string LoadError(const std::string& home) {
  try {
    Registry::Load(home, at::kCPU);
  } catch (const c10::ValueError& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

TEST(Registry, HoldsWhatTheHomeHolds) {
  std::vector<std::string> loaded;
  const Registry registry = Registry::Load(TinyHome(), at::kCPU, [&](const std::string& kind, const std::string& name) {
    loaded.push_back(kind + " " + name);
  });
  EXPECT_EQ(loaded, (std::vector<std::string>{"model tiny", "dictionary tiny_sae", "head tiny_head", "corpus world"}));
  EXPECT_EQ(registry.Model("tiny").name, "tiny");
  EXPECT_EQ(&registry.Model(registry.Model("").digest), &registry.Model(""));
  EXPECT_EQ(registry.Dictionary("", "tiny").hook_point.ToString(), kTinyHook);
  EXPECT_EQ(&registry.Dictionary("", ""), &registry.Dictionary("tiny_sae", "any"));
  EXPECT_EQ(&registry.Head("", "tiny"), &registry.Head("tiny_head", "any"));
  EXPECT_EQ(registry.Head("", "").model, "tiny");
  EXPECT_EQ(registry.Corpus("world").corpus->size(), 50);
}

TEST(Registry, AnEmptyHomeIsEmpty) {
  const Registry registry = Registry::Load(TemporaryFolder(), at::kCPU);
  EXPECT_TRUE(registry.models().empty());
  EXPECT_THROW(registry.Model(""), c10::ValueError);
  EXPECT_THROW(registry.Model("x"), std::out_of_range);
}

TEST(Registry, AMissingHomeIsNamed) {
  const std::string home = TemporaryFolder() + "/nowhere";
  EXPECT_NE(LoadError(home).find(home), std::string::npos);
}

TEST(Registry, AmbiguityIsAnErrorThatListsTheNames) {
  const std::string home = TinyHomeCopy();
  fs::copy(home + "/models/tiny", home + "/models/twin");
  const Registry registry = Registry::Load(home, at::kCPU);
  try {
    registry.Model("");
    FAIL() << "expected an error";
  } catch (const c10::ValueError& error) {
    EXPECT_NE(std::string(error.what_without_backtrace()).find("there are 2: tiny, twin"), std::string::npos)
        << error.what_without_backtrace();
  }
  EXPECT_EQ(registry.Model("twin").name, "twin");
}

TEST(Registry, ADictionaryOfAnotherModelIsNotTheOnlyOne) {
  const Registry registry = Registry::Load(TinyHome(), at::kCPU);
  EXPECT_THROW(registry.Dictionary("", "another"), c10::ValueError);
}

TEST(Registry, AHeadWithoutItsModelIsHeldButBelongsToNone) {
  const std::string home = TinyHomeCopy();
  fs::remove_all(home + "/models/tiny");
  const Registry registry = Registry::Load(home, at::kCPU);
  EXPECT_EQ(registry.Head("tiny_head", "").model, "");
  EXPECT_THROW(registry.Head("", "tiny"), c10::ValueError);
  EXPECT_THROW(registry.Head("x", "tiny"), std::out_of_range);
}

TEST(Registry, UnfinishedFoldersAreNotServed) {
  const std::string home = TinyHomeCopy();
  fs::create_directories(home + "/models/.half");
  EXPECT_EQ(Registry::Load(home, at::kCPU).models().size(), 1u);
}

TEST(Registry, TheAuditCopyIsFloat64AndMadeOnce) {
  const Registry registry = Registry::Load(TinyHome(), at::kCPU);
  const auto audit = registry.Model("").audit_transformer();
  EXPECT_EQ(audit->dtype(), at::kDouble);
  EXPECT_EQ(audit, registry.Model("").audit_transformer());
  EXPECT_EQ(registry.Dictionary("", "").audit_dictionary()->dtype(), at::kDouble);
  EXPECT_EQ(registry.Head("", "").audit_head()->dtype(), at::kDouble);
}

TEST(Registry, AnAuditCopyOfChangedFilesIsRefused) {
  const std::string home = TinyHomeCopy();
  const Registry registry = Registry::Load(home, at::kCPU);
  std::ofstream(home + "/models/tiny/hparams.json", std::ios::app) << "\n";
  EXPECT_THROW(registry.Model("").audit_transformer(), c10::ValueError);
}

// A fault in one file of a home, and what the error names.
struct Fault {
  const char* name;
  std::function<void(const std::string& home)> damage;
  std::vector<std::string> names;
};

void ChangeTensor(const std::string& path, const std::string& name,
                  const std::function<at::Tensor(at::Tensor)>& change) {
  const SafetensorsFile file = SafetensorsFile::Open(path);
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& each : file.names()) tensors[each] = file.Read(each);
  tensors.at(name) = change(tensors.at(name));
  WriteSafetensors(path, tensors);
}

class DamagedHomeTest : public testing::TestWithParam<Fault> {};

TEST_P(DamagedHomeTest, IsRefusedByName) {
  const std::string home = TinyHomeCopy();
  GetParam().damage(home);
  const std::string error = LoadError(home);
  for (const std::string& name : GetParam().names) EXPECT_NE(error.find(name), std::string::npos) << error;
}

INSTANTIATE_TEST_SUITE_P(
    Faults, DamagedHomeTest,
    testing::Values(Fault{"MissingWeights",
                          [](const std::string& h) { fs::remove(h + "/models/tiny/model.safetensors"); },
                          {"models/tiny/model.safetensors"}},
                    Fault{"TruncatedWeights",
                          [](const std::string& h) {
                            const std::string path = h + "/models/tiny/model.safetensors";
                            fs::resize_file(path, fs::file_size(path) - 5);
                          },
                          {"models/tiny/model.safetensors"}},
                    Fault{"NotANumber",
                          [](const std::string& h) {
                            ChangeTensor(h + "/dictionaries/tiny_sae/sae_weights.safetensors", "b_enc",
                                         [](at::Tensor t) { return t.fill_(NAN); });
                          },
                          {"sae_weights.safetensors", "b_enc"}},
                    Fault{"WrongShape",
                          [](const std::string& h) {
                            ChangeTensor(h + "/dictionaries/tiny_sae/sae_weights.safetensors", "W_dec",
                                         [](at::Tensor t) { return t.t().contiguous(); });
                          },
                          {"sae_weights.safetensors", "W_dec"}},
                    Fault{
                        "UnknownTensorOfAHead",
                        [](const std::string& h) {
                          WriteSafetensors(h + "/heads/tiny_head/head.safetensors", {{"decoder.more", at::zeros({1})}});
                        },
                        {"heads/tiny_head/head.safetensors"}},
                    Fault{"MissingVocabulary",
                          [](const std::string& h) { fs::remove(h + "/models/tiny/vocab.tsv"); },
                          {"models/tiny/vocab.tsv"}},
                    Fault{"ShortVocabulary",
                          [](const std::string& h) {
                            const std::string path = h + "/models/tiny/vocab.tsv";
                            std::string text = ReadFile(path);
                            text.resize(text.rfind('\n', text.size() - 2) + 1);
                            WriteFileAtomically(path, text);
                          },
                          {"models/tiny/vocab.tsv", "expected"}},
                    Fault{"TruncatedCorpus",
                          [](const std::string& h) {
                            const std::string path = h + "/corpora/world/token.i32";
                            fs::resize_file(path, fs::file_size(path) - 4);
                          },
                          {"corpora/world/token.i32"}}),
    [](const testing::TestParamInfo<Fault>& info) { return info.param.name; });

TEST(Device, ParsesItsNames) {
  EXPECT_EQ(ParseDevice("cpu"), at::Device(at::kCPU));
  for (const char* name : {"", "gpu", "cuda", "cuda:", "cuda:x", "cuda:1234", "cuda:99"}) {
    EXPECT_THROW(ParseDevice(name), c10::ValueError) << name;
  }
}

TEST(Device, DescriptionsAreThere) {
  EXPECT_GE(AvailableCpus(), 1);
  EXPECT_FALSE(BlasDescription().empty());
  EXPECT_FALSE(TorchVersion().empty());
  EXPECT_FALSE(SoftwareVersion().empty());
}

class CgroupTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  const std::string root_ = TemporaryFolder();
};

TEST_F(CgroupTest, WithoutAQuotaThereIsNoLimit) {
  EXPECT_EQ(CgroupCpuLimit(root_, "0::/a/b\n"), 0);
  Write("/a/cpu.max", "max 100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_, "0::/a/b\n"), 0);
}

TEST_F(CgroupTest, TheTightestGroupOnThePathCounts) {
  Write("/a/cpu.max", "150000 100000\n");
  Write("/a/b/cpu.max", "400000 100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_, "0::/a/b\n"), 2) << "1.5 CPUs are 2 threads";
}

TEST_F(CgroupTest, AQuotaAtTheRootCounts) {
  Write("/cpu.max", "300000 100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_, "0::/\n"), 3);
}

TEST_F(CgroupTest, VersionOneIsRead) {
  Write("/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000\n");
  Write("/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(CgroupCpuLimit(root_, "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n"), 3);
  Write("/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(CgroupCpuLimit(root_, "4:cpu,cpuacct:/docker/x\n"), 0);
}

}  // namespace
}  // namespace lifescope
