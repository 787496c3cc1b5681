#include "server/evaluation/rule_scores.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "server/evaluation/binary_counts.h"
#include "server/evaluation/cooccurrence.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr const char* kScoreNames[] = {"simulation_correlation", "fuzzing", "detection"};

void Check(const RuleRows& rows) {
  TORCH_CHECK_VALUE(rows.codes.rows() == rows.concepts.rows() && rows.concepts.concept_count > 0,
                    "rows: ", rows.codes.rows(), " of codes, ", rows.concepts.rows(), " of ",
                    rows.concepts.concept_count, " concepts, expected as many, of at least one");
  CheckChunks(rows.codes, rows.context_offsets);
}

// Rows on which each feature is active, above 0.
std::vector<int64_t> ActiveRows(const SparseActivations& codes) {
  std::vector<int64_t> active(codes.feature_count, 0);
  const at::Tensor values = codes.values.to(at::kDouble).contiguous(), features = codes.features.contiguous();
  for (int64_t i = 0; i < values.numel(); ++i) {
    active[features.data_ptr<int32_t>()[i]] += values.data_ptr<double>()[i] > 0;
  }
  return active;
}

// What correlations of activations with concepts are made of.
struct Moments {
  double rows = 0;
  std::vector<int64_t> active;          // [features]: ActiveRows
  std::vector<double> sum, square_sum;  // [features]: of activations
  std::vector<double> held_sum;         // [features, concepts]: of activations where the concept holds
  std::vector<double> holds;            // [concepts]: rows

  explicit Moments(const RuleRows& data)
      : rows(static_cast<double>(data.codes.rows())),
        active(ActiveRows(data.codes)),
        sum(data.codes.feature_count, 0),
        square_sum(data.codes.feature_count, 0),
        held_sum(data.codes.feature_count * data.concepts.concept_count, 0),
        holds(data.concepts.concept_count, 0) {
    const at::Tensor values = data.codes.values.to(at::kDouble).contiguous();
    const at::Tensor features = data.codes.features.contiguous(), offsets = data.codes.row_offsets.contiguous();
    for (int64_t row = 0; row < data.codes.rows(); ++row) {
      const int32_t* held = data.concepts.concepts.data() + data.concepts.row_offsets[row];
      const int32_t* held_end = data.concepts.concepts.data() + data.concepts.row_offsets[row + 1];
      for (const int32_t* c = held; c != held_end; ++c) holds[*c] += 1;
      for (int64_t i = offsets.data_ptr<int64_t>()[row]; i < offsets.data_ptr<int64_t>()[row + 1]; ++i) {
        const int64_t feature = features.data_ptr<int32_t>()[i];
        const double value = values.data_ptr<double>()[i];
        sum[feature] += value;
        square_sum[feature] += value * value;
        for (const int32_t* c = held; c != held_end; ++c) held_sum[feature * holds.size() + *c] += value;
      }
    }
  }

  // NaN where the activation or the concept does not vary.
  double Correlation(int64_t feature, int64_t concept_index) const {
    const double share = holds[concept_index] / rows, mean = sum[feature] / rows;
    const double covariance = held_sum[feature * holds.size() + concept_index] / rows - mean * share;
    return covariance / std::sqrt((square_sum[feature] / rows - mean * mean) * share * (1 - share));
  }
};

// The concept that correlates most; -1 where none varies.
int64_t BestConcept(const Moments& moments, int64_t feature) {
  int64_t best = -1;
  double best_correlation = -2;
  for (size_t c = 0; c < moments.holds.size(); ++c) {
    const double correlation = moments.Correlation(feature, static_cast<int64_t>(c));
    if (!(correlation > best_correlation)) continue;
    best = static_cast<int64_t>(c);
    best_correlation = correlation;
  }
  return best;
}

// Of which rows or contexts a concept holds.
std::vector<std::vector<char>> Truth(const HeldConcepts& concepts, const std::vector<int64_t>& context_offsets) {
  const size_t contexts = context_offsets.size() - 1;
  std::vector<std::vector<char>> truth(concepts.concept_count, std::vector<char>(contexts, 0));
  for (size_t context = 0; context < contexts; ++context) {
    const int64_t begin = concepts.row_offsets[context_offsets[context]];
    const int64_t end = concepts.row_offsets[context_offsets[context + 1]];
    for (int64_t i = begin; i < end; ++i) truth[concepts.concepts[i]][context] = 1;
  }
  return truth;
}

// What the scores of a rule are made of; all are sums over rows or contexts.
enum Term : int64_t {
  kRows,
  kSum,        // of activations
  kSquareSum,  // of activations
  kHeldSum,    // of activations where the concept holds
  kHolds,      // rows of which it holds
  kActive,     // rows where the feature is active
  kActiveHolds,
  kContexts,
  kContextHolds,
  kContextActive,
  kContextActiveHolds,
  kTerms
};

