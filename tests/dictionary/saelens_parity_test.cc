// Every SAELens folder of the golden data, in both dtypes.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/dictionary.h"
#include "server/dictionary/files/saelens.h"
#include "tests/dictionary/saelens_folder.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

const char kFiles[] = "sae/files/";

struct Case {
  std::string folder;  // "saelens6/topk"
  at::ScalarType dtype;
  bool is_double() const { return dtype == at::kDouble; }
  std::string suffix() const { return is_double() ? ".f64" : ".f32"; }
  double tolerance() const { return is_double() ? 1e-9 : 5e-6; }
};

bool IsTranscoder(const std::string& folder) { return folder.find("transcoder") != std::string::npos; }
int64_t OutputDim(const std::string& folder) { return IsTranscoder(folder) ? 24 : 32; }
bool IsBatchTopKCheckpoint(const std::string& folder) { return folder == "saelens6/batchtopk_checkpoint"; }

std::vector<std::string> Folders() {
  std::vector<std::string> folders;
  for (const std::string parent : {"saelens6", "saelens_pre6"}) {
    for (const std::string& name : GoldenFolders(kFiles + parent)) folders.push_back(parent + "/" + name);
  }
  return folders;
}

std::vector<Case> DictionaryCases() {
  std::vector<Case> cases;
  for (const std::string& folder : Folders()) {
    for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) cases.push_back({folder, dtype});
  }
  return cases;
}

