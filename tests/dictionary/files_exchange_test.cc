// Every dictionary of the golden data through every format: written and read again it is the same, or the format names
// what it cannot hold.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/dictionary/files/fold.h"
#include "server/dictionary/files/format.h"
#include "server/dictionary/files/saelens.h"
#include "tests/dictionary/golden_file.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

struct Case {
  GoldenFile file;
  DictionaryFormat format;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const GoldenFile& file : GoldenFiles()) {
    for (const std::string& name : FormatNames()) cases.push_back({file, ParseFormat(name)});
  }
  return cases;
}

bool CanHold(DictionaryFormat format, const DictionaryWeights& weights, const DictionaryInfo& info) {
  const bool is_plain = weights.normalisation == Normalisation::kNone, is_topk = weights.architecture == "topk";
  const bool is_transcoder = IsTranscoder(weights, info);
  switch (format) {
    case DictionaryFormat::kSaeLens:
      return !(is_transcoder && is_topk);
    case DictionaryFormat::kSparsify:
      return is_topk && is_plain;
    case DictionaryFormat::kDictionaryLearning:
      return is_plain && !is_transcoder;
    case DictionaryFormat::kOpenAi:
      return !is_transcoder && ((weights.architecture == "standard" && is_plain) ||
                                (is_topk && weights.normalisation == Normalisation::kLayerNorm));
    case DictionaryFormat::kGemmaScope:
      return !is_topk && is_plain && weights.tensors.count("W_skip") == 0;
  }
  return false;
}

// What the dictionary computes, in float64.
struct Outputs {
  at::Tensor acts, recon;
};
Outputs OutputsOf(const DictionaryWeights& weights, const at::Tensor& x) {
  const auto dictionary = MakeDictionary(weights, at::kDouble, at::kCPU);
  const at::Tensor acts = dictionary->Encode(x);
  return {acts, dictionary->Decode(acts, x)};
}

DictionaryWeights RandomWeights(const std::string& architecture) {
  const std::map<std::string, std::vector<const char*>> features{{"standard", {"b_enc"}},
                                                                 {"gated", {"b_gate", "b_mag", "r_mag"}},
                                                                 {"jumprelu", {"b_enc", "threshold"}},
                                                                 {"topk", {"b_enc"}}};
  RandomTensors random(5);
  DictionaryWeights weights{architecture, {}};
  weights.tensors["W_enc"] = random.Normal({4, 8});
  weights.tensors["W_dec"] = random.Normal({8, 4});
  weights.tensors["b_dec"] = random.Normal({4});
  for (const char* name : features.at(architecture)) weights.tensors[name] = random.Normal({8}) * 0.3;
  if (architecture == "topk") weights.k = 3;
  return weights;
}

class Exchange : public testing::TestWithParam<Case> {};

TEST_P(Exchange, WrittenAndReadAgainIsTheSameOrRefused) {
  const auto& [file, format] = GetParam();
  StoredDictionary stored = file.Read();
  // Most files do not say where they belong, and those of sparsify not what a transcoder predicts.
  if (stored.info.hook_point.empty()) stored.info.hook_point = "blocks.1.ln2.hook_normalized";
  if (file.is_transcoder()) stored.info.output_hook_point = "blocks.1.hook_mlp_out";
  const std::string folder = TemporaryFolder() + "/exported";
  if (!CanHold(format, stored.weights, stored.info)) {
    try {
      ExportDictionary(folder, format, stored.weights, stored.info);
      FAIL() << "was written";
    } catch (const c10::ValueError& error) {
      EXPECT_THAT(error.what(), HasSubstr(FormatName(format) + " cannot hold"));
    }
    return;
  }
  ExportDictionary(folder, format, stored.weights, stored.info);
  EXPECT_EQ(DetectFormat(folder), format);
  const StoredDictionary again = ImportDictionary(folder, format);
  if (again.weights.architecture == stored.weights.architecture &&
      again.weights.apply_b_dec_to_input == stored.weights.apply_b_dec_to_input) {
    // Nothing was rewritten, so nothing is rounded.
    for (const auto& [name, tensor] : stored.weights.tensors) {
      EXPECT_TRUE(at::equal(again.weights.tensors.at(name).to(at::kDouble), tensor.to(at::kDouble))) << name;
    }
  }
  const at::Tensor x = file.Rows();
  const Outputs expected = OutputsOf(stored.weights, x), actual = OutputsOf(again.weights, x);
  // Rewritten weights are rounded to the dtype of the file.
  const std::string family = "sae.exchange." + FormatName(format);
  ExpectClose(actual.acts, expected.acts, 5e-6, 0, family + ".acts.f64");
  ExpectClose(actual.recon, expected.recon, 5e-6, 0, family + ".recon.f64");
}

