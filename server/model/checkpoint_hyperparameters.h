// The hyperparameters of a checkpoint, put together from what the file says, what the user adds and what the tensors
// are. Private to the import.
#pragma once

#include <string>
#include <vector>

#include "server/model/checkpoint_file.h"
#include "server/model/hyperparameters.h"

namespace lifescope {

// `added` is the text of a JSON object from `source`. Appends to `notes` what the tensors decided. Throws
// c10::ValueError: two sources contradict each other, or a field is in none of them.
Hyperparameters FindHyperparameters(const CheckpointFile& file, const std::string& added, const std::string& source,
                                    std::vector<std::string>* notes);

}  // namespace lifescope
