#include "server/evaluation/absorption.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace lifescope {
namespace {

constexpr double kSilent = 1e-8;

// What the active features of one row contribute to the probe.
struct RowContributions {
  double projection = 0;  // P
  double main = 0;        // m
  bool is_main_silent = true;
  double largest = 0;  // c of the feature that contributes most, and its cosine
  double largest_cosine = 0;
  std::vector<double> absorbers;
};

double FractionOf(RowContributions& row, const AbsorptionOptions& options) {
  const auto count = std::min<size_t>(row.absorbers.size(), static_cast<size_t>(options.max_absorbers));
  std::partial_sort(row.absorbers.begin(), row.absorbers.begin() + static_cast<int64_t>(count), row.absorbers.end(),
                    std::greater<double>());
  double absorbed = 0;
  for (size_t i = 0; i < count; ++i) absorbed += row.absorbers[i];
  if (row.projection <= 0 || row.main >= row.projection) return 0;
  if (absorbed / row.projection < options.min_projection_share) return 0;
  if (row.main <= 0) return 1;
  const double missing = std::min(absorbed, row.projection - row.main);
  return missing / (missing + row.main);
}

bool IsFull(const RowContributions& row, const AbsorptionOptions& options) {
  return row.is_main_silent && row.projection > 0 && row.largest_cosine >= options.min_cosine_full &&
         row.largest / row.projection >= options.min_projection_share;
}

}  // namespace

double Absorption::mean_fraction() const { return fraction.mean().item<double>(); }
double Absorption::full_rate() const { return is_full.to(at::kDouble).mean().item<double>(); }

Absorption MeasureAbsorption(const at::Tensor& x, const SparseActivations& codes, const at::Tensor& directions,
                             const at::Tensor& probe, const std::vector<int64_t>& main_features,
                             const AbsorptionOptions& options) {
  TORCH_CHECK_VALUE(
      x.dim() == 2 && x.size(0) == codes.rows() && probe.dim() == 1 && probe.size(0) == x.size(1) &&
          directions.dim() == 2 && directions.size(1) == x.size(1) && directions.size(0) == codes.feature_count,
      "x: ", x.sizes(), ", directions: ", directions.sizes(), ", probe: ", probe.sizes(), ", codes: ", codes.rows(),
      " rows of ", codes.feature_count, " features, expected [rows, d], [features, d] and [d]");
  std::vector<char> is_main(codes.feature_count, 0);
  for (const int64_t feature : main_features) {
    TORCH_CHECK_VALUE(0 <= feature && feature < codes.feature_count, "main feature ", feature, ", expected 0 to ",
                      codes.feature_count - 1);
    is_main[feature] = 1;
  }
  const double norm = probe.to(at::kDouble).norm().item<double>();
  TORCH_CHECK_VALUE(norm > 0, "probe: 0, expected a direction");
  const at::Tensor unit = probe.to(at::kDouble) / norm;
  const at::Tensor rows = directions.to(at::kDouble);
  const at::Tensor cosines = rows.mv(unit) / rows.norm(2, 1).clamp_min(1e-12);
  const at::Tensor projections = x.to(at::kDouble).mv(unit);
  const at::Tensor values = codes.values.to(at::kDouble).contiguous();
  const at::Tensor features = codes.features.contiguous(), offsets = codes.row_offsets.contiguous();

  Absorption result{at::zeros({codes.rows()}, at::kDouble), at::zeros({codes.rows()}, at::kBool), projections};
  for (int64_t r = 0; r < codes.rows(); ++r) {
    RowContributions row;
    row.projection = projections.data_ptr<double>()[r];
    for (int64_t i = offsets.data_ptr<int64_t>()[r]; i < offsets.data_ptr<int64_t>()[r + 1]; ++i) {
      const int64_t feature = features.data_ptr<int32_t>()[i];
      const double activation = values.data_ptr<double>()[i], cosine = cosines.data_ptr<double>()[feature];
      const double contribution = activation * cosine;
      if (contribution > row.largest) {
        row.largest = contribution;
        row.largest_cosine = cosine;
      }
      if (is_main[feature]) {
        row.main += contribution;
        row.is_main_silent = row.is_main_silent && std::abs(activation) < kSilent;
      } else if (cosine >= options.min_cosine_partial && contribution > 0) {
        row.absorbers.push_back(contribution);
      }
    }
    result.fraction.data_ptr<double>()[r] = FractionOf(row, options);
    result.is_full.data_ptr<bool>()[r] = IsFull(row, options);
  }
  return result;
}

}  // namespace lifescope
