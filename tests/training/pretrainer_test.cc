#include "server/training/pretrainer.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "server/artifact/artifact.h"
#include "server/training/pretrain_run.h"
#include "tests/support/golden.h"
#include "tests/training/tiny_corpus.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

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
  EXPECT_EQ(last.line.step, 200);
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
      InitializeWeights(kept.transformer->hyperparameters(), never.seed, never.initialization).blocks[0].projection));
  EXPECT_FALSE(at::equal(first[0].projection, last[0].projection));
  EXPECT_FALSE(at::equal(last[0].projection, last[1].projection));
}

// Trains in parts: stops after each of `stops` steps and is resumed by the next call.
void PretrainInParts(const Corpus& corpus, const std::string& folder, const PretrainOptions& options,
                     const std::vector<int64_t>& stops) {
  PretrainSession session{false, "run"};
  for (const int64_t stop : stops) {
    Pretrain(
        corpus, folder, options, [&](const PretrainProgress& progress) { return progress.line.step < stop; }, session);
    EXPECT_FALSE(std::filesystem::exists(folder));
    session.resume = true;
  }
  Pretrain(corpus, folder, options, kToTheEnd, session);
}

void ExpectSameModel(const std::string& expected, const std::string& actual) {
  for (const char* file : {"model.safetensors", "best/model.safetensors", "hparams.json", "vocab.tsv", "loss.csv"}) {
    EXPECT_EQ(ReadFile(expected + "/" + file), ReadFile(actual + "/" + file)) << file;
  }
}

TEST(Pretrain, ResumedRunGivesTheSameBytesAsOneThatWasNeverStopped) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  PretrainOptions options = TinyOptions(30);  // more than two epochs, three validations, redraws; with dropout
  options.accumulation = 2;
  options.redraw_each_epoch = true;
  options.augmentation = {true, 0.2, 0.5, 0.5, 0.2, 0.3, false};
  Pretrain(*corpus, folder + "/whole", options, kToTheEnd);
  const std::vector<std::vector<int64_t>> cases = {{1}, {13}, {10, 11, 29}};
  for (const std::vector<int64_t>& stops : cases) {
    const std::string parts = folder + "/parts" + std::to_string(stops.front());
    PretrainInParts(*corpus, parts, options, stops);
    ExpectSameModel(folder + "/whole", parts);
  }
}

TEST(Pretrain, StateThatIsLostWouldShow) {
  // Without its random states a run would go on otherwise: the law above can fail.
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  const PretrainOptions options = TinyOptions(8);
  PretrainRun run(*corpus, options);
  for (int i = 0; i < 3; ++i) run.Step();
  SavedState state;
  for (const auto& [name, tensor] : run.State()) state[name] = tensor.clone();
  const double next = run.Step().loss;
  run.Restore(state);
  EXPECT_EQ(run.Step().loss, next);
  for (const char* lost : {"dropout.random", "examples.random"}) {
    SavedState other = state;
    other[lost] = PretrainRun(*corpus, options).State().at(lost);
    run.Restore(other);
    EXPECT_NE(run.Step().loss, next) << lost;
  }
}

TEST(Pretrain, StoppedRunIsKeptUntilItIsResumed) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  const auto stop = [](const PretrainProgress& progress) { return progress.line.step < 3; };
  EXPECT_LT(Pretrain(*corpus, folder + "/model", TinyOptions(6), stop, {false, "the run"}).seconds, 0);
  EXPECT_EQ(FindStoppedRun(folder + "/model").run_id, "the run");
  EXPECT_EQ(FindStoppedRun(folder + "/model").step, 3);
  EXPECT_THROW(Pretrain(*corpus, folder + "/model", TinyOptions(6), kToTheEnd), c10::ValueError);
  Pretrain(*corpus, folder + "/model", TinyOptions(6), kToTheEnd, {true, "the run"});
  EXPECT_THROW(FindStoppedRun(folder + "/model"), c10::ValueError);
  int64_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) entries += entry.is_regular_file();
  EXPECT_EQ(entries, 0) << "the hidden files are gone";
}

