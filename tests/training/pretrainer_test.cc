#include "server/training/pretrainer.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "tests/support/golden.h"
#include "tests/training/tiny_corpus.h"

namespace lifescope {
namespace {

PretrainOptions TinyOptions(int64_t steps) {
  PretrainOptions options;
  options.hyperparameters = TinyShape();
  options.steps = steps;
  options.batch_documents = 8;
  options.validation_interval = 10;
  options.redraw_interval = 4;
  options.seed = 11;
  return options;
}

const std::function<bool(const PretrainProgress&)> kToTheEnd = [](const PretrainProgress&) { return true; };

TEST(Pretrain, TwoRunsGiveTheSameBytes) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  Pretrain(*corpus, folder + "/first", TinyOptions(12), kToTheEnd);
  Pretrain(*corpus, folder + "/second", TinyOptions(12), kToTheEnd);
  EXPECT_EQ(ReadFile(folder + "/first/model.safetensors"), ReadFile(folder + "/second/model.safetensors"));
  EXPECT_EQ(ModelDigest(folder + "/first"), ModelDigest(folder + "/second"));

  PretrainOptions other = TinyOptions(12);
  other.seed = 12;
  Pretrain(*corpus, folder + "/third", other, kToTheEnd);
  EXPECT_NE(ReadFile(folder + "/first/model.safetensors"), ReadFile(folder + "/third/model.safetensors"));
}

TEST(Pretrain, TwoRunsOnTwoThreadsGiveTheSameBytes) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  PretrainOptions options = TinyOptions(8);
  Hyperparameters& shape = options.hyperparameters;
  shape.emb_dropout = shape.fw_dropout = shape.att_dropout = shape.dc_dropout = 0;
  options.threads = 2;
  Pretrain(*corpus, folder + "/first", options, kToTheEnd);
  Pretrain(*corpus, folder + "/second", options, kToTheEnd);
  EXPECT_EQ(ReadFile(folder + "/first/model.safetensors"), ReadFile(folder + "/second/model.safetensors"));
}

TEST(Pretrain, LossFallsWellBelowUnigram) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  PretrainOptions options = TinyOptions(200);
  options.redraw_interval = 100;
  PretrainProgress last;
  const PretrainResult result = Pretrain(*corpus, folder + "/model", options, [&](const PretrainProgress& progress) {
    last = progress;
    return true;
  });
  EXPECT_NEAR(result.unigram_loss, std::log(12), 0.05);
  // Knowing the kind of the person leaves log 3.
  EXPECT_LT(result.validation_mlm_loss, std::log(3) + 0.35);
  EXPECT_EQ(last.step, 200);
  EXPECT_EQ(last.validation_mlm_loss, result.validation_mlm_loss);
}

TEST(Pretrain, WrittenModelLoadsAndKeepsItsVocabulary) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  Pretrain(*corpus, folder + "/model", TinyOptions(3), kToTheEnd);
  const LoadedModel model = LoadModel(folder + "/model", at::kFloat, at::kCPU);
  EXPECT_EQ(model.transformer->hyperparameters().hidden_size, 16);
  EXPECT_EQ(model.transformer->hyperparameters().vocab_size, corpus->vocabulary().size());
  EXPECT_EQ(ReadFile(folder + "/model/vocab.tsv"), corpus->vocabulary().ToTsv());
  std::ifstream csv(folder + "/model/loss.csv");
  int64_t lines = 0;
  for (std::string line; std::getline(csv, line);) ++lines;
  EXPECT_EQ(lines, 4);
}

TEST(Pretrain, ProjectionsAreRedrawnAndTheLastIsKept) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  PretrainOptions never = TinyOptions(10);
  never.redraw_interval = 0;
  Pretrain(*corpus, folder + "/never", never, kToTheEnd);
  Pretrain(*corpus, folder + "/often", TinyOptions(10), kToTheEnd);
  const LoadedModel kept = LoadModel(folder + "/never", at::kFloat, at::kCPU);
  const LoadedModel redrawn = LoadModel(folder + "/often", at::kFloat, at::kCPU);
  const auto& first = kept.transformer->weights().blocks;
  const auto& last = redrawn.transformer->weights().blocks;
  EXPECT_TRUE(at::equal(
      first[0].projection,
      InitializeWeights(kept.transformer->hyperparameters(), never.seed, never.initial_gate).blocks[0].projection));
  EXPECT_FALSE(at::equal(first[0].projection, last[0].projection));
  EXPECT_FALSE(at::equal(last[0].projection, last[1].projection));
}

TEST(Pretrain, StoppedRunLeavesNothing) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  const PretrainResult result = Pretrain(*corpus, folder + "/model", TinyOptions(50),
                                         [](const PretrainProgress& progress) { return progress.step < 3; });
  EXPECT_LT(result.seconds, 0);
  int64_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) entries += entry.path().filename() != "corpus";
  EXPECT_EQ(entries, 0);
}

TEST(Pretrain, ExistingModelIsNotOverwritten) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  Pretrain(*corpus, folder + "/model", TinyOptions(2), kToTheEnd);
  const std::string digest = ModelDigest(folder + "/model");
  EXPECT_THROW(Pretrain(*corpus, folder + "/model", TinyOptions(3), kToTheEnd), c10::ValueError);
  EXPECT_EQ(ModelDigest(folder + "/model"), digest);
}

TEST(Pretrain, ModelShorterThanTheCorpusIsRefused) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  PretrainOptions options = TinyOptions(2);
  options.hyperparameters.max_length = kTinyMaxLength - 1;
  EXPECT_THROW(Pretrain(*corpus, folder + "/model", options, kToTheEnd), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
