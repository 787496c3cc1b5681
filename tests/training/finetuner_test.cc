#include "server/training/finetuner.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "server/artifact/artifact.h"
#include "server/corpus/world.h"
#include "tests/support/golden.h"
#include "tests/training/tiny_corpus.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

constexpr int64_t kMaxLength = kTinyMaxLength;

const std::shared_ptr<const Corpus>& World() {
  static const std::shared_ptr<const Corpus> world = [] {
    const std::string folder = TemporaryFolder() + "/world";
    WorldOptions options;
    options.person_count = 60;
    options.max_length = kMaxLength;
    SynthesizeWorld(folder, options);
    return Corpus::Open(folder);
  }();
  return world;
}

const Transformer& Base() {
  static const Transformer base = [] {
    Hyperparameters h = TinyShape();
    h.vocab_size = World()->vocabulary().size();
    return Transformer(h, InitializeWeights(h, 3, 0.5));
  }();
  return base;
}

std::vector<ClassTarget> Sector() { return {ParseClassTarget("trait:sector", World())}; }

FinetuneOptions Options(int64_t epochs) {
  FinetuneOptions options;
  options.epochs = epochs;
  options.rates.decoder = 5e-3;
  return options;
}

// The higher, the more probable the true classes.
double LogLikelihood(const PersonPredictions& predictions) {
  const at::Tensor truth = predictions.classes.clamp_min(0).unsqueeze(2);
  return predictions.probabilities.gather(2, truth).log().mean().item<double>();
}

FinetuneResult Train(const FinetuneOptions& options, const std::vector<ClassTarget>& targets = Sector()) {
  std::optional<FinetuneResult> result = Finetune(Base(), *World(), targets, options, LogLikelihood);
  EXPECT_TRUE(result.has_value());
  return *std::move(result);
}

std::map<std::string, at::Tensor> State(const FinetuneResult& result) {
  return ToStateDict(*result.weights, Base().hyperparameters());
}

std::map<std::string, at::Tensor> BaseState() { return ToStateDict(Base().weights(), Base().hyperparameters()); }

// Probabilities [1, targets, classes] of one person.
at::Tensor Said(const ClassifierHead& head, const Transformer& model, int64_t person) {
  const c10::NoGradGuard no_grad;
  const Document d = World()->DocumentAt(person);
  const PackedBatch batch = MakePackedBatch(
      {{d.token.data(), d.abspos.data(), d.age.data(), d.segment.data(), d.length(), kMaxLength}}, at::kCPU);
  return head.Probabilities(head.Logits(model.Forward(batch), batch.offsets));
}

bool SameDecoder(FinetuneResult a, FinetuneResult b) {
  const auto x = TrainableTensors(a.decoder), y = TrainableTensors(b.decoder);
  for (size_t i = 0; i < x.size(); ++i) {
    if (!at::equal(*x[i].second, *y[i].second)) return false;
  }
  return true;
}

TEST(Finetune, TwoRunsGiveTheSameHeadAndTrunk) {
  const FinetuneResult first = Train(Options(2)), second = Train(Options(2));
  EXPECT_TRUE(SameDecoder(first, second));
  EXPECT_TRUE(at::equal(first.test.probabilities, second.test.probabilities));
  const auto a = State(first), b = State(second);
  for (const auto& [name, tensor] : a) EXPECT_TRUE(at::equal(tensor, b.at(name))) << name;
  FinetuneOptions other = Options(2);
  other.seed = 2;
  EXPECT_FALSE(SameDecoder(first, Train(other)));
}

TEST(Finetune, AFrozenTrunkIsNoNewModel) {
  FinetuneOptions options = Options(3);
  options.freeze_trunk = true;
  std::map<std::string, at::Tensor> before;
  for (const auto& [name, tensor] : BaseState()) before[name] = tensor.clone();
  const FinetuneResult result = Train(options);
  EXPECT_FALSE(result.weights.has_value());
  for (const auto& [name, tensor] : BaseState()) EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
}

