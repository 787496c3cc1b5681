#include "server/intervention/clean_comparison.h"

#include <ATen/ATen.h>

#include <utility>

#include "server/intervention/feature_edit.h"

namespace lifescope {

at::Tensor Shift(const at::Tensor& rows, const at::Tensor& clean) {
  const at::Tensor x = rows.to(at::kDouble), y = clean.to(at::kDouble);
  const at::Tensor xx = x.square().sum(1), yy = y.square().sum(1);
  return at::stack({(x * y).sum(1) / (xx * yy).sqrt(), (xx / yy).sqrt()}, 1).to(rows.scalar_type());
}

FeatureChangeValue FeatureChanges(const Dictionary& dictionary, double threshold, const at::Tensor& rows,
                                  const at::Tensor& clean, std::vector<int64_t> positions) {
  const at::TensorOptions host = at::TensorOptions(rows.scalar_type());
  std::vector<at::Tensor> counts = {at::zeros({1}, at::kLong)}, features = {at::empty({0}, at::kInt)};
  std::vector<at::Tensor> before = {at::empty({0}, host)}, after = {at::empty({0}, host)};
  ForEachChunk(rows.size(0), dictionary.feature_count(), [&](int64_t begin, int64_t size) {
    const at::Tensor is = dictionary.Encode(rows.narrow(0, begin, size));
    const at::Tensor was = dictionary.Encode(clean.narrow(0, begin, size));
    const at::Tensor changed = (is - was).abs().gt(threshold);
    counts.push_back(changed.sum(1).to(at::kCPU));
    features.push_back(changed.nonzero().select(1, 1).to(at::kCPU, at::kInt));
    before.push_back(was.masked_select(changed).to(at::kCPU));
    after.push_back(is.masked_select(changed).to(at::kCPU));
  });
  return {std::move(positions), at::cat(counts).cumsum(0), at::cat(features), at::cat(before), at::cat(after)};
}

at::Tensor ReconstructionErrors(const Dictionary& dictionary, const at::Tensor& rows, const at::Tensor& document) {
  const at::Tensor mean = document.to(at::kDouble).mean(0);
  const at::Tensor errors = at::empty({rows.size(0)}, rows.options());
  ForEachChunk(rows.size(0), dictionary.feature_count(), [&](int64_t begin, int64_t size) {
    const at::Tensor x = rows.narrow(0, begin, size);
    const at::Tensor error = x - dictionary.Decode(dictionary.Encode(x), x);
    const at::Tensor spread = x.to(at::kDouble) - mean;
    errors.narrow(0, begin, size).copy_(error.to(at::kDouble).square().sum(1) / spread.square().sum(1));
  });
  return errors;
}

}  // namespace lifescope
