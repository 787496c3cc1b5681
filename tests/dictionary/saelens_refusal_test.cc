// What a SAELens folder must not be.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/dictionary/dictionary.h"
#include "server/dictionary/files/saelens.h"
#include "tests/dictionary/saelens_folder.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Matcher;

void ExpectRefused(const std::string& folder, const Matcher<const char*>& message) {
  try {
    LoadSaeLens(folder, at::kFloat, at::kCPU);
    FAIL() << "was loaded";
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what(), message);
  }
}

struct Fault {
  std::string name;
  std::function<void(SaeLensFolder&)> apply;
  std::vector<const char*> says;
};

std::vector<Fault> Faults() {
  return {
      {"UnknownKey", [](auto& f) { f.config["beta"] = 1; }, {"cfg.json", "unknown key 'beta'", "d_sae"}},
      {"KeyOfAnotherArchitecture", [](auto& f) { f.config["k"] = 2; }, {"unknown key 'k'"}},
      {"MissingKey", [](auto& f) { f.config.erase("d_sae"); }, {"cfg.json", "key 'd_sae' is missing"}},
      {"WrongType", [](auto& f) { f.config["d_in"] = "four"; }, {"'d_in' is \"four\"", "a positive integer"}},
      {"NegativeWidth", [](auto& f) { f.config["d_in"] = -4; }, {"'d_in' is -4"}},
      {"HugeWidth", [](auto& f) { f.config["d_in"] = 1LL << 40; }, {"'d_in' is 1099511627776"}},
      {"UnknownNormalisation",
       [](auto& f) { f.config["normalize_activations"] = "l1"; },
       {"'normalize_activations' is \"l1\"", "layer_norm"}},
      {"UnknownReshape",
       [](auto& f) { f.config["reshape_activations"] = "heads"; },
       {"'reshape_activations'", "hook_z"}},
      {"UnknownDtype", [](auto& f) { f.config["dtype"] = "int8"; }, {"'dtype' is \"int8\"", "float32"}},
      {"UnknownArchitecture",
       [](auto& f) { f.config["architecture"] = "temporal"; },
       {"architecture 'temporal' is not supported; supported: batchtopk, codebook, codebook_euclidean, gated, "}},
      {"NoHookPoint", [](auto& f) { f.config["metadata"].erase("hook_name"); }, {"metadata", "'hook_name' is missing"}},
      {"OneHead", [](auto& f) { f.config["metadata"]["hook_head_index"] = 3; }, {"'hook_head_index' is 3"}},
      {"MetadataNotAnObject", [](auto& f) { f.config["metadata"] = 1; }, {"metadata is 1", "an object"}},
      {"UnfoldedFactor",
       [](auto& f) { f.config["normalize_activations"] = "expected_average_only_in"; },
       {"expected_average_only_in", "activation_scaler.json"}},
      {"TopKWithoutK", [](auto& f) { f.config["architecture"] = "topk"; }, {"key 'k' is missing"}},
      {"TopKAboveWidth",
       [](auto& f) {
         f.config.update({{"architecture", "topk"}, {"k", 9}});
       },
       {"'k' is 9", "at most d_sae, 8"}},
      {"TopKFraction",
       [](auto& f) {
         f.config.update({{"architecture", "topk"}, {"k", 2.5}});
       },
       {"'k' is 2.5"}},
      {"UnknownTensor",
       [](auto& f) {
         f.tensors["W_skip"] = at::zeros({4, 4});
       },
       {"unknown tensor 'W_skip'", "'standard'"}},
      {"TranscoderWithoutOutputWidth",
       [](auto& f) { f.config["architecture"] = "transcoder"; },
       {"key 'd_out' is missing"}},
      {"TranscoderThatSubtractsItsOutputBias",
       [](auto& f) {
         f.config.update({{"architecture", "transcoder"}, {"d_out", 3}});
         f.tensors["W_dec"] = at::zeros({8, 3});
         f.tensors["b_dec"] = at::zeros({3});
       },
       {"'apply_b_dec_to_input' is true, expected false for architecture 'transcoder'"}},
      {"NormalisedTranscoder",
       [](auto& f) {
         f.config.update({{"architecture", "skip_transcoder"},
                          {"d_out", 4},
                          {"apply_b_dec_to_input", false},
                          {"normalize_activations", "layer_norm"}});
         f.tensors["W_skip"] = at::zeros({4, 4});
       },
       {"a transcoder with normalised input is not supported"}},
      {"SkipTranscoderWithoutSkip",
       [](auto& f) {
         f.config.update({{"architecture", "skip_transcoder"}, {"d_out", 4}, {"apply_b_dec_to_input", false}});
       },
       {"tensor 'W_skip' is missing, expected shape [4, 4]"}},
      {"MissingTensor", [](auto& f) { f.tensors.erase("b_enc"); }, {"tensor 'b_enc' is missing", "[8]"}},
      {"WrongShape",
       [](auto& f) {
         f.tensors["W_enc"] = at::zeros({8, 4});
       },
       {"'W_enc' has shape [8, 4], expected [4, 8]"}},
      {"IntegerTensor", [](auto& f) { f.tensors["b_enc"] = at::zeros({8}, at::kLong); }, {"'b_enc' is Long"}},
      {"InfiniteValue",
       [](auto& f) { f.tensors["W_dec"][1][2] = std::numeric_limits<float>::infinity(); },
       {"'W_dec' has a value that is NaN or infinite"}},
      {"JumpReluWithoutThreshold", [](auto& f) { f.config["architecture"] = "jumprelu"; }, {"'threshold' is missing"}},
      {"ScalingFactorInVersion6",
       [](auto& f) { f.tensors["scaling_factor"] = at::ones({8}); },
       {"unknown tensor 'scaling_factor'"}},
  };
}