// The message of the error of a resume with other settings.
std::string ResumeError(const Corpus& corpus, const std::string& folder, const PretrainOptions& options) {
  try {
    Pretrain(corpus, folder, options, kToTheEnd, {true, "run"});
  } catch (const c10::ValueError& error) {
    return error.what();
  }
  return "none";
}

TEST(Pretrain, ResumeWithOtherSettingsIsRefusedByName) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus"), other = MakeTinyCorpus(folder + "/other", 81);
  const std::string model = folder + "/model";
  EXPECT_THAT(ResumeError(*corpus, model, TinyOptions(6)), HasSubstr("no checkpoint"));
  Pretrain(*corpus, model, TinyOptions(6), [](const PretrainProgress&) { return false; });
  PretrainOptions options = TinyOptions(6);
  options.augmentation.resample = 0.25;
  EXPECT_THAT(ResumeError(*corpus, model, options), HasSubstr("the stopped run had resample 0.0, this one has 0.25"));
  options = TinyOptions(7);
  EXPECT_THAT(ResumeError(*corpus, model, options), HasSubstr("steps"));
  options = TinyOptions(6);
  options.threads = 2;
  EXPECT_THAT(ResumeError(*corpus, model, options), HasSubstr("threads"));
  EXPECT_THAT(ResumeError(*other, model, TinyOptions(6)), HasSubstr(other->digest()));
  options = TinyOptions(6);
  options.checkpoint_interval = 1;  // saves more often, comes to the same
  EXPECT_EQ(ResumeError(*corpus, model, options), "none");
}

TEST(Pretrain, ResumeFinishesARunThatWasKilledAfterItsModelBecameVisible) {
  const std::string folder = TemporaryFolder(), model = folder + "/model";
  const std::string checkpoint = folder + "/.model.checkpoint.safetensors";
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  std::string saved;
  const PretrainSession session{false, "run"};
  const PretrainResult whole = Pretrain(
      *corpus, model, TinyOptions(12),
      [&](const PretrainProgress&) {
        saved = ReadFile(checkpoint);
        return true;
      },
      session);
  const std::string digest = ModelDigest(model);
  const std::string losses = folder + "/.model.loss.csv";
  WriteFileAtomically(checkpoint, saved);
  WriteFileAtomically(losses, "of another run");
  EXPECT_THAT(ResumeError(*corpus, model, TinyOptions(12)), HasSubstr("is not of the stopped run"));
  WriteFileAtomically(losses, ReadFile(model + "/loss.csv"));
  const PretrainResult finished = Pretrain(*corpus, model, TinyOptions(12), kToTheEnd, {true, "run"});
  EXPECT_EQ(finished.best_step, whole.best_step);
  EXPECT_NEAR(finished.validation_mlm_loss, whole.validation_mlm_loss, 1e-6);
  EXPECT_NEAR(finished.best_validation_loss, whole.best_validation_loss, 1e-6);
  EXPECT_EQ(ModelDigest(model), digest);
  EXPECT_FALSE(std::filesystem::exists(checkpoint));
  EXPECT_FALSE(std::filesystem::exists(losses));
  EXPECT_THAT(ResumeError(*corpus, model, TinyOptions(12)), HasSubstr("never overwritten"));
}

TEST(Pretrain, OneRunOfAModelAtATime) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  const std::string model = folder + "/model";
  Pretrain(*corpus, model, TinyOptions(2), [&](const PretrainProgress&) {
    EXPECT_THAT(ResumeError(*corpus, model, TinyOptions(2)), HasSubstr("another process is training it"));
    return true;
  });
  EXPECT_FALSE(std::filesystem::exists(folder + "/.model.lock"));
}

