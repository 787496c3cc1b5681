// Takes the decoder of a fine-tuned checkpoint of the original repository as a head.
#pragma once

#include <cstdint>
#include <string>

#include "server/model/classifier_head.h"

namespace lifescope {

struct HeadImportOptions {
  // `.ckpt`, `.pth` or safetensors (checkpoint_file.h) with the tensors of a decoder ("decoder.out.weight").
  std::string file;
  std::string kind;  // decoder.h
  int64_t hidden_size = 0;
  HeadDescription description;
};

// Writes the head's folder and returns its digest. Half precision is widened; tensors that are no decoder's are left
// alone. Throws c10::ValueError naming file and tensor: no decoder in it, a tensor that is missing, of another shape or
// not finite; also when `folder` exists. Then nothing is left behind.
std::string ImportHead(const HeadImportOptions& options, const std::string& folder);

}  // namespace lifescope