INSTANTIATE_TEST_SUITE_P(Golden, Exchange, testing::ValuesIn(Cases()), [](const auto& info) {
  return TestName(info.param.file.folder + "_as_" + FormatName(info.param.format));
});

TEST(FileExport, SaysWhereADictionaryBelongs) {
  const StoredDictionary stored = GoldenFiles().front().Read();
  const DictionaryInfo info{"base", "blocks.3.hook_resid_post"};
  DictionaryWeights weights = stored.weights;
  weights.apply_b_dec_to_input = true;
  for (const DictionaryFormat format : {DictionaryFormat::kSaeLens, DictionaryFormat::kDictionaryLearning}) {
    const std::string folder = TemporaryFolder() + "/exported";
    ExportDictionary(folder, format, weights, info);
    const DictionaryInfo read = ImportDictionary(folder, format).info;
    EXPECT_EQ(read.model, "base");
    EXPECT_EQ(read.hook_point, "blocks.3.hook_resid_post");
  }
}

TEST(FileExport, WhatOnlyLifescopeComputesIsRefused) {
  RandomTensors random(4);
  DictionaryWeights weights{"gradient_pursuit", {}};
  weights.tensors["W_dec"] = random.Normal({8, 4});
  weights.tensors["b_dec"] = random.Normal({4});
  weights.k = 2;
  for (const std::string& name : FormatNames()) {
    try {
      ExportDictionary(TemporaryFolder() + "/exported", ParseFormat(name), weights, {"m", "blocks.0.hook_resid_post"});
      FAIL() << name << ": was written";
    } catch (const c10::ValueError& error) {
      EXPECT_THAT(error.what(), HasSubstr(name + " cannot hold architecture 'gradient_pursuit'"));
    }
  }
}

TEST(FileExport, AHomeKeepsWhatSaeLensHasNoNameFor) {
  for (const GoldenFile& file : GoldenFiles()) {
    if (file.folder != "sparsify/skip_transcoder") continue;
    const DictionaryInfo info{"base", "blocks.1.ln2.hook_normalized", "blocks.1.hook_mlp_out"};
    const std::string folder = TemporaryFolder() + "/kept";
    const DictionaryWeights weights = file.Read().weights;
    WriteSaeLens(folder, weights, info);
    const StoredDictionary kept = ReadSaeLens(folder);
    EXPECT_EQ(kept.info.output_hook_point, info.output_hook_point);
    EXPECT_EQ(kept.weights.k, weights.k);
    EXPECT_FALSE(kept.weights.apply_b_dec_to_input);
    for (const auto& [name, tensor] : weights.tensors) EXPECT_TRUE(at::equal(kept.weights.tensors.at(name), tensor));
    EXPECT_TRUE(LoadSaeLens(folder, at::kFloat, at::kCPU).is_transcoder());
    return;
  }
  FAIL() << "the golden data has no sparsify/skip_transcoder";
}

// Of equal widths, so that nothing but its name tells it from an autoencoder.
TEST(FileImport, ATranscoderIsOneWhereItDoesNotSayOfWhat) {
  DictionaryWeights weights = RandomWeights("standard");
  weights.apply_b_dec_to_input = false;
  const std::string folder = TemporaryFolder() + "/transcoder";
  WriteSaeLens(folder, weights, {"base", "blocks.1.hook_resid_mid", "blocks.1.hook_mlp_out"});
  nlohmann::json config = nlohmann::json::parse(ReadFile(folder + "/cfg.json"));
  EXPECT_EQ(config["metadata"].erase("hook_name_out"), 1u);
  WriteFileAtomically(folder + "/cfg.json", config.dump());
  const StoredDictionary stored = ReadSaeLens(folder);
  EXPECT_TRUE(stored.info.output_hook_point.empty());
  EXPECT_TRUE(IsTranscoder(stored.weights, stored.info));
  EXPECT_TRUE(LoadSaeLens(folder, at::kFloat, at::kCPU).is_transcoder());
  config["architecture"] = "standard";
  config.erase("d_out");
  WriteFileAtomically(folder + "/cfg.json", config.dump());
  EXPECT_FALSE(LoadSaeLens(folder, at::kFloat, at::kCPU).is_transcoder());
}

