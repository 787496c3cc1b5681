#pragma once

#include <string>

#include "server/dictionary/weights.h"

namespace lifescope {

// What every reader of dictionary files gives. Half and BFloat16 tensors are widened to Float; what a reader folds into
// the weights is computed in Double and stays so.
struct StoredDictionary {
  DictionaryWeights weights;
  DictionaryInfo info;
  // SHA-256 over the lines "<name> <digest of the file>" of the files that were read.
  std::string digest;
};

}  // namespace lifescope