std::string TestName(std::string text) {
  for (char& c : text) {
    if (!isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return text;
}

struct Expected {
  at::Tensor x, acts, recon;
};

Expected ReadExpected(const std::string& folder, int64_t width, int64_t features) {
  const SafetensorsFile golden = SafetensorsFile::Open(GoldenPath(kFiles + folder + "/golden.safetensors"));
  // A hook_z dictionary reads all heads of a position as one row.
  return {golden.Read("in/x").reshape({-1, width}), golden.Read("f64/acts").reshape({-1, features}),
          golden.Read("f64/recon").reshape({-1, OutputDim(folder)})};
}

// The golden outputs of a BatchTopK checkpoint are of training, which selects over the batch; at inference its
// threshold decides.
Expected ExpectedOfThreshold(const std::string& folder) {
  const SafetensorsFile weights = SafetensorsFile::Open(GoldenPath(kFiles + folder + "/sae_weights.safetensors"));
  const auto read = [&](const char* name) { return weights.Read(name).to(at::kDouble); };
  const at::Tensor x = ReadExpected(folder, 32, 128).x;
  const at::Tensor norm = at::norm(read("W_dec"), 2, 1);
  const at::Tensor pre = ((x.to(at::kDouble) - read("b_dec")).mm(read("W_enc")) + read("b_enc")) * norm;
  const at::Tensor acts = pre.relu() * (pre > read("topk_threshold"));
  return {x, acts, (acts / norm).mm(read("W_dec")) + read("b_dec")};
}

class SaeLensParity : public testing::TestWithParam<Case> {};

TEST_P(SaeLensParity, EncodesAndDecodesAsTheReference) {
  const Case& c = GetParam();
  const LoadedDictionary loaded = LoadSaeLens(GoldenPath(kFiles + c.folder), c.dtype, at::kCPU);
  const Dictionary& dictionary = *loaded.dictionary;
  const Expected expected =
      IsBatchTopKCheckpoint(c.folder) ? ExpectedOfThreshold(c.folder) : ReadExpected(c.folder, 32, 128);
  EXPECT_EQ(dictionary.activation_dim(), 32);
  EXPECT_EQ(dictionary.output_dim(), OutputDim(c.folder));
  EXPECT_EQ(dictionary.feature_count(), 128);
  EXPECT_EQ(dictionary.DecoderDirections().sizes(), at::IntArrayRef({128, OutputDim(c.folder)}));
  EXPECT_EQ(dictionary.dtype(), c.dtype);
  const at::Tensor x = expected.x.to(c.dtype);
  const at::Tensor acts = dictionary.Encode(x);
  const std::string family = "sae." + c.folder;
  ExpectClose(acts, expected.acts, c.tolerance(), 0, family + ".acts" + c.suffix());
  ExpectClose(dictionary.Decode(acts, x), expected.recon, c.tolerance(), 0, family + ".recon" + c.suffix());
  EXPECT_TRUE(at::equal(acts > 0, expected.acts > 0)) << "other features are active";
}

TEST_P(SaeLensParity, KnowsWhereItBelongs) {
  const LoadedDictionary loaded = LoadSaeLens(GoldenPath(kFiles + GetParam().folder), GetParam().dtype, at::kCPU);
  EXPECT_EQ(loaded.info.model, "example-model");
  const bool is_hook_z = GetParam().folder == "saelens6/standard_hook_z";
  const bool is_transcoder = IsTranscoder(GetParam().folder);
  EXPECT_EQ(loaded.info.hook_point, is_hook_z       ? "blocks.1.attn.hook_z"
                                    : is_transcoder ? "blocks.1.ln2.hook_normalized"
                                                    : "blocks.1.hook_resid_post");
  EXPECT_EQ(loaded.info.output_hook_point, is_transcoder ? "blocks.1.hook_mlp_out" : "");
  EXPECT_EQ(loaded.is_transcoder(), is_transcoder);
}

TEST_P(SaeLensParity, ChangeOfActivationsDecodesToTheDifferenceOfReconstructions) {
  const Case& c = GetParam();
  const auto dictionary = LoadSaeLens(GoldenPath(kFiles + c.folder), c.dtype, at::kCPU).dictionary;
  const at::Tensor x = ReadExpected(c.folder, 32, 128).x.to(c.dtype);
  const at::Tensor acts = dictionary->Encode(x);
  const std::vector<int64_t> features{5, 77, 127};
  const at::Tensor change = RandomTensors(3).Normal({x.size(0), 3}, c.dtype);
  at::Tensor changed = acts.clone();
  for (int64_t i = 0; i < 3; ++i) changed.select(1, features[i]).add_(change.select(1, i));
  const at::Tensor difference = dictionary->Decode(changed, x) - dictionary->Decode(acts, x);
  ExpectClose(dictionary->DecodeChange(change, features, x), difference, c.is_double() ? 1e-12 : 1e-5, 0,
              "sae.decode_change" + c.suffix());
}

INSTANTIATE_TEST_SUITE_P(Golden, SaeLensParity, testing::ValuesIn(DictionaryCases()),
                         [](const auto& info) { return TestName(info.param.folder + info.param.suffix()); });

TEST(SaeLensCheckpoint, BatchTopKActsAsItsExport) {
  const std::string exported = "saelens6/batchtopk_inference";
  if (!HasGolden(kFiles + exported)) GTEST_SKIP() << "not in the small golden set";
  const auto checkpoint =
      LoadSaeLens(GoldenPath(kFiles + std::string("saelens6/batchtopk_checkpoint")), at::kDouble, at::kCPU).dictionary;
  const Expected expected = ReadExpected(exported, 32, 128);
  EXPECT_EQ(checkpoint->architecture(), "jumprelu");
  const at::Tensor acts = checkpoint->Encode(expected.x.to(at::kDouble));
  // The export rounds folded weights to float32.
  ExpectClose(acts, expected.acts, 1e-6, 0, "sae.batchtopk_checkpoint_as_export.acts.f64");
}

TEST(SaeLensCheckpoint, MatryoshkaActsByItsThreshold) {
  SaeLensFolder folder("matryoshka_batchtopk");
  folder.config["k"] = 2.5;
  folder.config["matryoshka_widths"] = {2, 4, 8};
  folder.config["use_matryoshka_aux_loss"] = false;
  folder.config["topk_threshold_lr"] = 0.01;
  folder.tensors["topk_threshold"] = at::scalar_tensor(0.5, at::kDouble);
  const auto dictionary = LoadSaeLens(folder.Write(), at::kDouble, at::kCPU).dictionary;
  EXPECT_EQ(dictionary->architecture(), "jumprelu");
  const auto weight = [&](const char* name) { return folder.tensors.at(name).to(at::kDouble); };
  const at::Tensor x = RandomTensors(2).Normal({16, SaeLensFolder::kWidth});
  const at::Tensor pre = (x - weight("b_dec")).mm(weight("W_enc")) + weight("b_enc");
  ExpectClose(dictionary->Encode(x), pre * (pre > 0.5), 1e-12, 0, "sae.matryoshka_checkpoint.acts.f64");
}

TEST(SaeLensInputFactor, BesideTheWeightsIsFolded) {
  SaeLensFolder folder;
  const std::string plain = folder.Write();
  folder.config["normalize_activations"] = "expected_average_only_in";
  const std::string scaled = folder.Write();
  WriteFileAtomically(scaled + "/activation_scaler.json", R"({"scaling_factor": 0.73})");
  const auto reference = LoadSaeLens(plain, at::kDouble, at::kCPU);
  const auto folded = LoadSaeLens(scaled, at::kDouble, at::kCPU);
  const at::Tensor x = RandomTensors(1).Normal({6, SaeLensFolder::kWidth});
  const at::Tensor acts = reference.dictionary->Encode(x * 0.73);
  ExpectClose(folded.dictionary->Encode(x), acts, 1e-12, 0, "sae.input_factor.acts.f64");
  ExpectClose(folded.dictionary->Decode(acts, x), reference.dictionary->Decode(acts, x) / 0.73, 1e-12, 0,
              "sae.input_factor.recon.f64");
}

TEST(SaeLensInputFactor, IsPartOfTheDigest) {
  SaeLensFolder folder;
  folder.config["normalize_activations"] = "expected_average_only_in";
  const std::string path = folder.Write();
  WriteFileAtomically(path + "/activation_scaler.json", R"({"scaling_factor": 0.73})");
  const std::string before = LoadSaeLens(path, at::kFloat, at::kCPU).digest;
  WriteFileAtomically(path + "/activation_scaler.json", R"({"scaling_factor": 0.74})");
  EXPECT_NE(LoadSaeLens(path, at::kFloat, at::kCPU).digest, before);
}

TEST(SaeLensTopK, SelectsByDecoderNormWhenAsked) {
  SaeLensFolder folder("topk");
  folder.config["k"] = 2;
  folder.config["rescale_acts_by_decoder_norm"] = true;
  const auto dictionary = LoadSaeLens(folder.Write(), at::kDouble, at::kCPU).dictionary;
  const auto weight = [&](const char* name) { return folder.tensors.at(name).to(at::kDouble); };
  const at::Tensor x = RandomTensors(2).Normal({16, SaeLensFolder::kWidth});
  const at::Tensor norm = at::norm(weight("W_dec"), 2, 1);
  const at::Tensor pre = ((x - weight("b_dec")).mm(weight("W_enc")) + weight("b_enc")) * norm;
  const at::Tensor chosen = std::get<1>(pre.topk(2, 1));
  const at::Tensor expected = at::zeros_like(pre).scatter(1, chosen, pre.gather(1, chosen).relu());
  const at::Tensor acts = dictionary->Encode(x);
  ExpectClose(acts, expected, 1e-12, 0, "sae.topk_rescaled_unfolded.acts.f64");
  ExpectClose(dictionary->Decode(acts, x), (expected / norm).mm(weight("W_dec")) + weight("b_dec"), 1e-12, 0,
              "sae.topk_rescaled_unfolded.recon.f64");
}

TEST(SaeLensDigest, IsOfNamesAndContents) {
  const std::string path = SaeLensFolder().Write();
  const std::string lines = "cfg.json " + Sha256OfFile(path + "/cfg.json") + "\nsae_weights.safetensors " +
                            Sha256OfFile(path + "/sae_weights.safetensors") + "\n";
  EXPECT_EQ(LoadSaeLens(path, at::kFloat, at::kCPU).digest, Sha256(lines));
}

}  // namespace
}  // namespace lifescope
