#include "server/model/checkpoint_file.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "server/artifact/torch_file.h"

namespace lifescope {
namespace {

using Json = nlohmann::json;
using Kind = PickleValue::Kind;

constexpr char kEncoder[] = "transformer.", kDecoder[] = "decoder.";
constexpr const char* kModelPrefixes[] = {kEncoder, "mlm_decoder.", "sop_decoder.", "cls_decoder."};
constexpr const char* kUsedEntries[] = {"state_dict", "hyper_parameters", "pytorch-lightning_version", "epoch",
                                        "global_step"};

bool BeginsWith(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

bool IsOfModel(const std::string& name) {
  return std::any_of(std::begin(kModelPrefixes), std::end(kModelPrefixes),
                     [&](const char* prefix) { return BeginsWith(name, prefix); });
}

at::Tensor Widened(const at::Tensor& tensor) {
  const bool half = tensor.scalar_type() == at::kHalf || tensor.scalar_type() == at::kBFloat16;
  return half ? tensor.to(at::kFloat) : tensor;
}

// Sorts the tensors of a file into the model and the rest. `transformer.state_dict()` has names like "encoders.0..."
// and "embedding.token...", which lack the encoder's prefix.
void AddTensors(const std::map<std::string, std::function<at::Tensor()>>& stored, CheckpointFile* file) {
  const bool bare = std::any_of(stored.begin(), stored.end(),
                                [](const auto& tensor) { return BeginsWith(tensor.first, "embedding."); });
  for (const auto& [name, read] : stored) {
    const std::string whole = (bare ? kEncoder : "") + name;
    if (IsOfModel(whole)) {
      file->state.Add(whole, [read = read] { return Widened(read()); });
    } else {
      if (BeginsWith(name, kDecoder)) file->decoder.Add(name, [read = read] { return Widened(read()); });
      file->unused_tensors.push_back(name);
    }
  }
}

// A hyperparameter; null when it is neither a number, a string nor a flag.
Json Scalar(const PickleValue& value) {
  switch (value.kind()) {
    case Kind::kBool:
      return value.AsBool();
    case Kind::kInt:
      return value.AsInt();
    case Kind::kFloat:
      return value.AsFloat();
    case Kind::kString:
      return std::string(value.AsText());
    default:
      return nullptr;
  }
}

// Of a dict, a subclass of dict (AttributeDict) or an object with attributes (argparse.Namespace); "" of anything else.
std::string HyperparametersOf(const PickleValue& saved, const std::string& path) {
  std::vector<std::pair<PickleValue, PickleValue>> entries = saved.Entries();
  if (entries.empty() && saved.State()) entries = saved.State()->Entries();
  Json json = Json::object();
  for (const auto& [name, value] : entries) {
    const Json scalar = Scalar(value);
    if (!name.Is(Kind::kString) || scalar.is_null()) continue;
    const bool is_new = json.emplace(std::string(name.AsText()), scalar).second;
    TORCH_CHECK_VALUE(is_new, path, ": hyperparameter ", Quoted(name.AsText()), " is there twice");
  }
  if (json.empty()) return "";
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

void ReadLightningEntries(const PickleValue& root, CheckpointFile* file) {
  file->format = "Lightning checkpoint";
  if (const auto version = root.Find("pytorch-lightning_version")) file->lightning_version = version->AsText();
  if (const auto epoch = root.Find("epoch")) file->epoch = epoch->AsInt();
  if (const auto step = root.Find("global_step")) file->global_step = step->AsInt();
  if (const auto saved = root.Find("hyper_parameters")) {
    file->hyperparameters = HyperparametersOf(*saved, file->state.path);
    if (file->hyperparameters.empty()) file->unused_entries.push_back("hyper_parameters");
  }
  for (const auto& [name, value] : root.Entries()) {
    const std::string shown = name.Is(Kind::kString) ? std::string(name.AsText()) : name.Describe();
    if (std::find(std::begin(kUsedEntries), std::end(kUsedEntries), shown) == std::end(kUsedEntries)) {
      file->unused_entries.push_back(shown);
    }
  }
}

// Tensors may share a storage, as tied ones do; a hostile file has a thousand share a large one.
void CheckBudget(const std::map<std::string, TorchLayout>& tensors, const std::string& path) {
  constexpr uint64_t kMostSharing = 4;
  const uint64_t budget = kMostSharing * std::filesystem::file_size(path);
  uint64_t bytes = 0;
  for (const auto& [name, layout] : tensors) {
    bytes += static_cast<uint64_t>(layout.element_count) * layout.element_bytes;
    TORCH_CHECK_VALUE(bytes <= budget, path, ": the tensors up to ", Quoted(name), " take ", bytes,
                      " bytes, expected at most ", kMostSharing, " times those of the file");
  }
}

void OpenTorch(const std::string& path, CheckpointFile* file) {
  const auto torch_file = std::make_shared<const TorchFile>(TorchFile::Open(path));
  PickleValue tensors = torch_file->root();
  if (const auto state = tensors.Find("state_dict")) {
    ReadLightningEntries(tensors, file);
    tensors = *state;
  } else {
    file->format = "state dict of torch.save";
  }
  const std::map<std::string, TorchLayout> layouts = torch_file->Tensors(tensors);
  CheckBudget(layouts, path);
  std::map<std::string, std::function<at::Tensor()>> stored;
  for (const auto& [name, layout] : layouts) {
    stored[name] = [torch_file, layout = layout] { return torch_file->Read(layout); };
  }
  AddTensors(stored, file);
}

void OpenSafetensors(const std::string& path, CheckpointFile* file) {
  const auto safetensors = std::make_shared<const SafetensorsFile>(SafetensorsFile::Open(path));
  file->format = "safetensors";
  std::map<std::string, std::function<at::Tensor()>> stored;
  for (const std::string& name : safetensors->names()) {
    stored[name] = [safetensors, name] { return safetensors->Read(name); };
  }
  AddTensors(stored, file);
}

}  // namespace

CheckpointFile OpenCheckpointFile(const std::string& path) {
  CheckpointFile file;
  file.state.path = file.decoder.path = path;
  try {
    TorchFile::IsTorchFile(path) ? OpenTorch(path, &file) : OpenSafetensors(path, &file);
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK_VALUE(false, path, ": ", error.what());
  }
  bool has_encoder = false;
  for (const auto& [name, tensor] : file.state.tensors) {
    has_encoder = has_encoder || BeginsWith(name, kEncoder);
    file.has_pretraining_heads = file.has_pretraining_heads || !BeginsWith(name, kEncoder);
    if (tensor.read().scalar_type() == at::kDouble) file.dtype = at::kDouble;
  }
  TORCH_CHECK_VALUE(has_encoder, path, ": no tensor of a life2vec encoder among the ",
                    file.state.tensors.size() + file.unused_tensors.size(), ", expected names like '", kEncoder,
                    "embedding.segment.weight' or 'embedding.segment.weight'");
  return file;
}

}  // namespace lifescope
