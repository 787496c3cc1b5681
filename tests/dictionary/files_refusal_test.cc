// What the files of other programs must not be.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/npz.h"
#include "server/artifact/safetensors.h"
#include "server/artifact/torch_file.h"
#include "server/artifact/torch_writer.h"
#include "server/dictionary/files/format.h"
#include "tests/dictionary/golden_file.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

constexpr int64_t kWidth = 4, kFeatures = 8;

// A small file of each format, well formed until a test changes it.
struct SmallFile {
  DictionaryFormat format;
  nlohmann::json config;                      // of those that have one
  std::map<std::string, at::Tensor> tensors;  // under the format's names
  std::map<std::string, std::string> pickled;

  std::string Write() const {
    const std::string folder = TemporaryFolder();
    std::vector<TorchEntry> entries;
    for (const auto& [name, tensor] : tensors) entries.push_back({name, tensor});
    for (const auto& [name, value] : pickled) entries.push_back({name, {}, value});
    ZipRecords arrays;
    for (const auto& [name, tensor] : tensors) {
      const std::string_view data(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
      arrays.emplace_back(name + ".npy", NpyOf({NpyElement::kFloat, tensor.sizes().vec(), data}));
    }
    switch (format) {
      case DictionaryFormat::kSparsify:
        WriteFileAtomically(folder + "/cfg.json", config.dump());
        WriteSafetensors(folder + "/sae.safetensors", tensors);
        break;
      case DictionaryFormat::kDictionaryLearning:
        WriteFileAtomically(folder + "/config.json", config.dump());
        WriteTorchFile(folder + "/ae.pt", entries);
        break;
      case DictionaryFormat::kOpenAi:
        WriteTorchFile(folder + "/autoencoder.pt", entries);
        break;
      default:
        WriteFileAtomically(folder + "/params.npz", ZipOf(arrays));
    }
    return folder;
  }
};

SmallFile Small(DictionaryFormat format) {
  RandomTensors random(3);
  const auto draw = [&](std::vector<int64_t> shape) { return random.Normal(shape, at::kFloat); };
  switch (format) {
    case DictionaryFormat::kSparsify:
      return {format,
              {{"activation", "topk"}, {"expansion_factor", 2}, {"num_latents", 0}, {"k", 2}, {"d_in", kWidth}},
              {{"encoder.weight", draw({kFeatures, kWidth})},
               {"encoder.bias", draw({kFeatures})},
               {"W_dec", draw({kFeatures, kWidth})},
               {"b_dec", draw({kWidth})}},
              {}};
    case DictionaryFormat::kDictionaryLearning:
      return {format,
              {{"trainer", {{"dict_class", "BatchTopKSAE"}, {"activation_dim", 4}, {"dict_size", 8}, {"k", 2}}}},
              {{"encoder.weight", draw({kFeatures, kWidth})},
               {"encoder.bias", draw({kFeatures})},
               {"decoder.weight", draw({kWidth, kFeatures})},
               {"b_dec", draw({kWidth})},
               {"k", at::scalar_tensor(2, at::kInt)},
               {"threshold", at::scalar_tensor(0.5, at::kFloat)}},
              {}};
    case DictionaryFormat::kOpenAi:
      return {format,
              {},
              {{"encoder.weight", draw({kFeatures, kWidth})},
               {"latent_bias", draw({kFeatures})},
               {"decoder.weight", draw({kWidth, kFeatures})},
               {"pre_bias", draw({kWidth})}},
              {{"activation", PickleString("TopK")},
               {"activation_state_dict", PickleDict({{"k", PickleInt(2)}, {"postact_fn", PickleString("ReLU")}})}}};
    default:
      return {format,
              {},
              {{"W_enc", draw({kWidth, kFeatures})},
               {"W_dec", draw({kFeatures, kWidth})},
               {"b_enc", draw({kFeatures})},
               {"b_dec", draw({kWidth})},
               {"threshold", draw({kFeatures}).abs()}},
              {}};
  }
}

void ExpectRefused(const std::string& folder, DictionaryFormat format, const std::string& message) {
  try {
    ImportDictionary(folder, format);
    FAIL() << "was read; expected: " << message;
  } catch (const c10::ValueError& error) {
    EXPECT_THAT(error.what(), HasSubstr(message));
    EXPECT_THAT(error.what(), HasSubstr(folder));
  }
}

struct Fault {
  std::string name;
  DictionaryFormat format;
  std::function<void(SmallFile&)> apply;
  std::string says;
};

std::vector<Fault> Faults() {
  const auto sparsify = DictionaryFormat::kSparsify;
  const auto learning = DictionaryFormat::kDictionaryLearning;
  const auto openai = DictionaryFormat::kOpenAi;
  const auto gemma = DictionaryFormat::kGemmaScope;
  return {
      {"UnknownKey", sparsify, [](auto& f) { f.config["signed"] = true; }, "unknown key 'signed'"},
      {"GroupMax", sparsify, [](auto& f) { f.config["activation"] = "groupmax"; }, "'activation' is \"groupmax\""},
      {"KAboveLatents", sparsify, [](auto& f) { f.config["k"] = 9; }, "'k' is 9, expected at most"},
      {"OtherExpansion", sparsify, [](auto& f) { f.config["expansion_factor"] = 3; },
       "'encoder.weight' has shape [8, 4], expected [12, 4]"},
      {"TransposedDecoder", sparsify,
       [](auto& f) {
         f.tensors["W_dec"] = at::zeros({4, 8});
       },
       "'W_dec' has shape [4, 8], expected [8, 4]"},
      {"SkipThatIsNotSaid", sparsify,
       [](auto& f) {
         f.tensors["W_skip"] = at::zeros({4, 4});
       },
       "unknown tensor 'W_skip'"},
      {"SkipThatIsNotThere", sparsify, [](auto& f) { f.config["skip_connection"] = true; },
       "'W_skip' is missing, expected shape [4, 4]"},
      {"UnknownClass", learning, [](auto& f) { f.config["trainer"]["dict_class"] = "IdentityDict"; },
       "'dict_class' is \"IdentityDict\", expected one of: AutoEncoder"},
      {"NoTrainer", learning, [](auto& f) { f.config = nlohmann::json::object(); }, "key 'trainer' is missing"},
      {"OtherWidth", learning, [](auto& f) { f.config["trainer"]["activation_dim"] = 5; },
       "'encoder.weight' has shape [8, 4], expected [8, 5]"},
      {"OtherK", learning, [](auto& f) { f.config["trainer"]["k"] = 3; }, "'k' is 2, expected 3 as in config.json"},
      {"ThresholdNeverSet", learning, [](auto& f) { f.tensors["threshold"] = at::scalar_tensor(-1.0, at::kFloat); },
       "'threshold' is -1, expected 0 or more"},
      {"MissingTensor", learning, [](auto& f) { f.tensors.erase("b_dec"); }, "tensor 'b_dec' is missing"},
      {"UnknownTensor", learning, [](auto& f) { f.tensors["W"] = at::zeros({1}); }, "unknown tensor 'W'"},
      {"NaN", learning, [](auto& f) { f.tensors["b_dec"][1] = std::nan(""); }, "'b_dec' has a value that is NaN"},
      {"IntegerWeights", learning, [](auto& f) { f.tensors["b_dec"] = at::zeros({4}, at::kLong); }, "'b_dec' is Long"},
      {"SomethingElseThanTensors", learning, [](auto& f) { f.pickled["note"] = PickleString("hello"); },
       "an entry 'note' that is no tensor"},
      {"ACall", learning,
       [](auto& f) {
         f.pickled["b_dec"] = PickleCall(PickleGlobal("posix", "system"), PickleTuple({PickleString("exit 1")}));
         f.tensors.erase("b_dec");
       },
       "expected a tensor, a string or a whole number"},
      {"IdentityActivation", openai, [](auto& f) { f.pickled["activation"] = PickleString("Identity"); },
       "activation is 'Identity', expected ReLU or TopK"},
      {"ReluWithK", openai, [](auto& f) { f.pickled["activation"] = PickleString("ReLU"); },
       "unknown entry 'activation_state_dict"},
      {"NoActivation", openai, [](auto& f) { f.pickled.erase("activation"); }, "activation is missing"},
      {"NoK", openai,
       [](auto& f) {
         f.pickled["activation_state_dict"] = PickleDict({{"postact_fn", PickleString("ReLU")}});
       },
       "activation_state_dict.k is missing"},
      {"TooLargeK", openai,
       [](auto& f) {
         f.pickled["activation_state_dict"] = PickleDict({{"k", PickleInt(9)}, {"postact_fn", PickleString("ReLU")}});
       },
       "k is 9, expected 1 to 8"},
      {"TiedDecoder", openai,
       [](auto& f) {
         f.tensors["decoder.linear.weight"] = f.tensors["encoder.weight"];
         f.tensors.erase("decoder.weight");
       },
       "tensor 'decoder.weight' is missing"},
      {"UnknownArray", gemma,
       [](auto& f) {
         f.tensors["W_skip"] = at::zeros({4, 4});
       },
       "unknown tensor 'W_skip'"},
      {"NoThreshold", gemma, [](auto& f) { f.tensors.erase("threshold"); }, "tensor 'threshold' is missing"},
      {"OtherFeatureCount", gemma, [](auto& f) { f.tensors["b_enc"] = at::zeros({9}); },
       "'b_enc' has shape [9], expected [8]"},
  };
}

class FileFault : public testing::TestWithParam<Fault> {};

TEST_P(FileFault, IsNamedAndRefused) {
  SmallFile file = Small(GetParam().format);
  GetParam().apply(file);
  ExpectRefused(file.Write(), GetParam().format, GetParam().says);
}

INSTANTIATE_TEST_SUITE_P(Formats, FileFault, testing::ValuesIn(Faults()),
                         [](const auto& info) { return TestName(FormatName(info.param.format) + info.param.name); });

TEST(FileRefusal, WellFormedFilesAreRead) {
  for (const std::string& name : FormatNames()) {
    const DictionaryFormat format = ParseFormat(name);
    if (format == DictionaryFormat::kSaeLens) continue;
    EXPECT_NO_THROW(ImportDictionary(Small(format).Write(), format)) << name;
  }
}

TEST(FileRefusal, LowerCaseNamesOfGemmaScopeMeanTheSame) {
  SmallFile file = Small(DictionaryFormat::kGemmaScope);
  const at::Tensor w_enc = file.tensors["W_enc"];
  for (const auto& [name, other] : {std::pair("W_enc", "w_enc"), std::pair("W_dec", "w_dec")}) {
    file.tensors[other] = file.tensors[name];
    file.tensors.erase(name);
  }
  EXPECT_TRUE(at::equal(ImportDictionary(file.Write(), file.format).weights.tensors.at("W_enc"), w_enc));
}

TEST(FileRefusal, AnArrayInFortranOrderIsNamed) {
  SmallFile file = Small(DictionaryFormat::kGemmaScope);
  const std::string folder = file.Write(), path = folder + "/params.npz";
  std::string bytes = ReadFile(path);
  const size_t place = bytes.find("False");
  bytes.replace(place, 5, "True ");
  WriteFileAtomically(path, bytes);
  // The checksum of the record is the first thing that does not fit.
  ExpectRefused(folder, file.format, "array 'W_dec'");
}

TEST(DetectFormat, NamesWhatItMisses) {
  const std::string folder = TemporaryFolder();
  EXPECT_THROW(DetectFormat(folder + "/nowhere"), c10::ValueError);
  const auto message = [&] {
    try {
      DetectFormat(folder);
    } catch (const c10::ValueError& error) {
      return std::string(error.what_without_backtrace());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message(), HasSubstr("expected one of: sae_weights.safetensors, sae.safetensors, ae.pt"));
  WriteFileAtomically(folder + "/ae.pt", "");
  EXPECT_EQ(DetectFormat(folder), DictionaryFormat::kDictionaryLearning);
  EXPECT_EQ(DetectFormat(folder + "/ae.pt"), DictionaryFormat::kDictionaryLearning);
  WriteFileAtomically(folder + "/params.npz", "");
  EXPECT_THAT(message(), HasSubstr("holds ae.pt and params.npz: say which format is meant"));
  EXPECT_THROW(ParseFormat("sae-lens"), c10::ValueError);
}

// Any change of any byte: the file is read, or refused as a bad value; nothing else comes of it.
TEST(FileRefusal, MutatedFilesAreReadOrRefused) {
  std::mt19937 random(11);
  int64_t refused = 0;
  for (const std::string& name : FormatNames()) {
    const DictionaryFormat format = ParseFormat(name);
    if (format == DictionaryFormat::kSaeLens) continue;
    const std::string folder = Small(format).Write();
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string path = entry.path(), good = ReadFile(path);
      for (int i = 0; i < 300; ++i) {
        std::string bytes = good;
        for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes) {
          bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        if (random() % 8 == 0) bytes.resize(random() % bytes.size());
        WriteFileAtomically(path, bytes);
        try {
          ImportDictionary(folder, format);
        } catch (const c10::ValueError&) {
          ++refused;
        }
      }
      WriteFileAtomically(path, good);
    }
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace lifescope
