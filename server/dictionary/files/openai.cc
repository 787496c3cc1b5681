#include "server/dictionary/files/openai.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/pickle.h"
#include "server/artifact/torch_file.h"
#include "server/artifact/torch_writer.h"
#include "server/dictionary/files/fold.h"
#include "server/dictionary/files/foreign_tensors.h"
#include "server/dictionary/files/torch_dict.h"

namespace lifescope {
namespace {

const char kFile[] = "autoencoder.pt";
// What the code counts while it trains.
const char* const kStatistics[] = {"stats_last_nonzero", "latents_activation_frequency", "latents_mean_square"};

// The activation function, from the values of the dict that are no tensors. Each may be there twice: state_dict() of
// the original repeats those of activation_state_dict under "activation".
class Activation {
 public:
  Activation(const TorchDict& dict, std::string path) : dict_(dict), path_(std::move(path)) {}

  bool IsTopK() const {
    const std::string name = Text("activation");
    TORCH_CHECK_VALUE(name == "ReLU" || name == "TopK", path_, ": activation is ", Quoted(name),
                      ", expected ReLU or TopK");
    if (name == "ReLU") return false;
    const std::string after = Text("activation_state_dict.postact_fn");
    TORCH_CHECK_VALUE(after == "ReLU", path_, ": activation_state_dict.postact_fn is ", Quoted(after),
                      ", expected ReLU");
    return true;
  }

  int64_t K() const {
    const auto found = dict_.integers.find("activation_state_dict.k");
    TORCH_CHECK_VALUE(found != dict_.integers.end(), path_, ": activation_state_dict.k is missing");
    return found->second;
  }

  void CheckNothingElse(bool is_topk) const {
    for (const auto& [name, text] : dict_.texts) {
      const bool known = name == "activation" ||
                         (is_topk && (name == "activation_state_dict.postact_fn" || name == "activation.postact_fn"));
      TORCH_CHECK_VALUE(known, path_, ": unknown entry ", Quoted(name));
    }
    for (const auto& [name, number] : dict_.integers) {
      const bool known = is_topk && (name == "activation_state_dict.k" || name == "activation.k");
      TORCH_CHECK_VALUE(known, path_, ": unknown entry ", Quoted(name));
    }
  }

 private:
  const std::string& Text(const char* name) const {
    const auto found = dict_.texts.find(name);
    TORCH_CHECK_VALUE(found != dict_.texts.end(), path_, ": ", name, " is missing, expected a name");
    return found->second;
  }

  const TorchDict& dict_;
  const std::string path_;
};

}  // namespace

StoredDictionary ReadOpenAi(const std::string& folder_or_file) {
  const std::string path = FileAt(folder_or_file, kFile);
  const TorchDict dict = ReadTorchDict(path);
  const Activation activation(dict, path);
  const bool is_topk = activation.IsTopK();
  activation.CheckNothingElse(is_topk);
  ForeignTensors tensors(path, dict.tensors);
  DictionaryWeights weights;
  weights.architecture = is_topk ? "topk" : "standard";
  weights.tensors["W_enc"] = tensors.TakeTransposed("encoder.weight", {-1, -1});
  const int64_t d = weights.tensors["W_enc"].size(0), n = weights.tensors["W_enc"].size(1);
  weights.tensors["b_enc"] = tensors.Take("latent_bias", {n});
  weights.tensors["W_dec"] = tensors.TakeTransposed("decoder.weight", {d, n});
  weights.tensors["b_dec"] = tensors.Take("pre_bias", {d});
  for (const char* name : kStatistics) tensors.Drop(name);
  tensors.CheckNoneLeft();
  if (is_topk) {
    weights.k = activation.K();
    weights.normalisation = Normalisation::kLayerNorm;
  }
  CheckWeights(weights, path);
  return {std::move(weights), {}, DigestOfFiles({path})};
}

void WriteOpenAi(const std::string& folder, const DictionaryWeights& given, const DictionaryInfo& info) {
  CheckWeights(given, folder);
  const bool is_topk = given.architecture == "topk";
  TORCH_CHECK_VALUE(is_topk || given.architecture == "standard", "openai cannot hold architecture '",
                    given.architecture, "', expected standard, or topk with layer normalisation");
  TORCH_CHECK_VALUE(given.normalisation == (is_topk ? Normalisation::kLayerNorm : Normalisation::kNone),
                    "openai cannot hold a dictionary of architecture '", given.architecture, "' ",
                    is_topk ? "without layer normalisation of its input, which the activation TopK implies there"
                            : "that normalises its input");
  TORCH_CHECK_VALUE(!IsTranscoder(given, info), "openai cannot hold a transcoder");
  const DictionaryWeights weights = WithInputBias(given, true);
  const at::ScalarType dtype = StoredDtype(given);
  const auto get = [&](const char* name) { return weights.tensors.at(name).to(at::kCPU, dtype); };
  const int64_t n = given.tensors.at("W_enc").size(1);
  std::vector<TorchEntry> entries{{"pre_bias", get("b_dec")},
                                  {"latent_bias", get("b_enc")},
                                  {kStatistics[0], at::zeros({n}, at::kLong)},
                                  {kStatistics[1], at::ones({n}, dtype)},
                                  {kStatistics[2], at::zeros({n}, dtype)},
                                  {"encoder.weight", get("W_enc").t().contiguous()},
                                  {"decoder.weight", get("W_dec").t().contiguous()}};
  std::vector<std::pair<std::string, std::string>> state;
  if (is_topk) state = {{"k", PickleInt(weights.k)}, {"postact_fn", PickleString("ReLU")}};
  entries.push_back({"activation", {}, PickleString(is_topk ? "TopK" : "ReLU")});
  entries.push_back({"activation_state_dict", {}, PickleDict(state)});
  WriteFolderAtomically(folder, [&](const std::string& partial) { WriteTorchFile(partial + "/" + kFile, entries); });
}

}  // namespace lifescope
