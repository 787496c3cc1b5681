#include "server/evaluation/dictionary_evaluation.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "server/evaluation/metric_definition.h"
#include "server/evaluation/thresholded_dictionary.h"
#include "server/intervention/engine.h"
#include "server/training/masking.h"
#include "tests/evaluation/tiny_corpus.h"

namespace lifescope {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const HookPoint kPoint{Site::kResidPost, 0};

std::map<std::string, double> ByName(const std::vector<Measurement>& metrics) {
  std::map<std::string, double> values;
  for (const Measurement& m : metrics) values[m.metric] = m.value;
  return values;
}

DictionaryEvaluationOptions Options() {
  DictionaryEvaluationOptions options;
  options.scan.hook_point = kPoint;
  options.bootstrap.resamples = 20;
  return options;
}

class DictionaryEvaluationTest : public testing::Test {
 protected:
  DictionaryEvaluation Evaluate(const DictionaryEvaluationOptions& options) const {
    return EvaluateDictionary(*model_, dictionary_, *corpus_, options);
  }
  int64_t width() const { return model_->hyperparameters().hidden_size; }

  const std::shared_ptr<const Transformer> model_ = TinyModel(at::kDouble);
  const std::shared_ptr<const Corpus> corpus_ = WriteCorpus(RandomPersons());
  ReluDictionary dictionary_{model_->hyperparameters().hidden_size, 40, at::kDouble, 5};
};

// What the run engine gives for the same masked lives with the same rows edited.
class ByTheRunEngine {
 public:
  ByTheRunEngine(const Transformer& model, std::shared_ptr<const Dictionary> dictionary, const Corpus& corpus,
                 const DictionaryEvaluationOptions& options, const at::Tensor& mean)
      : model_(model) {
    run_.dictionaries = {{std::move(dictionary), kPoint}};
    const std::vector<double> mean_values(mean.data_ptr<double>(), mean.data_ptr<double>() + mean.size(0));
    for (const char* name : {"spliced", "zero", "mean"}) run_.interventions.push_back({name, {}});
    for (const int64_t index : corpus.DocumentsOf(options.split)) {
      Document document = corpus.DocumentAt(index);
      const auto number = static_cast<int64_t>(run_.documents.size());
      Positions rows;
      for (int64_t p = 0; p < document.length(); ++p) {
        const bool is_prefix = document.event[p] == 0, is_separator = !is_prefix && document.token[p] == kSep;
        if (!(is_prefix && !options.positions.prefix) && !(is_separator && !options.positions.separators)) {
          rows.indices.push_back(p);
        }
      }
      Random random(options.mask_seed + document.person_id);
      const MaskedTargets targets = MaskTokens(options.mask_ratio, corpus.vocabulary().size(), document, random);
      run_.documents.push_back(document);
      Positions at_targets;
      at_targets.indices = targets.positions;
      run_.reads.push_back({"logits", MlmLogitsRead{}, at_targets, {number}});
      targets_.insert(targets_.end(), targets.tokens.begin(), targets.tokens.end());
      const auto edit = [&](int64_t intervention, EditTarget target, EditMode mode, ErrorMode error_mode) {
        run_.interventions[intervention].edits.push_back(
            {std::move(target), rows, std::move(mode), error_mode, {number}});
      };
      edit(0, FeatureTarget{0, {0}}, Scale{1}, ErrorMode::kReplace);
      edit(1, ActivationTarget{kPoint}, Zero{}, ErrorMode::kDelta);
      edit(2, ActivationTarget{kPoint}, SetTo{mean_values}, ErrorMode::kDelta);
    }
  }

