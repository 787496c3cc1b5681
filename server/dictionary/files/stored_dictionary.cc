#include "server/dictionary/files/stored_dictionary.h"

#include <ATen/ATen.h>

#include <filesystem>
#include <map>

#include "server/artifact/artifact.h"

namespace lifescope {

std::string DigestOfFiles(const std::vector<std::string>& paths) {
  std::map<std::string, std::string> digests;
  for (const std::string& path : paths) digests[std::filesystem::path(path).filename()] = Sha256OfFile(path);
  std::string lines;
  for (const auto& [name, digest] : digests) lines += name + " " + digest + "\n";
  return Sha256(lines);
}

std::string FileAt(const std::string& path, const std::string& name) {
  return std::filesystem::is_directory(path) ? path + "/" + name : path;
}

at::Tensor Widen(const at::Tensor& tensor) {
  const bool is_narrow = tensor.scalar_type() == at::kHalf || tensor.scalar_type() == at::kBFloat16;
  return is_narrow ? tensor.to(at::kFloat) : tensor;
}

at::ScalarType StoredDtype(const DictionaryWeights& weights) {
  for (const auto& [name, tensor] : weights.tensors) {
    if (tensor.scalar_type() == at::kDouble) return at::kDouble;
  }
  return at::kFloat;
}

bool IsTranscoder(const DictionaryWeights& weights, const DictionaryInfo& info) {
  const DictionaryWidths widths = WidthsOf(weights);
  return info.is_called_transcoder || weights.tensors.count("W_skip") > 0 || widths.output != widths.input ||
         !(info.output_hook_point.empty() || info.output_hook_point == info.hook_point);
}

}  // namespace lifescope
