// What every step of one forward pass needs: the caller's hooks and dropout. Private to server/model.
#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "server/model/transformer.h"

namespace lifescope {

struct ForwardPass {
  const ForwardOptions& options;
  int64_t layer = -1;

  // The activation at a site, as the caller's hooks leave it.
  at::Tensor Hooked(Site site, at::Tensor activation) const {
    return options.hooks == nullptr ? activation : options.hooks->Apply({site, layer}, std::move(activation));
  }

  at::Tensor Dropped(const at::Tensor& x, double Dropout::*probability) const {
    const double p = options.dropout == nullptr ? 0 : options.dropout->*probability;
    return p > 0 ? at::dropout(x, p, /*train=*/true) : x;
  }
};

// Euclidean length of every row, [..., 1].
inline at::Tensor RowNorm(const at::Tensor& x) { return x.norm(2, {-1}, /*keepdim=*/true); }

}  // namespace lifescope
