// The gradients of the pre-training loss against finite differences, in float64, for every family of parameters.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "server/training/batch_gradient.h"
#include "tests/support/golden.h"
#include "tests/training/tiny_corpus.h"

namespace lifescope {
namespace {

constexpr double kStep = 1e-5;

struct Case {
  int64_t n_local;
  // Worst |gradient - difference| over elements of a tensor, as a share of the tensor's largest gradient.
  double tolerance;
};

class FiniteDifferenceTest : public testing::TestWithParam<Case> {
 protected:
  FiniteDifferenceTest() {
    shape_.n_local = GetParam().n_local;
    shape_.emb_dropout = shape_.fw_dropout = shape_.att_dropout = shape_.dc_dropout = 0;
    weights_ = InitializeWeights(shape_, 3, 0.7);
    for (const auto& [name, tensor] : TrainableTensors(weights_)) *tensor = tensor->to(at::kDouble);
    for (BlockWeights& block : weights_.blocks) block.projection = block.projection.to(at::kDouble);
    weights_.mlm.decoder = weights_.embedding.token;
    options_.n_slots = kTinyMaxLength;
    const auto corpus = MakeTinyCorpus(TemporaryFolder() + "/corpus", 10);
    Random random(2);
    for (int64_t i = 0; i < 4; ++i) {
      PretrainExample example{corpus->DocumentAt(i), {}, static_cast<SentenceOrder>(i % 3)};
      example.targets = MaskTokens(0.3, static_cast<int32_t>(shape_.vocab_size), example.document, random);
      examples_.push_back(example);
    }
  }

  double Loss() { return ComputeBatchGradient(shape_, weights_, examples_, options_).loss; }

  double Difference(double* element) {
    const double value = *element;
    *element = value + kStep;
    const double above = Loss();
    *element = value - kStep;
    const double below = Loss();
    *element = value;
    return (above - below) / (2 * kStep);
  }

  Hyperparameters shape_ = TinyShape();
  Weights weights_;
  std::vector<PretrainExample> examples_;
  BatchGradientOptions options_;
};

TEST_P(FiniteDifferenceTest, EveryFamilyOfParametersAgrees) {
  const BatchGradient batch = ComputeBatchGradient(shape_, weights_, examples_, options_);
  const auto parameters = TrainableTensors(weights_);
  Random random(5);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, tensor] = parameters[i];
    ASSERT_TRUE(batch.gradients[i].defined()) << name;
    const at::Tensor gradient = batch.gradients[i].contiguous();
    const double scale = gradient.abs().max().item<double>();
    EXPECT_GT(scale, 0) << name << " takes no part in the loss";
    for (int k = 0; k < 5; ++k) {
      const int64_t element = random.Below(tensor->numel());
      const double expected = Difference(tensor->data_ptr<double>() + element);
      EXPECT_NEAR(gradient.data_ptr<double>()[element], expected, GetParam().tolerance * scale + 1e-9)
          << name << "[" << element << "]";
    }
  }
}

// The stabilisers of the global heads are detached, as in the reference, so that there the gradient is not quite the
// derivative: their small constant keeps the output from being independent of them.
INSTANTIATE_TEST_SUITE_P(Heads, FiniteDifferenceTest, testing::Values(Case{4, 1e-6}, Case{2, 1e-2}),
                         [](const auto& info) {
                           return std::string(info.param.n_local == 4 ? "AllLocal" : "HalfGlobal");
                         });

}  // namespace
}  // namespace lifescope
