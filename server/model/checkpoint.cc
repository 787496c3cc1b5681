#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <set>

#include "server/artifact/artifact.h"
#include "server/model/named_tensors.h"
#include "server/model/transformer.h"
#include "server/model/weights.h"

namespace lifescope {
namespace {

constexpr const char* kFiles[] = {"hparams.json", "model.safetensors", "vocab.tsv"};

// Reads tensors one by one, remembers which were read and refuses what was not.
class WeightReader {
 public:
  WeightReader(const StateDict& state, at::ScalarType dtype, at::Device device)
      : state_(state), dtype_(dtype), device_(device) {}

  at::Tensor Weight(const NamedTensor& expected) {
    const std::string& name = expected.name;
    return CheckedWeight(Take(name), expected, Where(name), dtype_, device_);
  }

  Center Buffers(const std::string& prefix, int64_t vocabulary) {
    Center center;
    center.enabled = true;
    center.norm = Flag(prefix + "norm");
    const bool use = Flag(prefix + "use_ignore_index");
    const std::string name = prefix + "ignore_index";
    const at::Tensor index = Take(name);
    TORCH_CHECK_VALUE(index.scalar_type() == at::kLong && index.dim() == 1, Where(name), " is ", index.scalar_type(),
                      " ", index.sizes(), ", expected Long with one dimension");
    const bool in_range = index.ge(0).logical_and(index.lt(vocabulary)).all().item<bool>();
    TORCH_CHECK_VALUE(in_range, Where(name), " holds a token outside the vocabulary of ", vocabulary);
    if (use) center.ignore_index = index.to(device_);
    return center;
  }

  void CheckAllRead() const {
    for (const auto& [name, tensor] : state_.tensors) {
      TORCH_CHECK_VALUE(IsLossWeight(name) || read_.count(name) > 0, Where(name),
                        " is unknown: no part of a life2vec model with these hyperparameters");
    }
  }

  std::string Where(const std::string& name) const { return state_.Where(name); }

 private:
  at::Tensor Take(const std::string& name) {
    read_.insert(name);
    return state_.Read(name);
  }

  bool Flag(const std::string& name) {
    const at::Tensor flag = Take(name);
    TORCH_CHECK_VALUE(flag.scalar_type() == at::kBool && flag.numel() == 1, Where(name), " is ", flag.scalar_type(),
                      " ", flag.sizes(), ", expected Bool [1]");
    return flag.item<bool>();
  }

  const StateDict& state_;
  const at::ScalarType dtype_;
  const at::Device device_;
  std::set<std::string> read_;
};

void ReadMlmDecoder(WeightReader& reader, const Hyperparameters& hyperparameters, Weights* weights) {
  const NamedTensor decoder = MlmDecoder(*weights, hyperparameters);
  *decoder.tensor = reader.Weight(decoder);
  if (!hyperparameters.weight_tying) return;
  TORCH_CHECK_VALUE(at::equal(weights->mlm.decoder, weights->embedding.token), reader.Where(decoder.name),
                    " differs from the token matrix of the embedding, to which hparams.json ties it");
  weights->mlm.decoder = weights->embedding.token;
}

}  // namespace

Weights ReadWeights(const StateDict& state, const Hyperparameters& hyperparameters, at::ScalarType dtype,
                    at::Device device) {
  TORCH_CHECK_VALUE(dtype == at::kFloat || dtype == at::kDouble, "a model runs in Float or Double, not ", dtype);
  const bool heads = hyperparameters.pretraining_heads;
  WeightReader reader(state, dtype, device);
  Weights weights;
  weights.blocks.resize(static_cast<size_t>(hyperparameters.n_encoders));
  if (hyperparameters.parametrize_emb) {
    weights.embedding.center = reader.Buffers(kTokenCenter, hyperparameters.vocab_size);
    if (heads) weights.mlm.center = reader.Buffers(kMlmCenter, hyperparameters.vocab_size);
  }
  for (const NamedTensor& named : NamedTensors(weights, hyperparameters)) *named.tensor = reader.Weight(named);
  for (int64_t layer = 0; layer < hyperparameters.n_encoders; ++layer) {
    const NamedTensor projection = Projection(weights, layer, hyperparameters);
    *projection.tensor = reader.Weight(projection);
  }
  if (heads) ReadMlmDecoder(reader, hyperparameters, &weights);
  reader.CheckAllRead();
  return weights;
}

Weights ReadWeights(const SafetensorsFile& file, const Hyperparameters& hyperparameters, at::ScalarType dtype,
                    at::Device device) {
  return ReadWeights(StateDictOf(file), hyperparameters, dtype, device);
}

LoadedModel LoadModel(const std::string& folder, at::ScalarType dtype, at::Device device) {
  const std::string digest = ModelDigest(folder);
  const std::string hparams = folder + "/hparams.json";
  const Hyperparameters hyperparameters = Hyperparameters::Parse(ReadFile(hparams), hparams);
  const SafetensorsFile file = SafetensorsFile::Open(folder + "/model.safetensors");
  Weights weights = ReadWeights(file, hyperparameters, dtype, device);
  return {std::make_shared<const Transformer>(hyperparameters, std::move(weights)), digest};
}

std::string ModelDigest(const std::string& folder) {
  std::string lines;
  for (const char* name : kFiles) lines += std::string(name) + " " + Sha256OfFile(folder + "/" + name) + "\n";
  return Sha256(lines);
}

}  // namespace lifescope