  // Mean cross-entropy clean, spliced, zero, mean; then KL to clean of the last three.
  std::vector<double> Means() const {
    const RunResult result = Execute(run_, model_);
    std::vector<at::Tensor> log_probabilities{LogProbabilities(result.clean)};
    for (const InterventionResult& i : result.interventions) log_probabilities.push_back(LogProbabilities(i.documents));
    std::vector<double> means;
    const at::Tensor targets = at::tensor(targets_, at::kLong).unsqueeze(1);
    for (const at::Tensor& l : log_probabilities) means.push_back(-l.gather(1, targets).mean().item<double>());
    const at::Tensor& clean = log_probabilities[0];
    for (size_t i = 1; i < 4; ++i) {
      means.push_back((clean.exp() * (clean - log_probabilities[i])).sum(1).mean().item<double>());
    }
    return means;
  }

 private:
  static at::Tensor LogProbabilities(const std::vector<DocumentResult>& documents) {
    std::vector<at::Tensor> logits;
    for (const DocumentResult& d : documents) logits.push_back(std::get<at::Tensor>(d.values.at(0).value));
    return at::cat(logits).log_softmax(1);
  }

  const Transformer& model_;
  Run run_;
  std::vector<int64_t> targets_;
};

TEST_F(DictionaryEvaluationTest, AgreesWithTheRunEngine) {
  for (const PositionChoice positions : {PositionChoice{false, true}, PositionChoice{true, false}}) {
    DictionaryEvaluationOptions options = Options();
    options.positions = positions;
    options.split = Split::kTest;
    const DictionaryEvaluation evaluation = Evaluate(options);
    std::vector<at::Tensor> x;
    for (const int64_t index : corpus_->DocumentsOf(Split::kTest)) {
      const Document document = corpus_->DocumentAt(index);
      lifescope::Run run;
      run.documents = {document};
      run.reads = {{"", ActivationRead{kPoint}, {}, {}}};
      const at::Tensor rows = std::get<at::Tensor>(Execute(run, *model_).clean[0].values[0].value);
      for (int64_t p = 0; p < document.length(); ++p) {
        if (positions.Has(document, p)) x.push_back(rows[p]);
      }
    }
    const at::Tensor all = at::stack(x), f = dictionary_.Encode(all), e = all - dictionary_.Decode(f, all);
    EXPECT_EQ(evaluation.row_count, all.size(0));
    const auto reconstruction = ByName(evaluation.reconstruction);
    EXPECT_NEAR(reconstruction.at("fvu"), (e.square().sum() / (all - all.mean(0)).square().sum()).item<double>(), 1e-9);
    EXPECT_NEAR(reconstruction.at("l0"), f.gt(0).sum(1).to(at::kDouble).mean().item<double>(), 1e-9);
    EXPECT_TRUE(at::allclose(evaluation.densities, f.gt(0).to(at::kDouble).mean(0)));

    const std::vector<double> expected =
        ByTheRunEngine(*model_, std::make_shared<ReluDictionary>(dictionary_), *corpus_, options, all.mean(0)).Means();
    const auto downstream = ByName(evaluation.downstream);
    size_t i = 0;
    for (const char* name : {"cross_entropy_clean", "cross_entropy_spliced", "cross_entropy_zero_ablated",
                             "cross_entropy_mean_ablated", "kl_spliced", "kl_zero_ablated", "kl_mean_ablated"}) {
      EXPECT_NEAR(downstream.at(name), expected[i++], 1e-9) << name;
    }
  }
}

// f = relu(x), relu(-x).
TEST_F(DictionaryEvaluationTest, NothingIsLostByBothSignsOfEveryNeuron) {
  const at::Tensor identity = at::eye(width(), at::kDouble);
  ReluDictionary neurons(width(), 2 * width(), at::kDouble, 1);
  neurons.w_enc = at::cat({identity, -identity}, 1);
  neurons.w_dec = at::cat({identity, -identity});
  neurons.b_enc = at::zeros({2 * width()}, at::kDouble);
  neurons.b_dec = at::zeros({width()}, at::kDouble);
  const DictionaryEvaluation evaluation = EvaluateDictionary(*model_, neurons, *corpus_, Options());
  EXPECT_NEAR(ByName(evaluation.reconstruction).at("fvu"), 0, 1e-12);
  EXPECT_NEAR(ByName(evaluation.downstream).at("kl_spliced"), 0, 1e-12);
  EXPECT_NEAR(ByName(evaluation.downstream).at("loss_recovered_zero"), 1, 1e-9);
  EXPECT_NEAR(ByName(evaluation.features).at("max_decoder_cosine"), 0, 1e-12);
}

TEST_F(DictionaryEvaluationTest, DoesNotDependOnTheBatch) {
  DictionaryEvaluationOptions one_by_one = Options();
  one_by_one.scan.batch_tokens = 1;
  const DictionaryEvaluation alone = Evaluate(one_by_one), together = Evaluate(Options());
  for (const auto metrics :
       {&DictionaryEvaluation::reconstruction, &DictionaryEvaluation::downstream, &DictionaryEvaluation::features}) {
    for (size_t i = 0; i < (alone.*metrics).size(); ++i) {
      const Measurement &a = (alone.*metrics)[i], &b = (together.*metrics)[i];
      EXPECT_NEAR(a.value, b.value, 1e-9) << a.metric;
      if (metrics == &DictionaryEvaluation::features) continue;
      EXPECT_NEAR(a.low, b.low, 1e-9) << a.metric;
      EXPECT_LE(a.low, a.high) << a.metric;
    }
  }
}

TEST_F(DictionaryEvaluationTest, EveryFigureHasADefinition) {
  const DictionaryEvaluation evaluation = Evaluate(Options());
  for (const auto& metrics :
       {evaluation.reconstruction, evaluation.downstream, evaluation.features, evaluation.peers}) {
    EXPECT_FALSE(metrics.empty());
    for (const Measurement& m : metrics) EXPECT_NO_THROW(DefinitionOf(m.metric)) << m.metric;
  }
}

TEST_F(DictionaryEvaluationTest, GroupsAddUpToTheSet) {
  DictionaryEvaluationOptions options = Options();
  options.groups = GroupByTokenCategory(*corpus_);
  const DictionaryEvaluation evaluation = Evaluate(options);
  ASSERT_GT(evaluation.groups.size(), 1u);
  int64_t rows = 0, predictions = 0;
  double squared_error = 0, spread = 0, cross_entropy = 0;
  for (const SubgroupEvaluation& group : evaluation.groups) {
    rows += group.row_count;
    predictions += group.prediction_count;
    const auto reconstruction = ByName(group.reconstruction);
    const double error = reconstruction.at("mse_sum") * static_cast<double>(group.row_count);
    squared_error += error;
    spread += error / reconstruction.at("fvu");
    if (group.prediction_count > 0) {
      cross_entropy +=
          ByName(group.downstream).at("cross_entropy_spliced") * static_cast<double>(group.prediction_count);
    }
  }
  EXPECT_EQ(rows, evaluation.row_count);
  EXPECT_NEAR(squared_error / spread, ByName(evaluation.reconstruction).at("fvu"), 1e-9);
  // Background tokens are predicted too, and belong to a category.
  EXPECT_EQ(predictions, evaluation.prediction_count);
  EXPECT_NEAR(cross_entropy / static_cast<double>(predictions),
              ByName(evaluation.downstream).at("cross_entropy_spliced"), 1e-9);
}

TEST_F(DictionaryEvaluationTest, TraitsGroupTheRowsOfTheirPersonsAndEvents) {
  DictionaryEvaluationOptions options = Options();
  options.groups = GroupByConcept(CorpusConcepts::OfTraits(*corpus_));
  std::map<std::string, int64_t> expected;
  for (const int64_t index : corpus_->DocumentsOf(Split::kValidation)) {
    const Document document = corpus_->DocumentAt(index);
    for (const int32_t event : document.event) {
      if (event == 0) continue;
      ++expected[corpus_->PersonTrait(index, 0) == 0 ? "person.sector = a" : "person.sector = b"];
      const int8_t kind = corpus_->EventTrait(index, event, 0);
      if (kind >= 0) ++expected[std::string("event.kind = ") + "xyz"[kind]];
    }
  }
  std::map<std::string, int64_t> rows;
  for (const SubgroupEvaluation& group : Evaluate(options).groups) rows[group.name] = group.row_count;
  EXPECT_EQ(rows, expected);
}

TEST_F(DictionaryEvaluationTest, AModelWithoutItsHeadPredictsNothing) {
  Hyperparameters h = model_->hyperparameters();
  h.pretraining_heads = false;
  const Transformer headless(h, model_->weights());
  const DictionaryEvaluation evaluation = EvaluateDictionary(headless, dictionary_, *corpus_, Options());
  EXPECT_THAT(evaluation.downstream, IsEmpty());
  EXPECT_FALSE(evaluation.reconstruction.empty());
}

TEST_F(DictionaryEvaluationTest, TakesTheFirstPersonsAndCanBeStopped) {
  DictionaryEvaluationOptions options = Options();
  options.max_persons = 2;
  EXPECT_EQ(Evaluate(options).person_count, 2);
  EXPECT_THROW(EvaluateDictionary(*model_, dictionary_, *corpus_, options, [](int64_t, int64_t) { return false; }),
               Cancelled);
}

TEST_F(DictionaryEvaluationTest, AThresholdMatchesL0AndDropsTheWeakest) {
  const double own = ByName(Evaluate(Options()).reconstruction).at("l0");
  const double wanted = own / 2;
  const double threshold = ThresholdForL0(*model_, dictionary_, *corpus_, Options(), wanted);
  const ThresholdedDictionary sparser(std::make_shared<ReluDictionary>(dictionary_), threshold);
  const DictionaryEvaluation evaluation = EvaluateDictionary(*model_, sparser, *corpus_, Options());
  const double l0 = ByName(evaluation.reconstruction).at("l0");
  EXPECT_NEAR(l0, wanted, 2.0 / static_cast<double>(evaluation.row_count));
  const at::Tensor x = at::randn({9, width()}, at::kDouble), f = dictionary_.Encode(x), kept = sparser.Encode(x);
  const at::Tensor strength = f * dictionary_.DecoderDirections().norm(2, {1});
  EXPECT_TRUE(at::equal(kept, at::where(strength.gt(threshold), f, at::zeros_like(f))));
  EXPECT_LT(kept.gt(0).sum().item<int64_t>(), f.gt(0).sum().item<int64_t>());
  // Never more than wanted.
  EXPECT_LE(l0, wanted);
  EXPECT_EQ(ThresholdForL0(*model_, dictionary_, *corpus_, Options(), own + 1), 0);
  EXPECT_THROW(ThresholdForL0(*model_, dictionary_, *corpus_, Options(), 0), c10::ValueError);
}

TEST_F(DictionaryEvaluationTest, RefusesWhatDoesNotFit) {
  const auto fault = [&](const DictionaryEvaluationOptions& options, const Corpus& corpus) -> std::string {
    try {
      EvaluateDictionary(*model_, dictionary_, corpus, options);
    } catch (const c10::ValueError& error) {
      return error.what_without_backtrace();
    }
    return "";
  };
  DictionaryEvaluationOptions options = Options();
  options.mask_ratio = 0;
  EXPECT_THAT(fault(options, *corpus_), HasSubstr("mask_ratio"));
  options = Options();
  options.scan.hook_point = {Site::kKsum, 0};
  EXPECT_THAT(fault(options, *corpus_), HasSubstr("hook_point"));
  struct Wider : ReluDictionary {
    using ReluDictionary::ReluDictionary;
    int64_t output_dim() const override { return activation_dim() + 1; }
  };
  EXPECT_THROW(EvaluateDictionary(*model_, Wider(width(), 4, at::kDouble, 1), *corpus_, Options()), c10::ValueError);
  std::vector<TinyPerson> persons = RandomPersons();
  for (TinyPerson& p : persons) p.split = Split::kTrain;
  EXPECT_THAT(fault(Options(), *WriteCorpus(persons)), HasSubstr("no position"));
}

}  // namespace
}  // namespace lifescope
