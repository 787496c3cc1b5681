#include "server/training/batch_gradient.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/golden.h"
#include "tests/training/tiny_corpus.h"

namespace lifescope {
namespace {

class BatchGradientTest : public testing::Test {
 protected:
  BatchGradientTest() : weights_(InitializeWeights(shape_, 3, 1)) {
    shape_.emb_dropout = shape_.fw_dropout = shape_.att_dropout = shape_.dc_dropout = 0;
    options_.n_slots = kTinyMaxLength;
    const auto corpus = MakeTinyCorpus(TemporaryFolder() + "/corpus", 10);
    Random random(2);
    for (int64_t i = 0; i < 7; ++i) {
      PretrainExample example{corpus->DocumentAt(i), {}, i == 2 ? SentenceOrder::kReversed : SentenceOrder::kOriginal};
      example.targets = MaskTokens(0.3, static_cast<int32_t>(shape_.vocab_size), example.document, random);
      examples_.push_back(example);
    }
  }

  BatchGradient Compute(int32_t threads) {
    options_.threads = threads;
    return ComputeBatchGradient(shape_, weights_, examples_, options_);
  }

  Hyperparameters shape_ = TinyShape();
  Weights weights_;
  std::vector<PretrainExample> examples_;
  BatchGradientOptions options_;
};

TEST_F(BatchGradientTest, LossesAndGradientsAreThoseOfTheWholeBatchForAnyNumberOfThreads) {
  const BatchGradient whole = Compute(1);
  EXPECT_NEAR(whole.loss, 0.8 * whole.mlm + 0.2 * whole.sop, 1e-6);
  for (const int32_t threads : {2, 3, 7, 20}) {
    const BatchGradient parts = Compute(threads);
    EXPECT_NEAR(parts.loss, whole.loss, 1e-5) << threads;
    EXPECT_NEAR(parts.mlm, whole.mlm, 1e-5) << threads;
    EXPECT_NEAR(parts.sop, whole.sop, 1e-5) << threads;
    EXPECT_EQ(parts.token_count, whole.token_count);
    ASSERT_EQ(parts.gradients.size(), TrainableTensors(weights_).size());
    for (size_t i = 0; i < whole.gradients.size(); ++i) {
      ASSERT_EQ(parts.gradients[i].defined(), whole.gradients[i].defined());
      if (!whole.gradients[i].defined()) continue;
      const double scale = whole.gradients[i].abs().max().item<double>();
      EXPECT_LE((parts.gradients[i] - whole.gradients[i]).abs().max().item<double>(), 1e-4 * scale + 1e-7)
          << TrainableTensors(weights_)[i].first << " with " << threads << " threads";
    }
  }
}

TEST_F(BatchGradientTest, ThreadsGiveTheSameBitsEveryTime) {
  const BatchGradient first = Compute(3);
  for (int i = 0; i < 3; ++i) {
    const BatchGradient again = Compute(3);
    EXPECT_EQ(again.loss, first.loss);
    for (size_t j = 0; j < first.gradients.size(); ++j) {
      if (first.gradients[j].defined()) {
        EXPECT_TRUE(at::equal(again.gradients[j], first.gradients[j]));
      }
    }
  }
}

TEST_F(BatchGradientTest, APartWithoutTargetsAddsNothingToTheMaskedTokenLoss) {
  examples_[0].targets = {};
  const BatchGradient whole = Compute(1), parts = Compute(7);
  EXPECT_NEAR(parts.mlm, whole.mlm, 1e-5);
  EXPECT_TRUE(std::isfinite(parts.loss));
  for (const at::Tensor& gradient : parts.gradients) {
    if (gradient.defined()) {
      EXPECT_TRUE(gradient.isfinite().all().item<bool>());
    }
  }
}

TEST_F(BatchGradientTest, WeightsAreLeftWithoutGraphOrGradient) {
  Compute(2);
  for (const auto& [name, tensor] : TrainableTensors(weights_)) {
    EXPECT_FALSE(tensor->requires_grad()) << name;
    EXPECT_FALSE(tensor->grad().defined()) << name;
  }
}

TEST_F(BatchGradientTest, GradientPointsDownhill) {
  const BatchGradient before = Compute(1);
  const auto parameters = TrainableTensors(weights_);
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (before.gradients[i].defined()) parameters[i].second->sub_(before.gradients[i], 1e-3);
  }
  double squares = 0;
  for (const at::Tensor& gradient : before.gradients) {
    if (gradient.defined()) squares += gradient.square().sum().item<double>();
  }
  EXPECT_NEAR(before.loss - Compute(1).loss, 1e-3 * squares, 0.2e-3 * squares);
}

}  // namespace
}  // namespace lifescope
