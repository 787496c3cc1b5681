#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "server/dictionary/weights.h"

namespace lifescope {

// What every reader of dictionary files gives. Half and BFloat16 tensors are widened to Float; what a reader folds into
// the weights is computed in Double and stays so. Readers promise the names and shapes of their format; CheckWeights
// has seen the weights.
struct StoredDictionary {
  DictionaryWeights weights;
  DictionaryInfo info;
  // DigestOfFiles of what was read.
  std::string digest;
};

// SHA-256 over the lines "<name> <digest of the file>", sorted; the name is the path's last part.
std::string DigestOfFiles(const std::vector<std::string>& paths);

// The file of that name in the folder `path`; `path` itself when it is no folder.
std::string FileAt(const std::string& path, const std::string& name);

// Half and BFloat16 as Float; all else as it is.
at::Tensor Widen(const at::Tensor& tensor);

// The dtype in which weights are written: Double when a tensor of them is, else Float.
at::ScalarType StoredDtype(const DictionaryWeights& weights);

// Whether it predicts something else than what it reads, or its file says so.
bool IsTranscoder(const DictionaryWeights& weights, const DictionaryInfo& info);

}  // namespace lifescope