TEST(Pretrain, BestWeightsAreThoseOfTheLowestValidation) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  PretrainOptions options = TinyOptions(40);
  options.objective.mlm_weight = 0;  // the masked tokens are not learnt: their loss wanders
  options.learning_rate = 0.05;
  options.validation_interval = 1;
  const PretrainResult result = Pretrain(*corpus, folder + "/model", options, kToTheEnd);
  double lowest = 1e9;
  for (const LossLine& line : ReadLossLog(folder + "/model/loss.csv")) {
    if (*line.validation_mlm_loss < lowest) lowest = *line.validation_mlm_loss;
  }
  EXPECT_NEAR(result.best_validation_loss, lowest, 1e-6);
  ASSERT_LT(result.best_step, 40);
  EXPECT_LT(result.best_validation_loss, result.validation_mlm_loss);
  LoadModel(folder + "/model/best", at::kFloat, at::kCPU);
  EXPECT_NE(ModelDigest(folder + "/model/best"), ModelDigest(folder + "/model"));
}

TEST(Pretrain, AccumulatedBatchesAreOneLargeBatch) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  PretrainOptions whole = TinyOptions(1);
  Hyperparameters& shape = whole.hyperparameters;
  shape.emb_dropout = shape.fw_dropout = shape.att_dropout = shape.dc_dropout = 0;
  whole.objective.sop_weight = 0;         // its mean weighs classes, which differ from batch to batch
  whole.hyperparameters.max_length = 20;  // every document has as many targets
  // Without decay and clipping and with so large an epsilon, Adam's first step is about the gradient, with its size.
  whole.hyperparameters.epsilon = 0.5;
  whole.learning_rate = 1;
  whole.final_div_factor = whole.div_factor = 1;
  whole.weight_decay = 0;
  whole.gradient_clip = 1e6;
  PretrainOptions parts = whole;
  whole.batch_documents = 16;
  parts.batch_documents = 4;
  parts.accumulation = 4;
  PretrainRun a(*corpus, whole), b(*corpus, parts);
  std::map<std::string, at::Tensor> start;
  for (const auto& [name, tensor] : a.Last()) start[name] = tensor.clone();
  EXPECT_NEAR(a.Step().loss, b.Step().loss, 1e-5);
  double farthest = 0;
  for (const auto& [name, tensor] : a.Last()) {
    if (!tensor.is_floating_point()) continue;
    const double moved = (tensor - start.at(name)).abs().max().item<double>();
    const double apart = (tensor - b.Last().at(name)).abs().max().item<double>();
    EXPECT_LE(apart, 0.01 * moved + 1e-6) << name;
    farthest = std::max(farthest, moved);
  }
  EXPECT_GT(farthest, 0.01);
}

TEST(Pretrain, ExistingModelIsNotOverwritten) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  Pretrain(*corpus, folder + "/model", TinyOptions(2), kToTheEnd);
  const std::string digest = ModelDigest(folder + "/model");
  EXPECT_THROW(Pretrain(*corpus, folder + "/model", TinyOptions(3), kToTheEnd), c10::ValueError);
  EXPECT_EQ(ModelDigest(folder + "/model"), digest);
}

TEST(Pretrain, ModelShorterThanTheCorpusLearnsFromTheEndsOfLives) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  PretrainOptions options = TinyOptions(2);
  options.hyperparameters.max_length = 20;
  Pretrain(*corpus, folder + "/model", options, kToTheEnd);
  EXPECT_EQ(LoadModel(folder + "/model", at::kFloat, at::kCPU).transformer->hyperparameters().max_length, 20);
  options.n_slots = 21;
  EXPECT_THROW(Pretrain(*corpus, folder + "/other", options, kToTheEnd), c10::ValueError);
}

TEST(Pretrain, EveryPublishedRecipeTrainsASmallModel) {
  const std::string folder = TemporaryFolder();
  const auto corpus = MakeTinyCorpus(folder + "/corpus");
  for (const std::string name : {"life2vec", "life2vec-light"}) {
    PretrainOptions options = PublishedRecipe(name);
    options.hyperparameters = TinyShape();
    options.steps = 3;
    const PretrainResult result = Pretrain(*corpus, folder + "/" + name, options, kToTheEnd);
    EXPECT_TRUE(std::isfinite(result.validation_mlm_loss)) << name;
  }
  EXPECT_THROW(PublishedRecipe("life3vec"), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
