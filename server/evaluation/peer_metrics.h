// Metrics as other libraries compute them where that deviates from ours, each under a name of its own, so that
// published numbers can be compared. Most are means over batches and so depend on how rows were batched. Definitions
// and warnings: metric_definition.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/evaluation/bootstrap.h"

namespace lifescope {

// Streaming over batches. Not thread-safe.
class PeerMetrics {
 public:
  // One batch, `x` and `reconstruction` [rows, width]; variances need at least two rows.
  void AddBatch(const at::Tensor& x, const at::Tensor& reconstruction);

  // sae_lens.mse, sae_lens.explained_variance, sae_lens.explained_variance_legacy,
  // sae_lens.relative_reconstruction_bias, dictionary_learning.l2_loss, dictionary_learning.frac_variance_explained,
  // explained_variance_per_dim_mean; NaN before the first batch.
  std::vector<Measurement> Values() const;

 private:
  double batches_ = 0, rows_ = 0;
  // Sums over batches of a batch's mean or ratio.
  double squared_error_ = 0, squared_norm_ = 0, squared_element_ = 0, bias_ = 0, error_norm_ = 0, centred_ratio_ = 0,
         dimension_ratio_ = 0;
  // Sums over rows.
  double error_per_batch_row_ = 0, row_ratio_ = 0;
};

}  // namespace lifescope
