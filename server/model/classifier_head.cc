#include "server/model/classifier_head.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/artifact/json_object.h"
#include "server/artifact/safetensors.h"
#include "server/model/named_tensors.h"

namespace lifescope {
namespace {

using Json = nlohmann::json;

constexpr char kDescriptionFile[] = "head.json", kTensorFile[] = "head.safetensors";

struct NamedLink {
  const char* name;
  Link link;
};
constexpr NamedLink kLinks[] = {{"softmax", Link::kSoftmax}, {"sigsoftmax", Link::kSigSoftmax}};

// The decoder's tensors say the sizes; the description says how many outputs.
DecoderShape ShapeOf(const HeadDescription& description, Decoder& decoder) {
  TORCH_CHECK_VALUE(!description.targets.empty(), "head: no target, expected at least one");
  const size_t classes = description.targets.front().classes.size();
  for (const PredictedTarget& target : description.targets) {
    TORCH_CHECK_VALUE(target.classes.size() >= 2, "head: target '", target.name, "' has ", target.classes.size(),
                      " classes, expected at least 2");
    TORCH_CHECK_VALUE(target.classes.size() == classes, "head: target '", target.name, "' has ", target.classes.size(),
                      " classes, expected ", classes, " as the first target");
  }
  const auto size = [](const char* name, const at::Tensor& tensor, int64_t dimension) {
    TORCH_CHECK_VALUE(tensor.defined() && tensor.dim() == 2, "tensor '", name, "', expected a matrix");
    return tensor.size(dimension);
  };
  DecoderShape shape;
  shape.output_count = static_cast<int64_t>(description.targets.size() * classes);
  std::visit([&](const auto& w) { shape.hidden_size = size("decoder.ff.weight", w.w_in, 1); }, decoder);
  if (const auto* flat = std::get_if<FlatDecoder>(&decoder)) shape.hidden_ff = size("decoder.ff.weight", flat->w_in, 0);
  if (const auto* ordinal = std::get_if<OrdinalDecoder>(&decoder)) {
    shape.context_count = size("decoder.context", ordinal->context, 0);
  }
  return shape;
}

PredictedTarget ParseTarget(const Json& json, const std::string& where) {
  const JsonObject object(json, where);
  object.OnlyKeys({"name", "classes"});
  PredictedTarget target{object.Text("name"), {}};
  const Json& classes = object.Checked("classes", "a list of names", [](const Json& v) {
    return v.is_array() && std::all_of(v.begin(), v.end(), [](const Json& name) { return name.is_string(); });
  });
  for (const Json& name : classes) target.classes.push_back(name.get<std::string>());
  return target;
}

Link ParseLink(const JsonObject& object) {
  const std::string name = object.OneOf("link", {kLinks[0].name, kLinks[1].name});
  return name == kLinks[0].name ? kLinks[0].link : kLinks[1].link;
}

// What head.json holds.
struct HeadFile {
  std::string kind;
  DecoderShape shape;
  HeadDescription description;
};

HeadFile ParseHeadFile(const std::string& path) {
  const Json json = ReadJsonFile(path);
  const JsonObject object(json, path);
  HeadFile file;
  file.kind = object.Text("kind");
  const Decoder decoder = DecoderOfKind(file.kind);
  JsonKeys known{"kind", "hidden_size", "link", "epsilon", "model_digest", "n_slots", "targets", "training"};
  const auto size = [&](const char* key) {
    known.insert(key);
    return object.PositiveInteger(key);
  };
  file.shape.hidden_size = size("hidden_size");
  if (std::holds_alternative<FlatDecoder>(decoder)) file.shape.hidden_ff = size("hidden_ff");
  if (std::holds_alternative<OrdinalDecoder>(decoder)) file.shape.context_count = size("context_count");
  object.OnlyKeys(known);

  HeadDescription& description = file.description;
  description.model_digest = object.Text("model_digest");
  description.n_slots = object.PositiveInteger("n_slots");
  description.link = ParseLink(object);
  description.epsilon = object.PositiveNumber("epsilon");
  const Json& targets =
      object.Checked("targets", "a list with a target", [](const Json& v) { return v.is_array() && !v.empty(); });
  for (size_t i = 0; i < targets.size(); ++i) {
    description.targets.push_back(ParseTarget(targets[i], path + ": targets[" + std::to_string(i) + "]"));
  }
  if (object.Has("training")) {
    description.training = object.Checked("training", "an object", [](const Json& v) { return v.is_object(); }).dump();
  }
  file.shape.output_count = static_cast<int64_t>(targets.size() * description.targets.front().classes.size());
  return file;
}

std::string HeadFileText(const ClassifierHead& head) {
  const HeadDescription& description = head.description();
  nlohmann::ordered_json json{{"kind", KindOf(head.decoder())}, {"hidden_size", head.shape().hidden_size}};
  if (head.shape().hidden_ff > 0) json["hidden_ff"] = head.shape().hidden_ff;
  if (head.shape().context_count > 0) json["context_count"] = head.shape().context_count;
  json["link"] = kLinks[static_cast<size_t>(description.link)].name;
  json["epsilon"] = description.epsilon;
  json["model_digest"] = description.model_digest;
  json["n_slots"] = description.n_slots;
  for (const PredictedTarget& target : description.targets) {
    json["targets"].push_back({{"name", target.name}, {"classes", target.classes}});
  }
  if (!description.training.empty()) json["training"] = nlohmann::ordered_json::parse(description.training);
  return json.dump(2) + "\n";
}

std::string HeadDigest(const std::string& folder) {
  std::string lines;
  for (const char* name : {kDescriptionFile, kTensorFile}) {
    lines += std::string(name) + " " + Sha256OfFile(folder + "/" + name) + "\n";
  }
  return Sha256(lines);
}

}  // namespace

Decoder ReadDecoder(const StateDict& state, const std::string& kind, const DecoderShape& shape, at::ScalarType dtype,
                    at::Device device) {
  Decoder decoder = DecoderOfKind(kind);
  std::vector<std::string> known = UnusedTensors(decoder);
  for (const NamedTensor& named : NamedTensors(decoder, shape)) {
    *named.tensor = CheckedWeight(state.Read(named.name), named, state.Where(named.name), dtype, device);
    known.push_back(named.name);
  }
  for (const auto& [name, tensor] : state.tensors) {
    TORCH_CHECK_VALUE(std::find(known.begin(), known.end(), name) != known.end(), state.Where(name),
                      " is unknown: no part of a head of kind ", kind);
  }
  return decoder;
}

ClassifierHead::ClassifierHead(HeadDescription description, Decoder decoder)
    : description_(std::move(description)), decoder_(std::move(decoder)), shape_(ShapeOf(description_, decoder_)) {
  for (const NamedTensor& named : NamedTensors(decoder_, shape_)) {
    TORCH_CHECK_VALUE(named.tensor->defined() && named.tensor->sizes() == at::IntArrayRef(named.shape), "tensor '",
                      named.name, "' has shape ", named.tensor->defined() ? named.tensor->sizes() : at::IntArrayRef(),
                      ", expected ", at::IntArrayRef(named.shape));
  }
}

at::Tensor ClassifierHead::Logits(const at::Tensor& final, const std::vector<int64_t>& offsets,
                                  const DecoderOptions& options) const {
  TORCH_CHECK_VALUE(final.dim() == 2 && final.size(1) == shape_.hidden_size, "the head reads rows of ",
                    shape_.hidden_size, ", found ", final.sizes());
  return Decode(decoder_, final, offsets, description_.epsilon, options).view({-1, target_count(), class_count()});
}

at::Tensor ClassifierHead::Probabilities(const at::Tensor& logits) const {
  return description_.link == Link::kSoftmax ? at::softmax(logits, -1) : SigSoftmax(logits, -1);
}

at::ScalarType ClassifierHead::dtype() const {
  return std::visit([](const auto& w) { return w.w_in.scalar_type(); }, decoder_);
}

at::Device ClassifierHead::device() const {
  return std::visit([](const auto& w) { return w.w_in.device(); }, decoder_);
}

LoadedHead LoadHead(const std::string& folder, at::ScalarType dtype, at::Device device) {
  const std::string digest = HeadDigest(folder);
  HeadFile file = ParseHeadFile(folder + "/" + kDescriptionFile);
  const SafetensorsFile tensors = SafetensorsFile::Open(folder + "/" + kTensorFile);
  Decoder decoder = ReadDecoder(StateDictOf(tensors), file.kind, file.shape, dtype, device);
  return {std::make_shared<const ClassifierHead>(std::move(file.description), std::move(decoder)), digest};
}

void WriteHead(const std::string& folder, const ClassifierHead& head) {
  Decoder view = head.decoder();  // tensors are handles: this copies no data
  std::map<std::string, at::Tensor> state;
  for (const auto& [name, tensor] : TrainableTensors(view)) state[name] = tensor->detach();
  WriteFolderAtomically(folder, [&](const std::string& partial) {
    WriteSafetensors(partial + "/" + kTensorFile, state);
    WriteFileAtomically(partial + "/" + kDescriptionFile, HeadFileText(head));
  });
}

}  // namespace lifescope
