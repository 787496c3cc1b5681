#include "server/evaluation/dictionary_evaluation.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <utility>

#include "server/dictionary/weights.h"
#include "server/evaluation/metric_definition.h"
#include "server/evaluation/thresholded_dictionary.h"
#include "server/intervention/engine.h"
#include "server/training/masking.h"
#include "server/training/pretrain_loss.h"
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
    return EvaluateDictionary(sites_, dictionary_, *corpus_, options);
  }
  int64_t width() const { return model_->hyperparameters().hidden_size; }

  const std::shared_ptr<const Transformer> model_ = TinyModel(at::kDouble);
  const std::shared_ptr<const Corpus> corpus_ = WriteCorpus(RandomPersons());
  const DictionarySites sites_ = SitesOfAutoencoder(*model_, kPoint);
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
  const DictionaryEvaluation evaluation = EvaluateDictionary(sites_, neurons, *corpus_, Options());
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
  const DictionaryEvaluation evaluation =
      EvaluateDictionary(SitesOfAutoencoder(headless, kPoint), dictionary_, *corpus_, Options());
  EXPECT_THAT(evaluation.downstream, IsEmpty());
  EXPECT_FALSE(evaluation.reconstruction.empty());
}

TEST_F(DictionaryEvaluationTest, TakesTheFirstPersonsAndCanBeStopped) {
  DictionaryEvaluationOptions options = Options();
  options.max_persons = 2;
  EXPECT_EQ(Evaluate(options).person_count, 2);
  EXPECT_THROW(EvaluateDictionary(sites_, dictionary_, *corpus_, options, [](int64_t, int64_t) { return false; }),
               Cancelled);
}

TEST_F(DictionaryEvaluationTest, AThresholdMatchesL0AndDropsTheWeakest) {
  const double own = ByName(Evaluate(Options()).reconstruction).at("l0");
  const double wanted = own / 2;
  const double threshold = ThresholdForL0(*model_, dictionary_, *corpus_, Options(), wanted);
  const ThresholdedDictionary sparser(std::make_shared<ReluDictionary>(dictionary_), threshold);
  const DictionaryEvaluation evaluation = EvaluateDictionary(sites_, sparser, *corpus_, Options());
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
  const auto fault = [&](const DictionaryEvaluationOptions& options, const Corpus& corpus,
                         const HookPoint& point = kPoint) -> std::string {
    try {
      EvaluateDictionary(SitesOfAutoencoder(*model_, point), dictionary_, corpus, options);
    } catch (const c10::ValueError& error) {
      return error.what_without_backtrace();
    }
    return "";
  };
  DictionaryEvaluationOptions options = Options();
  options.mask_ratio = 0;
  EXPECT_THAT(fault(options, *corpus_), HasSubstr("mask_ratio"));
  EXPECT_THAT(fault(Options(), *corpus_, {Site::kKsum, 0}), HasSubstr("hook_point"));
  struct Wider : ReluDictionary {
    using ReluDictionary::ReluDictionary;
    int64_t output_dim() const override { return activation_dim() + 1; }
  };
  EXPECT_THROW(EvaluateDictionary(sites_, Wider(width(), 4, at::kDouble, 1), *corpus_, Options()), c10::ValueError);
  std::vector<TinyPerson> persons = RandomPersons();
  for (TinyPerson& p : persons) p.split = Split::kTrain;
  EXPECT_THAT(fault(Options(), *WriteCorpus(persons)), HasSubstr("no position"));
}

// Weights from `seed`.
std::shared_ptr<const Dictionary> RandomDictionary(int64_t input, int64_t output, uint64_t seed) {
  constexpr int64_t kFeatures = 24;
  at::manual_seed(seed);
  const auto draw = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble) * 0.2; };
  DictionaryWeights weights{"standard",
                            {{"W_enc", draw({input, kFeatures})},
                             {"b_enc", draw({kFeatures})},
                             {"W_dec", draw({kFeatures, output})},
                             {"b_dec", draw({output})}}};
  weights.apply_b_dec_to_input = false;
  return MakeDictionary(weights, at::kDouble, at::kCPU);
}

// What must come out at one hook point that is predicted, worked out document by document.
class OneByOne {
 public:
  OneByOne(const Corpus& corpus, std::vector<DictionarySite> reads, DictionarySite predicts,
           std::shared_ptr<const Dictionary> dictionary, int64_t first_column)
      : corpus_(corpus),
        reads_(std::move(reads)),
        predicts_(std::move(predicts)),
        dictionary_(std::move(dictionary)),
        first_column_(first_column) {
    std::vector<at::Tensor> x, r, f;
    for (const int64_t index : corpus.DocumentsOf(Split::kValidation)) {
      const PretrainBatch life = Pack({corpus.DocumentAt(index), {}, SentenceOrder::kOriginal});
      const at::Tensor rows = Rows(corpus.DocumentAt(index)), read = Read(life).index_select(0, rows);
      f.push_back(dictionary_->Encode(read));
      x.push_back(Captured(predicts_, life).index_select(0, rows));
      r.push_back(Decoded(read));
    }
    x_ = at::cat(x);
    r_ = at::cat(r);
    features_ = at::cat(f);
  }

