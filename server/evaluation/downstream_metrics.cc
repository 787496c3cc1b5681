#include "server/evaluation/downstream_metrics.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <limits>

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

at::Tensor LogProbabilities(const at::Tensor& logits) { return logits.to(at::kCPU, at::kDouble).log_softmax(1); }

at::Tensor Surprisals(const at::Tensor& log_probabilities, const at::Tensor& targets) {
  return -log_probabilities.gather(1, targets.to(at::kCPU).unsqueeze(1)).squeeze(1);
}

at::Tensor Divergences(const at::Tensor& clean, const at::Tensor& patched) {
  return (clean.exp() * (clean - patched)).sum(1);
}

}  // namespace

at::Tensor KlDivergences(const at::Tensor& clean, const at::Tensor& patched) {
  TORCH_CHECK_VALUE(clean.dim() == 2 && clean.sizes() == patched.sizes(), "patched logits: ", patched.sizes(),
                    ", expected as the clean ones, ", clean.sizes());
  return Divergences(LogProbabilities(clean), LogProbabilities(patched));
}

at::Tensor DownstreamTerms(const PatchedLogits& logits, const at::Tensor& targets) {
  const at::Tensor clean = LogProbabilities(logits.clean);
  std::vector<at::Tensor> losses{at::ones({clean.size(0)}, at::kDouble), Surprisals(clean, targets)}, divergences;
  for (const at::Tensor& patched : {logits.spliced, logits.zero_ablated, logits.mean_ablated}) {
    const at::Tensor log_probabilities = LogProbabilities(patched);
    losses.push_back(Surprisals(log_probabilities, targets));
    divergences.push_back(Divergences(clean, log_probabilities));
  }
  losses.insert(losses.end(), divergences.begin(), divergences.end());
  return at::stack(losses, 1);
}

Measurement LossRecovered(const char* name, double ablated, double spliced, double clean) {
  Measurement recovered{name, kNan, kNan, kNan};
  const double effect = ablated - clean;
  if (!(std::fabs(effect) >= kSmallestAblationEffect)) {
    recovered.note = "the ablation changes the loss by less than 0.001 nats: there is nothing to recover";
    return recovered;
  }
  recovered.value = (ablated - spliced) / effect;
  if (effect < 0) recovered.note = "the ablation lowers the loss: larger is no better";
  return recovered;
}

std::vector<Measurement> DownstreamMetrics(const at::Tensor& sums) {
  const at::Tensor means = sums / sums[0];
  const double* mean = means.data_ptr<double>();
  const double clean = mean[1], spliced = mean[2], zero = mean[3], mean_ablated = mean[4];
  std::vector<Measurement> metrics;
  const auto add = [&](const char* name, double value) { metrics.push_back({name, value, kNan, kNan}); };
  add("cross_entropy_clean", clean);
  add("cross_entropy_spliced", spliced);
  add("cross_entropy_zero_ablated", zero);
  add("cross_entropy_mean_ablated", mean_ablated);
  add("delta_cross_entropy", spliced - clean);
  metrics.push_back(LossRecovered("loss_recovered_zero", zero, spliced, clean));
  metrics.push_back(LossRecovered("loss_recovered_mean", mean_ablated, spliced, clean));
  add("kl_spliced", mean[5]);
  add("kl_zero_ablated", mean[6]);
  add("kl_mean_ablated", mean[7]);
  // The clean run diverges from itself by nothing.
  metrics.push_back(LossRecovered("kl_recovered_zero", mean[6], mean[5], 0));
  metrics.push_back(LossRecovered("kl_recovered_mean", mean[7], mean[5], 0));
  return metrics;
}

}  // namespace lifescope
