#include "server/training/finetune_rates.h"

#include <ATen/ATen.h>

#include <cmath>

namespace lifescope {
namespace {

constexpr char kEmbedding[] = "transformer.embedding.", kEncoders[] = "transformer.encoders.";
constexpr char kTokenMatrix[] = "transformer.embedding.token.";

bool StartsWith(const std::string& name, const std::string& prefix) {
  return name.compare(0, prefix.size(), prefix) == 0;
}

}  // namespace

ParameterGroup GroupOf(const std::string& name, int64_t n_encoders, const FinetuneRates& rates) {
  const auto at_depth = [&](int64_t depth) {
    return rates.decoder * std::pow(rates.layer_decay, static_cast<double>(depth));
  };
  if (StartsWith(name, kEmbedding)) return {at_depth(n_encoders), 0};
  if (!StartsWith(name, kEncoders)) return {rates.decoder, rates.decoder_weight_decay};
  const int64_t layer = std::stoll(name.substr(sizeof(kEncoders) - 1));
  // "norm" are the ReZero gates.
  const bool decays = name.find("bias") == std::string::npos && name.find("norm") == std::string::npos;
  return {at_depth(n_encoders - layer), decays ? rates.layer_weight_decay : 0};
}

bool IsTokenMatrix(const std::string& name) { return StartsWith(name, kTokenMatrix); }

void FreezeTokens(const at::Tensor& gradient) {
  if (!gradient.defined()) return;
  gradient.slice(0, 0, 1).zero_();
  gradient.slice(0, 2, 8).zero_();
  gradient.slice(0, 10).zero_();
}

}  // namespace lifescope
