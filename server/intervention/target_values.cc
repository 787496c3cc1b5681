#include "server/intervention/target_values.h"

#include <ATen/ATen.h>

#include <cmath>

#include "server/intervention/edit.h"
#include "server/intervention/feature_edit.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

// Linear between the two nearest order statistics.
at::Tensor Quantile(const at::Tensor& values, double quantile) {
  const at::Tensor sorted = std::get<0>(values.sort(0));
  const double place = quantile * static_cast<double>(values.size(0) - 1);
  const auto below = static_cast<int64_t>(std::floor(place)), above = static_cast<int64_t>(std::ceil(place));
  return at::lerp(sorted[below], sorted[above], place - std::floor(place));
}

}  // namespace

at::Tensor UnitVector(const DirectionTarget& target, const at::TensorOptions& options) {
  const at::Tensor vector = at::tensor(target.vector, at::kDouble);
  return (vector / vector.norm()).to(options);
}

at::Tensor ReconstructionError(const Dictionary& dictionary, const at::Tensor& x) {
  std::vector<at::Tensor> parts;
  ForEachChunk(x.size(0), dictionary.feature_count(), [&](int64_t begin, int64_t size) {
    const at::Tensor rows = x.narrow(0, begin, size);
    parts.push_back(rows - dictionary.Decode(dictionary.Encode(rows), rows));
  });
  return at::cat(parts);
}

at::Tensor TargetValues(const Run& run, const EditTarget& target, const Hyperparameters& hyperparameters,
                        const at::Tensor& rows) {
  if (const auto* features = std::get_if<FeatureTarget>(&target)) {
    return EncodeFeatures(*run.dictionaries[features->dictionary].dictionary, rows, features->features);
  }
  if (const auto* error = std::get_if<ErrorTarget>(&target)) {
    return ReconstructionError(*run.dictionaries[error->dictionary].dictionary, rows);
  }
  if (const auto* direction = std::get_if<DirectionTarget>(&target)) {
    return rows.matmul(UnitVector(*direction, rows.options())).unsqueeze(1);
  }
  return rows.index_select(1, IndexTensor(EditedChannels(run, target, hyperparameters), rows.device()));
}

at::Tensor UnitSize(const Unit& unit, const at::Tensor& values) {
  if (values.size(0) == 0) return at::zeros({values.size(1)}, values.options());
  switch (unit.kind) {
    case Unit::Kind::kAbsolute:
      break;
    case Unit::Kind::kMaximum:
      return values.amax(0);
    case Unit::Kind::kQuantile:
      return Quantile(values, unit.quantile);
    case Unit::Kind::kStandardDeviation:
      return (values - values.mean(0)).square().mean(0).sqrt();
  }
  return at::ones({values.size(1)}, values.options());
}

}  // namespace lifescope
