// A head learns what can be learnt and nothing else: fine-tuned on a small synthetic world it ranks persons by a hidden
// trait; with the same classes dealt out at random it ranks them by chance.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/corpus/world.h"
#include "server/evaluation/classification_metrics.h"
#include "server/training/finetuner.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

constexpr int64_t kMaxLength = 64;

std::shared_ptr<const Corpus> World() {
  static const std::shared_ptr<const Corpus> world = [] {
    const std::string folder = TemporaryFolder() + "/world";
    WorldOptions options;
    options.person_count = 400;
    options.max_length = kMaxLength;
    SynthesizeWorld(folder, options);
    return Corpus::Open(folder);
  }();
  return world;
}

Transformer UntrainedModel() {
  Hyperparameters h;
  h.hidden_size = 32;
  h.hidden_ff = 64;
  h.n_encoders = 1;
  h.n_heads = 4;
  h.n_local = 2;
  h.local_window_size = 8;
  h.num_random_features = 16;
  h.max_length = kMaxLength;
  h.vocab_size = World()->vocabulary().size();
  return Transformer(h, InitializeWeights(h, 3, 0.5));
}

Measurement TestAuc(const ClassTarget& target) {
  FinetuneOptions options;
  options.freeze_trunk = true;
  options.epochs = 8;
  options.rates.decoder = 1e-2;
  const auto result = Finetune(UntrainedModel(), *World(), {target}, options, [](const PersonPredictions& predictions) {
    return Auc(ToClassPredictions(predictions.probabilities.select(1, 0), predictions.classes.select(1, 0)));
  });
  return Measure(ToClassPredictions(result->test.probabilities.select(1, 0), result->test.classes.select(1, 0)))[0];
}

TEST(FinetunedHead, PredictsAHiddenTraitAndNotAShuffledOne) {
  const ClassTarget target = ParseClassTarget("trait:illness=none", World());
  const Measurement learnt = TestAuc(target), chance = TestAuc(Shuffled(target, *World(), 1));
  EXPECT_GT(learnt.low, 0.8) << learnt.value;
  EXPECT_LE(chance.low, 0.5) << chance.value;
  EXPECT_GE(chance.high, 0.5) << chance.value;
}

}  // namespace
}  // namespace lifescope
