// The tensors of a checkpoint under one set of names, whatever repository and format they come from.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>

#include "server/artifact/safetensors.h"

namespace lifescope {

struct StoredTensor {
  std::string name_in_file;  // for messages
  std::function<at::Tensor()> read;
};

// Keyed by the names of life2vec-light: `transformer.`, `mlm_decoder.`, `sop_decoder.`.
struct StateDict {
  std::string path;
  std::map<std::string, StoredTensor> tensors;

  // Puts a tensor under the name that life2vec-light has for it: the original repository calls `sop_decoder`
  // `cls_decoder`. Throws c10::ValueError when the name is taken.
  void Add(const std::string& name_in_file, std::function<at::Tensor()> read);
  // "path: tensor 'name as in the file'".
  std::string Where(const std::string& name) const;
  // Throws c10::ValueError when it is missing.
  at::Tensor Read(const std::string& name) const;
};

// `file` must outlive it.
StateDict StateDictOf(const SafetensorsFile& file);

// Whether the tensor is a weight of the losses, which both repositories keep in their state dicts. No part of the
// model.
bool IsLossWeight(const std::string& name);

}  // namespace lifescope