TEST(Finetune, ATrainedTrunkMovesAndLeavesTheBaseAlone) {
  std::map<std::string, at::Tensor> before;
  for (const auto& [name, tensor] : BaseState()) before[name] = tensor.clone();
  const auto after = State(Train(Options(1)));
  for (const auto& [name, tensor] : BaseState()) EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
  for (const char* name :
       {"transformer.encoders.0.attention.attention.to_q.weight", "transformer.encoders.1.position_wise.hidden2ff.bias",
        "transformer.embedding.segment.weight", "transformer.embedding.abspos.w"}) {
    EXPECT_FALSE(at::equal(after.at(name), before.at(name))) << name;
  }
  EXPECT_TRUE(at::equal(after.at("mlm_decoder.V.weight"), before.at("mlm_decoder.V.weight")));
}

TEST(Finetune, FrozenTokensMoveInThreeRowsAlone) {
  const std::string token = "transformer.embedding.token.parametrizations.weight.original";
  const at::Tensor before = BaseState().at(token), after = State(Train(Options(1))).at(token);
  for (int64_t row = 0; row < before.size(0); ++row) {
    const bool learns = row == 1 || row == 9;  // [PLCH4] is in no document
    EXPECT_EQ(!at::equal(before[row], after[row]), learns) << row;
  }
  FinetuneOptions free = Options(1);
  free.freeze_tokens = false;
  const at::Tensor moved = State(Train(free)).at(token);
  EXPECT_FALSE(at::equal(before[12], moved[12]));
}

TEST(Finetune, ProjectionsAreRedrawnAfterAnEpochUnlessKept) {
  const std::string name = "transformer.encoders.0.attention.attention.fast_attention.projection_matrix";
  FinetuneOptions options = Options(3);
  // The score rises from epoch to epoch, so that the last one is kept.
  const auto train = [&] {
    double score = 0;
    return *Finetune(Base(), *World(), Sector(), options, [&](const PersonPredictions&) { return ++score; });
  };
  EXPECT_FALSE(at::equal(State(train()).at(name), BaseState().at(name)));
  options.redraw_projections = false;
  EXPECT_TRUE(at::equal(State(train()).at(name), BaseState().at(name)));
}

TEST(Finetune, TheBestEpochIsKeptAndPatienceEndsIt) {
  FinetuneOptions options = Options(9);
  options.patience = 2;
  options.freeze_trunk = true;
  const double scores[] = {0.3, 0.7, 0.7, 0.1};
  size_t epoch = 0;
  std::vector<at::Tensor> said;
  const auto result = Finetune(Base(), *World(), Sector(), options, [&](const PersonPredictions& predictions) {
    said.push_back(predictions.probabilities);
    return scores[epoch++];
  });
  EXPECT_EQ(epoch, 4u) << "two epochs after the best one";
  EXPECT_EQ(result->best_epoch, 2);
  EXPECT_EQ(result->validation_score, 0.7);
  // The kept head says what it said then.
  int64_t first = 0;
  while (World()->split(first) != Split::kValidation) ++first;
  const at::Tensor now = Said(ClassifierHead(result->description, result->decoder), Base(), first);
  EXPECT_TRUE(at::allclose(now[0].to(at::kDouble), said[1][0], 1e-4, 1e-5));
}

TEST(Finetune, WhatIsWrittenIsWhatWasTrained) {
  const std::string home = TemporaryFolder();
  const FinetuneResult result = Train(Options(1));
  WriteFinetuned(result, Base(), "sha256:base", World()->vocabulary().ToTsv(), home + "/model", home + "/head");
  const LoadedHead head = LoadHead(home + "/head", at::kFloat, at::kCPU);
  const LoadedModel model = LoadModel(home + "/model", at::kFloat, at::kCPU);
  EXPECT_EQ(head.head->description().model_digest, model.digest);
  EXPECT_EQ(head.head->description().n_slots, kMaxLength);
  EXPECT_EQ(head.head->description().targets[0].classes.size(), 6u);
  const at::Tensor said = Said(*head.head, *model.transformer, result.test.persons[0]);
  EXPECT_TRUE(at::allclose(said[0].to(at::kDouble), result.test.probabilities[0], 1e-4, 1e-5));

  FinetuneOptions frozen = Options(1);
  frozen.freeze_trunk = true;
  WriteFinetuned(Train(frozen), Base(), "sha256:base", "", home + "/none", home + "/frozen");
  EXPECT_EQ(LoadHead(home + "/frozen", at::kFloat, at::kCPU).head->description().model_digest, "sha256:base");
  EXPECT_FALSE(std::filesystem::exists(home + "/none"));
}