  void Expect(const std::map<std::string, double>& reconstruction, const std::map<std::string, double>& downstream) {
    const at::Tensor error = x_ - r_;
    const auto squares = [](const at::Tensor& t) { return t.square().sum(); };
    EXPECT_NEAR(reconstruction.at("fvu"), (squares(error) / squares(x_ - x_.mean(0))).item<double>(), 1e-9);
    EXPECT_NEAR(reconstruction.at("mse_sum"), error.square().sum(1).mean().item<double>(), 1e-9);
    EXPECT_NEAR(reconstruction.at("cosine"), at::cosine_similarity(x_, r_).mean().item<double>(), 1e-9);
    EXPECT_NEAR(reconstruction.at("l0"), features_.ne(0).sum(1).to(at::kDouble).mean().item<double>(), 1e-9);
    const at::Tensor zero = at::zeros({1, x_.size(1)}, at::kDouble);
    EXPECT_NEAR(downstream.at("cross_entropy_clean"), CrossEntropy({}, false), 1e-9);
    EXPECT_NEAR(downstream.at("cross_entropy_spliced"), CrossEntropy({}, true), 1e-9);
    EXPECT_NEAR(downstream.at("cross_entropy_zero_ablated"), CrossEntropy(zero, true), 1e-9);
    EXPECT_NEAR(downstream.at("cross_entropy_mean_ablated"), CrossEntropy(x_.mean(0, true), true), 1e-9);
  }

 private:
  PretrainBatch Pack(const PretrainExample& example) const {
    return PackExamples({example}, predicts_.model->hyperparameters().max_length, at::kCPU);
  }
  static at::Tensor Rows(const Document& document) {
    std::vector<int64_t> rows;
    for (int64_t p = 0; p < document.length(); ++p) {
      if (PositionChoice().Has(document, p)) rows.push_back(p);
    }
    return at::tensor(rows, at::kLong);
  }
  static at::Tensor Captured(const DictionarySite& site, const PretrainBatch& batch) {
    at::Tensor activation;
    Hooks hooks;
    hooks.Capture(site.hook_point, &activation);
    ForwardOptions forward;
    forward.hooks = &hooks;
    site.model->Forward(batch.documents, forward);
    return activation.flatten(1);
  }
  at::Tensor Read(const PretrainBatch& batch) const {
    std::vector<at::Tensor> columns;
    for (const DictionarySite& site : reads_) columns.push_back(Captured(site, batch));
    return at::cat(columns, 1);
  }
  at::Tensor Decoded(const at::Tensor& read) const {
    const int64_t width = WidthsOf(std::vector<DictionarySite>{predicts_})[0];
    return dictionary_->Decode(dictionary_->Encode(read), read).narrow(1, first_column_, width);
  }
  // Of the masked lives where the rows become `by`, or, when it is undefined, what is decoded.
  double CrossEntropy(const at::Tensor& by, bool replaces) const {
    std::vector<at::Tensor> losses;
    for (const int64_t index : corpus_.DocumentsOf(Split::kValidation)) {
      PretrainExample example{corpus_.DocumentAt(index), {}, SentenceOrder::kOriginal};
      const at::Tensor rows = Rows(example.document);
      const DictionaryEvaluationOptions options;
      Random random(options.mask_seed + example.document.person_id);
      example.targets = MaskTokens(options.mask_ratio, corpus_.vocabulary().size(), example.document, random);
      const PretrainBatch masked = Pack(example);
      Hooks hooks;
      const at::Tensor decoded = Decoded(Read(masked).index_select(0, rows));
      if (replaces) {
        hooks.Add(predicts_.hook_point, [&](const at::Tensor& activation) {
          const at::Tensor source = by.defined() ? by.expand_as(decoded) : decoded;
          return activation.flatten(1).index_copy(0, rows, source).view_as(activation);
        });
      }
      ForwardOptions forward;
      forward.hooks = &hooks;
      const at::Tensor residual = predicts_.model->Forward(masked.documents, forward);
      const at::Tensor logits = predicts_.model->MlmLogits(residual.index_select(0, masked.target_rows));
      losses.push_back(-logits.log_softmax(1).gather(1, masked.target_tokens.unsqueeze(1)));
    }
    return at::cat(losses).mean().item<double>();
  }