double Correlation(const double* sums) {
  const double rows = sums[kRows], mean = sums[kSum] / rows, share = sums[kHolds] / rows;
  const double variance = (sums[kSquareSum] / rows - mean * mean) * share * (1 - share);
  return variance > 0 ? (sums[kHeldSum] / rows - mean * share) / std::sqrt(variance) : kNan;
}

// `active` of `all` are the truth, `holds` the answers, `both` the right ones.
double BalancedAccuracy(double all, double active, double holds, double both) {
  const auto count = [](double value) { return static_cast<int64_t>(value); };
  return BinaryCounts{count(both), count(holds - both), count(active - both), count(all - active - holds + both)}
      .BalancedAccuracy();
}

constexpr size_t kScores = 3;
using Scores = std::array<double, kScores>;

Scores ScoresOf(const double* sums) {
  return {Correlation(sums), BalancedAccuracy(sums[kRows], sums[kActive], sums[kHolds], sums[kActiveHolds]),
          BalancedAccuracy(sums[kContexts], sums[kContextActive], sums[kContextHolds], sums[kContextActiveHolds])};
}

// Why a score is not defined.
constexpr const char* kUndefined[kScores] = {"the activation or the concept does not vary",
                                             "the feature is active on all tokens or none",
                                             "the feature is active in all contexts or none"};

Measurement& ScoreOf(RuleScore& rule, size_t score) {
  return score == 0 ? rule.correlation : score == 1 ? rule.fuzzing : rule.detection;
}

// The terms of rules by person.
class RuleTerms {
 public:
  explicit RuleTerms(const RuleRows& data) : data_(data) {
    std::vector<int64_t> every_row(static_cast<size_t>(data.codes.rows()) + 1);
    for (size_t i = 0; i < every_row.size(); ++i) every_row[i] = static_cast<int64_t>(i);
    by_row_ = Truth(data.concepts, every_row);
    by_context_ = Truth(data.concepts, data.context_offsets);
  }

  // DOUBLE [persons, rules, kTerms].
  at::Tensor PerPerson(const RuleScore* rules, int64_t rule_count) const {
    const auto persons = static_cast<int64_t>(data_.person_offsets.size()) - 1;
    std::vector<int64_t> rule_of_feature(data_.codes.feature_count, -1);
    for (int64_t r = 0; r < rule_count; ++r) rule_of_feature[rules[r].feature] = r;
    at::Tensor sums = at::zeros({persons, rule_count, kTerms}, at::kDouble);
    size_t context = 0;
    for (int64_t person = 0; person < persons; ++person) {
      double* own = sums.data_ptr<double>() + person * rule_count * kTerms;
      const int64_t begin = data_.person_offsets[person], end = data_.person_offsets[person + 1];
      AddAnswers(by_row_, begin, end, kRows, kHolds, rules, rule_count, own);
      AddRows(begin, end, rule_of_feature, rules, own);
      const size_t first_context = context;
      for (; data_.context_offsets[context] < end; ++context) AddContext(context, rule_of_feature, rules, own);
      AddAnswers(by_context_, static_cast<int64_t>(first_context), static_cast<int64_t>(context), kContexts,
                 kContextHolds, rules, rule_count, own);
    }
    return sums;
  }

 private:
  // Rows or contexts, and those of which the concept holds.
  static void AddAnswers(const std::vector<std::vector<char>>& truth, int64_t begin, int64_t end, Term all, Term holds,
                         const RuleScore* rules, int64_t rule_count, double* sums) {
    for (int64_t r = 0; r < rule_count; ++r) {
      const std::vector<char>& held = truth[rules[r].concept_index];
      sums[r * kTerms + all] += static_cast<double>(end - begin);
      sums[r * kTerms + holds] += static_cast<double>(std::count(held.begin() + begin, held.begin() + end, 1));
    }
  }

  // Calls visit(row, rule, activation) for each activation of a rule's feature.
  template <typename Visit>
  void VisitActivations(int64_t begin, int64_t end, const std::vector<int64_t>& rule_of_feature, Visit visit) const {
    const int64_t* offsets = data_.codes.row_offsets.data_ptr<int64_t>();
    const int32_t* features = data_.codes.features.data_ptr<int32_t>();
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t i = offsets[row]; i < offsets[row + 1]; ++i) {
        const int64_t rule = rule_of_feature[features[i]];
        if (rule >= 0) visit(row, rule, values_.data_ptr<double>()[i]);
      }
    }
  }

  void AddRows(int64_t begin, int64_t end, const std::vector<int64_t>& rule_of_feature, const RuleScore* rules,
               double* sums) const {
    VisitActivations(begin, end, rule_of_feature, [&](int64_t row, int64_t rule, double value) {
      double* own = sums + rule * kTerms;
      const bool holds = by_row_[rules[rule].concept_index][row] != 0;
      own[kSum] += value;
      own[kSquareSum] += value * value;
      own[kHeldSum] += holds ? value : 0;
      own[kActive] += value > 0;
      own[kActiveHolds] += value > 0 && holds;
    });
  }

  void AddContext(size_t context, const std::vector<int64_t>& rule_of_feature, const RuleScore* rules,
                  double* sums) const {
    std::set<int64_t> active;
    VisitActivations(data_.context_offsets[context], data_.context_offsets[context + 1], rule_of_feature,
                     [&](int64_t, int64_t rule, double value) {
                       if (value > 0) active.insert(rule);
                     });
    for (const int64_t rule : active) {
      sums[rule * kTerms + kContextActive] += 1;
      sums[rule * kTerms + kContextActiveHolds] += by_context_[rules[rule].concept_index][context];
    }
  }

  const RuleRows& data_;
  const at::Tensor values_ = data_.codes.values.to(at::kDouble).contiguous();
  std::vector<std::vector<char>> by_row_, by_context_;
};

