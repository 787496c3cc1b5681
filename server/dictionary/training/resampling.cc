#include "server/dictionary/training/resampling.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {
namespace {

// Of the mean norm of the encoder rows of living features: small, so that a new feature is not active everywhere.
constexpr double kEncoderScale = 0.2;

}  // namespace

void CheckResampling(const Resampling& resampling) {
  TORCH_CHECK_VALUE(resampling.every >= 0, "resampling every ", resampling.every, " steps, expected 0 or more");
  TORCH_CHECK_VALUE(resampling.dead_after >= 0, "resampling dead_after is ", resampling.dead_after,
                    ", expected 0 or more");
  TORCH_CHECK_VALUE(resampling.times >= 0 && resampling.rows >= 0, "resampling ", resampling.times, " times from ",
                    resampling.rows, " rows, expected 0 or more of each");
}

bool ResamplesAfter(const Resampling& resampling, int64_t step) {
  const int64_t every = resampling.every;
  if (every == 0 || step == 0 || step % every != 0) return false;
  return resampling.times == 0 || step / every <= resampling.times;
}

at::Tensor ResamplingWeights(Resampling::Rule rule, const at::Tensor& squared_errors) {
  const at::Tensor errors = squared_errors.to(at::kDouble);
  return rule == Resampling::Rule::kSquaredLoss ? errors.square() : errors.sqrt();
}

at::Tensor DrawRows(const at::Tensor& weights, int64_t count, uint64_t seed, int64_t step) {
  const int64_t available = std::min(count, (weights > 0).sum().item<int64_t>());
  if (available == 0) return at::empty({0}, at::kLong);
  // Another stream for every step.
  constexpr uint64_t kGoldenRatio = 0x9E3779B97F4A7C15;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed + kGoldenRatio * (step + 1));
  return at::multinomial(weights.to(at::kCPU), available, /*replacement=*/false, generator);
}

void RestartFeatures(Resampling::Rule rule, const at::Tensor& dead, const at::Tensor& rows, Parameters& parameters,
                     std::map<std::string, AdamState>& adam) {
  const int64_t count = std::min(dead.numel(), rows.size(0));
  if (count == 0) return;
  const at::Tensor restarted = dead.narrow(0, 0, count), given = rows.narrow(0, 0, count);
  const at::Tensor norms = parameters.at(kEncoder).norm(2, 1);
  const at::Tensor is_alive = at::ones_like(norms, at::kBool).index_fill_(0, dead, /*value=*/false);
  const at::Tensor counted = dead.numel() < norms.numel() ? norms.masked_select(is_alive) : norms;
  const at::Tensor unit = given / given.norm(2, 1, /*keepdim=*/true).clamp_min(1e-12);
  const at::Tensor direction = rule == Resampling::Rule::kSquaredLoss ? unit : given;
  parameters.at(kEncoder).index_copy_(0, restarted, direction * (counted.mean() * kEncoderScale));
  parameters.at(kDecoder).index_copy_(0, restarted, unit);
  parameters.at(kEncoderBias).index_fill_(0, restarted, 0);
  for (const char* name : {kEncoder, kDecoder, kEncoderBias}) {
    const auto moments = adam.find(name);
    if (moments == adam.end()) continue;
    moments->second.first_moment.index_fill_(0, restarted, 0);
    moments->second.second_moment.index_fill_(0, restarted, 0);
  }
}

}  // namespace lifescope
