// Where the rows come from that dictionaries are trained on: a model run over a corpus (ActivationStream), or shards on
// disk (ShardStream).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/training/saved_state.h"

namespace lifescope {

// One of the places whose activations stand side by side in a row.
struct ActivationSite {
  std::string name;  // "blocks.1.hook_resid_post"; of a second model "other:blocks.1.hook_resid_post"
  int64_t width = 0;
};

inline int64_t TotalWidth(const std::vector<ActivationSite>& sites) {
  int64_t width = 0;
  for (const ActivationSite& site : sites) width += site.width;
  return width;
}

// Infinite. Not thread-safe.
class ActivationSource {
 public:
  virtual ~ActivationSource() = default;

  // In the order of their columns.
  virtual const std::vector<ActivationSite>& sites() const = 0;

  // The next rows, [rows, sum of the sites' widths].
  virtual at::Tensor Next(int64_t rows) = 0;
  // The rows that Next will serve next, at most those that are held for shuffling and at most `rows`: what a
  // normalisation is estimated from.
  virtual at::Tensor Peek(int64_t rows) = 0;

  // Everything that is needed to go on to the bit.
  virtual SavedState State() const = 0;
  // For a source of the same make. Throws c10::ValueError naming a tensor that is missing or does not fit.
  virtual void Restore(const SavedState& state) = 0;

  // Rows served so far, and rows of one epoch.
  virtual int64_t rows_served() const = 0;
  virtual int64_t epoch_rows() const = 0;
};

}  // namespace lifescope