// Means over the rules of which a score is defined.
class ScoreMeans {
 public:
  void Add(const Scores& scores) {
    for (size_t s = 0; s < kScores; ++s) {
      if (std::isnan(scores[s])) continue;
      sums_[s] += scores[s];
      counts_[s] += 1;
    }
  }
  double Mean(size_t score) const { return counts_[score] == 0 ? kNan : sums_[score] / counts_[score]; }

 private:
  Scores sums_{}, counts_{};
};

// Scores every rule, with intervals over the persons, and their means.
void ScoreByPerson(const RuleRows& test, const BootstrapOptions& bootstrap, RuleScores* scores) {
  // Rules of which the draws are held at once.
  constexpr int64_t kRulesAtOnce = 256;
  const RuleTerms terms(test);
  const auto persons = static_cast<int64_t>(test.person_offsets.size()) - 1;
  ScoreMeans means;
  std::vector<ScoreMeans> drawn_means(bootstrap.resamples);
  const auto rule_count = static_cast<int64_t>(scores->rules.size());
  for (int64_t begin = 0; begin < rule_count; begin += kRulesAtOnce) {
    const int64_t size = std::min(kRulesAtOnce, rule_count - begin);
    const at::Tensor per_person = terms.PerPerson(&scores->rules[begin], size).flatten(1);
    const at::Tensor total = per_person.sum(0), draws = BootstrapSums(per_person, bootstrap);
    for (int64_t r = 0; r < size; ++r) {
      const Scores values = ScoresOf(total.data_ptr<double>() + r * kTerms);
      means.Add(values);
      std::array<std::vector<double>, kScores> drawn;
      for (int64_t draw = 0; draw < bootstrap.resamples; ++draw) {
        const Scores of_draw = ScoresOf(draws.data_ptr<double>() + (draw * size + r) * kTerms);
        drawn_means[draw].Add(of_draw);
        for (size_t s = 0; s < kScores; ++s) drawn[s].push_back(of_draw[s]);
      }
      for (size_t s = 0; s < kScores; ++s) {
        Measurement& score = ScoreOf(scores->rules[begin + r], s);
        score.value = values[s];
        if (std::isnan(values[s])) score.note = kUndefined[s];
        score = WithInterval(score, drawn[s], persons);
      }
    }
  }
  for (size_t s = 0; s < kScores; ++s) {
    std::vector<double> drawn;
    for (const ScoreMeans& of_draw : drawn_means) drawn.push_back(of_draw.Mean(s));
    scores->means.push_back(WithInterval({kScoreNames[s], means.Mean(s)}, drawn, persons));
  }
}

}  // namespace

RuleScores ScoreRules(const RuleRows& fit, const RuleRows& test, const BootstrapOptions& bootstrap,
                      int64_t min_active) {
  Check(fit);
  Check(test);
  TORCH_CHECK_VALUE(
      fit.codes.feature_count == test.codes.feature_count && fit.concepts.concept_count == test.concepts.concept_count,
      "test: ", test.codes.feature_count, " features and ", test.concepts.concept_count, " concepts, expected ",
      fit.codes.feature_count, " and ", fit.concepts.concept_count);
  CheckChunks(test.codes, test.person_offsets);
  const Moments fitted(fit);
  const std::vector<int64_t> tested = ActiveRows(test.codes);
  RuleScores scores;
  for (int64_t feature = 0; feature < fit.codes.feature_count; ++feature) {
    const auto is_testable = [&](int64_t active, const RuleRows& rows) {
      return active >= min_active && active < rows.codes.rows();
    };
    if (!is_testable(fitted.active[feature], fit) || !is_testable(tested[feature], test)) continue;
    const int64_t best = BestConcept(fitted, feature);
    if (best < 0) continue;
    scores.rules.push_back({feature, best, {kScoreNames[0]}, {kScoreNames[1]}, {kScoreNames[2]}});
  }
  if (!scores.rules.empty()) ScoreByPerson(test, bootstrap, &scores);
  return scores;
}

}  // namespace lifescope
