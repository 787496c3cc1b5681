#include "server/dictionary/training/inference_threshold.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {
namespace {

double MeanOfRowMinima(const SparseActivations& active) {
  const at::Tensor in_double = active.values.to(at::kDouble);
  const double* values = in_double.data_ptr<double>();
  const int64_t* offsets = active.row_offsets.data_ptr<int64_t>();
  double sum = 0;
  int64_t rows = 0;
  for (int64_t r = 0; r < active.rows(); ++r) {
    if (offsets[r] == offsets[r + 1]) continue;
    sum += *std::min_element(values + offsets[r], values + offsets[r + 1]);
    ++rows;
  }
  return sum / static_cast<double>(rows);
}

}  // namespace

void CheckThresholdMean(const ThresholdMean& options) {
  TORCH_CHECK_VALUE(options.decay >= 0 && options.decay < 1, "threshold decay is ", options.decay,
                    ", expected 0 to below 1");
  TORCH_CHECK_VALUE(options.after_step >= -1, "threshold after_step is ", options.after_step, ", expected -1 or more");
}

double InitialThreshold(const ThresholdMean& options) { return options.starts_at_zero ? 0 : -1; }

std::optional<double> SmallestActive(const SparseActivations& active, bool of_each_row) {
  if (active.values.numel() == 0) return std::nullopt;
  return of_each_row ? MeanOfRowMinima(active) : active.values.min().item<double>();
}

double NextThreshold(const ThresholdMean& options, double threshold, std::optional<double> smallest, int64_t step) {
  if (step <= options.after_step || !smallest) return threshold;
  return threshold < 0 ? *smallest : options.decay * threshold + (1 - options.decay) * *smallest;
}

}  // namespace lifescope