class SaeLensFault : public testing::TestWithParam<Fault> {};

TEST_P(SaeLensFault, IsNamedAndRefused) {
  SaeLensFolder folder;
  GetParam().apply(folder);
  const std::string path = folder.Write();
  for (const char* part : GetParam().says) ExpectRefused(path, HasSubstr(part));
}

INSTANTIATE_TEST_SUITE_P(Folder, SaeLensFault, testing::ValuesIn(Faults()),
                         [](const auto& info) { return info.param.name; });

TEST(SaeLensRefusal, WellFormedFolderLoads) {
  EXPECT_EQ(LoadSaeLens(SaeLensFolder().Write(), at::kFloat, at::kCPU).dictionary->architecture(), "standard");
}

TEST(SaeLensRefusal, MissingFolderIsRefused) { ExpectRefused("/nowhere/at", HasSubstr("/nowhere/at/cfg.json")); }

TEST(SaeLensRefusal, ConfigThatIsNotJsonIsRefused) {
  const std::string path = SaeLensFolder().Write();
  WriteFileAtomically(path + "/cfg.json", "{\"d_in\": 4,");
  ExpectRefused(path, HasSubstr("cfg.json is not JSON"));
  WriteFileAtomically(path + "/cfg.json", "[1]");
  ExpectRefused(path, HasSubstr("expected an object"));
}

TEST(SaeLensRefusal, ActivationScalerMustBeOnePositiveNumber) {
  SaeLensFolder folder;
  folder.config["normalize_activations"] = "expected_average_only_in";
  const std::string path = folder.Write();
  for (const char* text : {R"({"scaling_factor": 0})", R"({"scaling_factor": null})", R"({"scale": 1})", "{}"}) {
    WriteFileAtomically(path + "/activation_scaler.json", text);
    ExpectRefused(path, AllOf(HasSubstr("activation_scaler.json"), HasSubstr("scaling_factor")));
  }
}

TEST(SaeLensRefusal, ActivationScalerMustLeaveNumbers) {
  SaeLensFolder folder;
  folder.config["normalize_activations"] = "expected_average_only_in";
  const std::string path = folder.Write();
  WriteFileAtomically(path + "/activation_scaler.json", R"({"scaling_factor": 5e-324})");
  EXPECT_THROW(ReadSaeLens(path), c10::ValueError);
  WriteFileAtomically(path + "/activation_scaler.json", R"({"scaling_factor": 1e-100})");
  EXPECT_NO_THROW(ReadSaeLens(path));
  ExpectRefused(path, HasSubstr("'W_dec' has a value that Float cannot hold"));
}