// As a home keeps what was trained.
TEST(FileExport, TranscodersComeBackFromWhatCanHoldThem) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> holders{{"topk", {"sparsify"}},
                                                                              {"standard", {"saelens", "gemma_scope"}},
                                                                              {"gated", {"gemma_scope"}},
                                                                              {"jumprelu", {"saelens", "gemma_scope"}}};
  const DictionaryInfo info{"base", "blocks.1.hook_resid_mid", "blocks.1.hook_mlp_out"};
  const at::Tensor x = RandomTensors(6).Normal({50, 4});
  for (const auto& [architecture, formats] : holders) {
    DictionaryWeights weights = RandomWeights(architecture);
    weights.apply_b_dec_to_input = false;
    const std::string home = TemporaryFolder();
    WriteSaeLens(home + "/kept", weights, info);
    const StoredDictionary kept = ReadSaeLens(home + "/kept");
    for (const std::string& name : FormatNames()) {
      SCOPED_TRACE(architecture + " as " + name);
      const auto export_it = [&] { ExportDictionary(home + "/" + name, ParseFormat(name), kept.weights, kept.info); };
      if (std::find(formats.begin(), formats.end(), name) == formats.end()) {
        EXPECT_THROW(export_it(), c10::ValueError);
        continue;
      }
      export_it();
      const StoredDictionary again = ImportDictionary(home + "/" + name, ParseFormat(name));
      EXPECT_EQ(again.info.is_called_transcoder, name != "gemma_scope") << "params.npz does not say";
      const Outputs expected = OutputsOf(weights, x), actual = OutputsOf(again.weights, x);
      // Gated is rewritten as jumprelu.
      const double tolerance = architecture == "gated" ? 1e-12 : 0;
      EXPECT_TRUE(at::allclose(actual.acts, expected.acts, 0, tolerance));
      EXPECT_TRUE(at::allclose(actual.recon, expected.recon, 0, tolerance));
    }
  }
}

TEST(FileExport, NeverTouchesWhatIsThere) {
  const StoredDictionary stored = GoldenFiles().front().Read();
  const std::string folder = TemporaryFolder() + "/exported";
  ExportDictionary(folder, DictionaryFormat::kSaeLens, stored.weights, stored.info);
  EXPECT_THROW(ExportDictionary(folder, DictionaryFormat::kSaeLens, stored.weights, stored.info), c10::ValueError);
}

class Folding : public testing::TestWithParam<std::string> {};

TEST_P(Folding, OfTheInputBiasChangesNothing) {
  const DictionaryWeights weights = RandomWeights(GetParam());
  const at::Tensor x = RandomTensors(6).Normal({50, 4});
  const DictionaryWeights folded = WithInputBias(weights, false), back = WithInputBias(folded, true);
  EXPECT_FALSE(folded.apply_b_dec_to_input);
  const Outputs expected = OutputsOf(weights, x);
  for (const DictionaryWeights& other : {folded, back}) {
    const Outputs actual = OutputsOf(other, x);
    ExpectClose(actual.acts, expected.acts, 1e-12, 0, "sae.fold_input_bias.acts.f64");
    ExpectClose(actual.recon, expected.recon, 1e-12, 0, "sae.fold_input_bias.recon.f64");
  }
}

TEST_P(Folding, IntoJumpReluChangesNothing) {
  const DictionaryWeights weights = RandomWeights(GetParam());
  if (GetParam() == "topk") {
    EXPECT_THROW(AsJumpRelu(weights), c10::ValueError);
    return;
  }
  const at::Tensor x = RandomTensors(6).Normal({50, 4});
  const DictionaryWeights jumprelu = AsJumpRelu(weights);
  EXPECT_EQ(jumprelu.architecture, "jumprelu");
  const Outputs expected = OutputsOf(weights, x), actual = OutputsOf(jumprelu, x);
  ExpectClose(actual.acts, expected.acts, 1e-12, 0, "sae.fold_jumprelu.acts.f64");
  ExpectClose(actual.recon, expected.recon, 1e-12, 0, "sae.fold_jumprelu.recon.f64");
}

INSTANTIATE_TEST_SUITE_P(Architectures, Folding, testing::Values("standard", "gated", "jumprelu", "topk"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lifescope