  const Corpus& corpus_;
  std::vector<DictionarySite> reads_;
  DictionarySite predicts_;
  std::shared_ptr<const Dictionary> dictionary_;
  int64_t first_column_;
  at::Tensor x_, r_, features_;
};

// Reads and writes two sites of `width` with the same directions.
struct RandomTwins : ReluDictionary {
  explicit RandomTwins(int64_t width) : ReluDictionary(2 * width, 24, at::kDouble, 9) {
    const at::Tensor half = w_dec.narrow(1, 0, width);
    w_dec = at::cat({half, half}, 1);
  }
};

DictionarySite SiteAt(const Transformer& model, const HookPoint& point, const std::string& prefix = "") {
  return {prefix + point.ToString(), &model, point};
}

TEST_F(DictionaryEvaluationTest, ATranscoderIsJudgedByWhatItPredicts) {
  // In the order of the forward pass, and to another width; against it.
  for (const auto& [from, to] : {std::pair<HookPoint, HookPoint>{{Site::kResidMid, 0}, {Site::kMlpPost, 0}},
                                 {{Site::kResidPost, 1}, {Site::kMlpOut, 0}}}) {
    const DictionarySites sites{{SiteAt(*model_, from)}, {SiteAt(*model_, to)}};
    const auto dictionary = RandomDictionary(WidthsOf(sites.reads)[0], WidthsOf(sites.predicts)[0], 3);
    const DictionaryEvaluation evaluation = EvaluateDictionary(sites, *dictionary, *corpus_, Options());
    EXPECT_THAT(evaluation.sites, IsEmpty());
    EXPECT_FALSE(evaluation.peers.empty());
    OneByOne(*corpus_, sites.reads, sites.predicts[0], dictionary, 0)
        .Expect(ByName(evaluation.reconstruction), ByName(evaluation.downstream));
  }
}

TEST_F(DictionaryEvaluationTest, ACrosscoderIsJudgedAtEveryHookPointInItsOwnModel) {
  Weights weights = model_->weights();
  weights.embedding.segment = weights.embedding.segment * 3;
  const Transformer other(model_->hyperparameters(), weights);
  const std::vector<DictionarySite> sites{SiteAt(*model_, {Site::kResidPost, 0}), SiteAt(*model_, {Site::kMlpPost, 1}),
                                          SiteAt(other, {Site::kResidPost, 0}, "other:")};
  const int64_t wide = model_->hyperparameters().hidden_ff, total = 2 * width() + wide;
  const auto dictionary = RandomDictionary(total, total, 4);
  DictionaryEvaluationOptions options = Options();
  options.groups = GroupByTokenCategory(*corpus_);
  const DictionaryEvaluation evaluation = EvaluateDictionary({sites, sites}, *dictionary, *corpus_, options);
  ASSERT_EQ(evaluation.sites.size(), 3u);
  EXPECT_EQ(evaluation.sites[2].name, "other:blocks.0.hook_resid_post");
  EXPECT_EQ(evaluation.reconstruction.size(), 2u);
  EXPECT_THAT(evaluation.downstream, IsEmpty());
  const int64_t columns[] = {0, width(), width() + wide};
  int64_t rows = 0;
  for (size_t s = 0; s < 3; ++s) {
    const SiteEvaluation& site = evaluation.sites[s];
    OneByOne(*corpus_, sites, sites[s], dictionary, columns[s])
        .Expect(ByName(site.reconstruction), ByName(site.downstream));
  }
  for (const SubgroupEvaluation& group : evaluation.groups) {
    if (group.name.find(" at other:") != std::string::npos) rows += group.row_count;
  }
  EXPECT_EQ(rows, evaluation.row_count);
  EXPECT_NE(ByName(evaluation.sites[0].downstream).at("cross_entropy_clean"),
            ByName(evaluation.sites[2].downstream).at("cross_entropy_clean"));
  for (const Measurement& m : evaluation.across_sites) EXPECT_NO_THROW(DefinitionOf(m.metric)) << m.metric;
}

// Directions of one length at both, of activations of which one is ten times as long.
TEST_F(DictionaryEvaluationTest, DecoderNormsAreInUnitsOfTheActivations) {
  Weights weights = model_->weights();
  weights.embedding.segment = weights.embedding.segment * 10;
  const Transformer louder(model_->hyperparameters(), weights);
  const HookPoint point{Site::kEmbedSegment, -1};
  const std::vector<DictionarySite> sites{SiteAt(*model_, point), SiteAt(louder, point, "louder:")};
  RandomTwins twins(width());
  const DictionaryEvaluation evaluation = EvaluateDictionary({sites, sites}, twins, *corpus_, Options());
  EXPECT_TRUE(
      at::allclose(evaluation.sites[0].relative_norms, at::full_like(evaluation.sites[0].relative_norms, 10.0 / 11)));
}

}  // namespace
}  // namespace lifescope