TEST(SaeLensRefusal, OnlyFloatAndDoubleAreComputed) {
  EXPECT_THROW(LoadSaeLens(SaeLensFolder().Write(), at::kHalf, at::kCPU), c10::ValueError);
}

// The flat form of before version 6.
nlohmann::json FlatConfig() {
  return {{"d_in", 4},
          {"d_sae", 8},
          {"hook_name", "blocks.1.hook_resid_post"},
          {"model_name", "example-model"},
          {"activation_fn_str", "relu"},
          {"activation_fn_kwargs", nlohmann::json::object()}};
}

TEST(SaeLensFlat, ScalingFactorOfOnesIsAcceptedAndOthersRefused) {
  SaeLensFolder folder;
  folder.config = FlatConfig();
  folder.tensors["scaling_factor"] = at::ones({8});
  EXPECT_NO_THROW(LoadSaeLens(folder.Write(), at::kFloat, at::kCPU));
  folder.tensors["scaling_factor"][3] = 1.5;
  ExpectRefused(folder.Write(), HasSubstr("'scaling_factor' has other values than 1"));
}

TEST(SaeLensFlat, WhatItMeansElsewhereIsRefused) {
  const auto refuse = [](const char* key, const nlohmann::json& value, const char* message) {
    SaeLensFolder folder;
    folder.config = FlatConfig();
    folder.config[key] = value;
    ExpectRefused(folder.Write(), HasSubstr(message));
  };
  refuse("beta", 1, "unknown key 'beta'");
  refuse("finetuning_scaling_factor", true, "'finetuning_scaling_factor' is true, expected false");
  refuse("activation_fn_str", "tanh-relu", "'activation_fn' is \"tanh-relu\"");
  refuse("activation_fn_str", "topk", "key 'k' is missing");
  refuse("activation_fn", "relu", "key 'activation_fn' is there twice");
  refuse("activation_fn_kwargs", {{"k", 3}}, "unknown key 'k'");
  refuse("hook_point_head_index", 2, "'hook_head_index' is 2");
  refuse("normalize_activations", true, "expected_average_only_in");
  refuse("architecture", "temporal", "architecture 'temporal' is not supported; supported: ");
}

class MalformedWeights : public testing::TestWithParam<std::string> {};

TEST_P(MalformedWeights, AreRefused) {
  const std::string path = SaeLensFolder().Write();
  const std::string file = path + "/sae_weights.safetensors";
  std::filesystem::copy_file(GoldenPath("sae/files/malformed/" + GetParam() + ".safetensors"), file,
                             std::filesystem::copy_options::overwrite_existing);
  const std::map<std::string, const char*> faults{
      {"truncated_body", "truncated: the header describes"},
      {"truncated_header", "truncated: header length is"},
      {"short", "truncated: 5 bytes"},
      {"header_length_huge", "header length is 4611686018427387904 bytes, the limit is"},
      {"trailing_bytes", "8 trailing bytes after the last tensor"},
      {"shape_bytes_mismatch", "but data_offsets hold 16"},
      {"unknown_dtype", "has unknown dtype \"F9\""},
      {"negative_offset", "in data_offsets, expected an integer that is not negative"},
      {"shape_overflow", "has a shape whose byte count overflows 64 bits"},
      {"not_json", "header is not JSON"},
      {"missing_b_dec", "tensor 'b_dec' is missing, expected shape [4]"},
      {"transposed_w_dec", "tensor 'W_dec' has shape [4, 8], expected [8, 4]"},
      {"nan_bias", "tensor 'b_enc' has a value that is NaN or infinite"}};
  ASSERT_EQ(faults.count(GetParam()), 1u) << "a file whose fault this test does not know";
  ExpectRefused(path, AllOf(HasSubstr(file), HasSubstr(faults.at(GetParam()))));
}

std::vector<std::string> MalformedNames() {
  const std::string folder = GoldenPath("sae/files/malformed");
  const std::string good = ReadFile(folder + "/good.safetensors");
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::filesystem::path& path = entry.path();
    // overlap.safetensors holds the bytes of good.safetensors: nothing is wrong with it.
    if (path.extension() == ".safetensors" && ReadFile(path) != good) names.push_back(path.stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Golden, MalformedWeights, testing::ValuesIn(MalformedNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lifescope
