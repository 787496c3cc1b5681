#include "server/training/finetune_rates.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace lifescope {
namespace {

FinetuneRates Rates() {
  FinetuneRates rates;
  rates.decoder = 0.1;
  rates.layer_decay = 0.5;
  rates.layer_weight_decay = 0.3;
  rates.decoder_weight_decay = 0.4;
  return rates;
}

TEST(FinetuneRates, ALayerLearnsAtAPartOfTheOneAbove) {
  EXPECT_DOUBLE_EQ(GroupOf("decoder.ff.weight", 12, Rates()).learning_rate, 0.1);
  EXPECT_DOUBLE_EQ(GroupOf("transformer.encoders.11.position_wise.ff2hidden.weight", 12, Rates()).learning_rate, 0.05);
  EXPECT_DOUBLE_EQ(GroupOf("transformer.encoders.10.position_wise.ff2hidden.weight", 12, Rates()).learning_rate, 0.025);
  const double deepest = GroupOf("transformer.encoders.0.attention.attention.to_q.weight", 12, Rates()).learning_rate;
  EXPECT_DOUBLE_EQ(GroupOf("transformer.embedding.segment.weight", 12, Rates()).learning_rate, deepest);
}

TEST(FinetuneRates, WeightsOfLayersAndTheDecoderDecayAndNothingElse) {
  EXPECT_EQ(GroupOf("transformer.encoders.1.position_wise.hidden2ff.weight", 3, Rates()).weight_decay, 0.3);
  EXPECT_EQ(GroupOf("transformer.encoders.1.position_wise.hidden2ff.bias", 3, Rates()).weight_decay, 0);
  EXPECT_EQ(GroupOf("transformer.encoders.1.attention_sublayer.norm.weights", 3, Rates()).weight_decay, 0);
  EXPECT_EQ(GroupOf("transformer.embedding.token.weight", 3, Rates()).weight_decay, 0);
  EXPECT_EQ(GroupOf("decoder.norm.g", 3, Rates()).weight_decay, 0.4);
}

TEST(FinetuneRates, FrozenTokensLearnInThreeRows) {
  const at::Tensor gradient = at::ones({12, 2});
  FreezeTokens(gradient);
  for (int64_t row = 0; row < 12; ++row) {
    EXPECT_EQ(gradient[row].sum().item<float>(), row == 1 || row == 8 || row == 9 ? 2 : 0) << row;
  }
  FreezeTokens(at::Tensor());
  EXPECT_TRUE(IsTokenMatrix("transformer.embedding.token.parametrizations.weight.original"));
  EXPECT_FALSE(IsTokenMatrix("transformer.embedding.segment.weight"));
}

}  // namespace
}  // namespace lifescope