TEST(Finetune, ATrunkIsNotLeftWithoutItsHead) {
  const std::string home = TemporaryFolder();
  const FinetuneResult result = Train(Options(1));
  const auto write = [&](const std::string& model, const std::string& head) {
    WriteFinetuned(result, Base(), "sha256:base", World()->vocabulary().ToTsv(), home + model, home + head);
  };
  write("/model", "/head");
  EXPECT_THROW(write("/second", "/head"), c10::ValueError);
  EXPECT_FALSE(std::filesystem::exists(home + "/second"));
  EXPECT_THROW(write("/model", "/other"), c10::ValueError);
  EXPECT_TRUE(std::filesystem::exists(home + "/model")) << "the model of another run stays";
}

TEST(Finetune, ACallerCanStopIt) {
  int64_t steps = 0;
  EXPECT_FALSE(Finetune(Base(), *World(), Sector(), Options(2), LogLikelihood, [&](const FinetuneProgress& progress) {
                 EXPECT_EQ(progress.step, ++steps);
                 return steps < 2;
               }).has_value());
  EXPECT_EQ(steps, 2);
}

TEST(Finetune, SeveralTargetsAreLearntTogether) {
  FinetuneOptions options = Options(1);
  options.kind = "ordinal";
  options.loss.loss = ClassificationLoss::kClassDistance;
  const std::vector<ClassTarget> targets = {ParseClassTarget("trait:illness=none", World()),
                                            ParseClassTarget("trait:sector=care", World())};
  const FinetuneResult result = Train(options, targets);
  EXPECT_EQ(result.test.probabilities.size(1), 2);
  EXPECT_EQ(result.description.link, Link::kSigSoftmax);
}

TEST(Finetune, WhatCannotBeTrainedIsNamed) {
  const auto error_of = [](const std::vector<ClassTarget>& targets, const FinetuneOptions& options,
                           const ValidationScore& score = LogLikelihood) -> std::string {
    try {
      Finetune(Base(), *World(), targets, options, score);
    } catch (const c10::ValueError& error) {
      return error.what_without_backtrace();
    }
    return "no error";
  };
  FinetuneOptions options = Options(1);
  options.n_slots = 20;
  EXPECT_THAT(error_of(Sector(), options), HasSubstr("n_slots: 20"));
  options = Options(1);
  options.loss.loss = ClassificationLoss::kAsymmetric;
  EXPECT_THAT(error_of(Sector(), options), HasSubstr("two classes"));
  std::vector<ClassTarget> uneven = Sector();
  uneven.push_back(ParseClassTarget("trait:sector=care", World()));
  EXPECT_THAT(error_of(uneven, Options(1)), HasSubstr("'trait:sector=care' has 2 classes, expected 6"));
  std::vector<ClassTarget> nobody = Sector();
  nobody[0].class_of = [](int64_t person) { return World()->split(person) == Split::kTest ? -1 : 0; };
  EXPECT_THAT(error_of(nobody, Options(1)), HasSubstr("test split"));
  std::vector<ClassTarget> half = {Sector()[0], Sector()[0]};
  half[1].target.name = "half";
  half[1].class_of = [](int64_t person) { return World()->split(person) == Split::kValidation ? -1 : 0; };
  EXPECT_THAT(error_of(half, Options(1)), HasSubstr("target 'half': nobody of the corpus' validation split"));
  EXPECT_THAT(
      error_of(Sector(), Options(1), [](const PersonPredictions&) { return std::numeric_limits<double>::quiet_NaN(); }),
      HasSubstr("validation score of epoch 1"));
}

}  // namespace
}  // namespace lifescope
