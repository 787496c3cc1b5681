#include "server/training/pretrain_loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "server/artifact/safetensors.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

// log softmax of one row.
std::vector<double> LogProbabilities(const at::Tensor& row) {
  const double* logits = row.data_ptr<double>();
  double sum = 0;
  for (int64_t i = 0; i < row.numel(); ++i) sum += std::exp(logits[i]);
  std::vector<double> values;
  for (int64_t i = 0; i < row.numel(); ++i) values.push_back(logits[i] - std::log(sum));
  return values;
}

TEST(MlmLoss, IsTheMeanNegativeLogProbability) {
  at::manual_seed(1);
  const at::Tensor logits = at::randn({5, 7}, at::kDouble);
  const std::vector<int64_t> targets = {3, 0, 6, 6, 2};
  double expected = 0;
  for (int64_t i = 0; i < 5; ++i) expected -= LogProbabilities(logits[i])[targets[i]] / 5;
  EXPECT_NEAR(MlmLoss(logits, at::tensor(targets, at::kLong)).item<double>(), expected, 1e-12);
}

TEST(SopLoss, WeighsClassesSmoothsLabelsAndDividesByTheWeights) {
  at::manual_seed(2);
  const at::Tensor logits = at::randn({6, 3}, at::kDouble);
  const std::vector<int64_t> orders = {0, 0, 1, 2, 0, 2};
  PretrainObjective objective;
  objective.sop_class_weights = {1.5, 7, 11};
  objective.label_smoothing = 0.2;
  double sum = 0, weight_sum = 0;
  for (int64_t i = 0; i < 6; ++i) {
    const std::vector<double> log_p = LogProbabilities(logits[i]);
    for (int64_t c = 0; c < 3; ++c) {
      const double label = objective.label_smoothing / 3 + (c == orders[i] ? 1 - objective.label_smoothing : 0);
      sum -= label * objective.sop_class_weights[c] * log_p[c];
    }
    weight_sum += objective.sop_class_weights[orders[i]];
  }
  EXPECT_NEAR(SopLoss(logits, at::tensor(orders, at::kLong), objective).item<double>(), sum / weight_sum, 1e-12);
}

TEST(PretrainLosses, AreThoseOfTheReferenceOnItsLogits) {
  if (!HasGolden("life2vec/struct_small/index.json")) GTEST_SKIP() << "the whole golden set is not here";
  for (const std::string model : {"struct_small", "dummy_small", "paper_random", "variant_a"}) {
    const std::string folder = GoldenPath("life2vec/" + model);
    std::ifstream in(folder + "/index.json");
    PretrainObjective objective;
    // A float32 buffer there.
    if (model == "paper_random") objective.sop_class_weights[0] = static_cast<float>(1 / 0.9);
    const nlohmann::json index = nlohmann::json::parse(in);
    for (const nlohmann::json& batch : index["batches"]) {
      const std::string name = folder + "/" + batch["batch"].get<std::string>();
      const nlohmann::json& expected = batch["loss"]["f64"];
      const auto inputs = SafetensorsFile::Open(name + ".f32.safetensors");
      const auto outputs = SafetensorsFile::Open(name + ".f64.safetensors");
      const at::Tensor sop = SopLoss(outputs.Read("sop_logits"), inputs.Read("target_sop"), objective);
      EXPECT_NEAR(sop.item<double>(), expected["sop"].get<double>(), 1e-10) << name;
      if (!outputs.Contains("mlm_logits")) continue;  // only some rows are kept of the largest
      const at::Tensor targets = inputs.Read("target_tokens").flatten();
      const at::Tensor used = at::nonzero(targets).flatten();
      const at::Tensor mlm =
          MlmLoss(outputs.Read("mlm_logits").flatten(0, 1).index_select(0, used), targets.index_select(0, used));
      EXPECT_NEAR(mlm.item<double>(), expected["mlm"].get<double>(), 1e-10) << name;
    }
  }
}

TEST(PackExamples, TargetRowsPointIntoThePackedBatch) {
  std::vector<PretrainExample> examples;
  for (int64_t person = 0; person < 3; ++person) {
    std::vector<Event> events;
    for (int32_t i = 0; i <= person + 3; ++i) events.push_back({i + 1, 30, {10 + i, 20 + i}});
    PretrainExample example{EncodeLife(person, {kUnk}, events, 64).document, {}, SentenceOrder::kReversed};
    Random random(person);
    example.targets = MaskTokens(0.3, 40, example.document, random);
    examples.push_back(example);
  }
  const PretrainBatch batch = PackExamples(examples, 64, at::kCPU);
  EXPECT_EQ(batch.documents.document_count(), 3);
  EXPECT_EQ(batch.documents.n_slots, (std::vector<int64_t>{64, 64, 64}));
  int64_t target = 0;
  for (int64_t d = 0; d < 3; ++d) {
    EXPECT_EQ(batch.cls_rows[d].item<int64_t>(), batch.documents.offsets[d]);
    EXPECT_EQ(batch.orders[d].item<int64_t>(), 1);
    for (size_t i = 0; i < examples[d].targets.positions.size(); ++i, ++target) {
      EXPECT_EQ(batch.target_rows[target].item<int64_t>(),
                batch.documents.offsets[d] + examples[d].targets.positions[i]);
      EXPECT_EQ(batch.target_tokens[target].item<int64_t>(), examples[d].targets.tokens[i]);
    }
  }
  EXPECT_EQ(target, batch.target_tokens.size(0));
  EXPECT_EQ(batch.cls_rows.size(0), 3);
}

}  // namespace
}  // namespace lifescope
