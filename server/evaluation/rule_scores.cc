#include "server/evaluation/rule_scores.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "server/evaluation/binary_counts.h"
#include "server/evaluation/cooccurrence.h"

namespace lifescope {
namespace {

void Check(const RuleRows& rows) {
  TORCH_CHECK_VALUE(rows.codes.rows() == rows.concepts.rows() && rows.concepts.concept_count > 0,
                    "rows: ", rows.codes.rows(), " of codes, ", rows.concepts.rows(), " of ",
                    rows.concepts.concept_count, " concepts, expected as many, of at least one");
  CheckChunks(rows.codes, rows.context_offsets);
}

// What correlations of activations with concepts are made of.
struct Moments {
  double rows = 0;
  std::vector<int64_t> active;          // [features]: rows where it is above 0
  std::vector<double> sum, square_sum;  // [features]: of activations
  std::vector<double> held_sum;         // [features, concepts]: of activations where the concept holds
  std::vector<double> holds;            // [concepts]: rows

  explicit Moments(const RuleRows& data)
      : rows(static_cast<double>(data.codes.rows())),
        active(data.codes.feature_count, 0),
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
        active[feature] += value > 0;
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

  bool IsTestable(int64_t feature, int64_t min_active) const {
    return active[feature] >= min_active && active[feature] < static_cast<int64_t>(rows);
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

// Right and wrong answers of each rule, by context.
std::vector<BinaryCounts> CountContexts(const std::vector<RuleScore>& rules, const RuleRows& data,
                                        const std::vector<int64_t>& context_offsets) {
  const std::vector<std::vector<char>> truth = Truth(data.concepts, context_offsets);
  const auto contexts = static_cast<int64_t>(context_offsets.size()) - 1;
  std::vector<int64_t> rule_of_feature(data.codes.feature_count, -1), last_context(rules.size(), -1);
  std::vector<BinaryCounts> counts(rules.size());
  for (size_t r = 0; r < rules.size(); ++r) rule_of_feature[rules[r].feature] = static_cast<int64_t>(r);
  const at::Tensor features = data.codes.features.contiguous(), offsets = data.codes.row_offsets.contiguous();
  const at::Tensor values = data.codes.values.to(at::kDouble).contiguous();
  const int64_t* offset = offsets.data_ptr<int64_t>();
  for (int64_t context = 0; context < contexts; ++context) {
    for (int64_t i = offset[context_offsets[context]]; i < offset[context_offsets[context + 1]]; ++i) {
      const int64_t r = rule_of_feature[features.data_ptr<int32_t>()[i]];
      if (r < 0 || last_context[r] == context || values.data_ptr<double>()[i] <= 0) continue;
      last_context[r] = context;
      ++(truth[rules[r].concept_index][context] ? counts[r].true_positives : counts[r].false_negatives);
    }
  }
  for (size_t r = 0; r < rules.size(); ++r) {
    const std::vector<char>& held = truth[rules[r].concept_index];
    const int64_t holds = std::count(held.begin(), held.end(), 1);
    counts[r].false_positives = holds - counts[r].true_positives;
    counts[r].true_negatives = contexts - holds - counts[r].false_negatives;
  }
  return counts;
}

}  // namespace

std::vector<RuleScore> ScoreRules(const RuleRows& fit, const RuleRows& test, int64_t min_active) {
  Check(fit);
  Check(test);
  TORCH_CHECK_VALUE(
      fit.codes.feature_count == test.codes.feature_count && fit.concepts.concept_count == test.concepts.concept_count,
      "test: ", test.codes.feature_count, " features and ", test.concepts.concept_count, " concepts, expected ",
      fit.codes.feature_count, " and ", fit.concepts.concept_count);
  const Moments fitted(fit), tested(test);
  std::vector<RuleScore> rules;
  for (int64_t feature = 0; feature < fit.codes.feature_count; ++feature) {
    if (!fitted.IsTestable(feature, min_active) || !tested.IsTestable(feature, min_active)) continue;
    const int64_t best = BestConcept(fitted, feature);
    if (best >= 0) rules.push_back({feature, best, tested.Correlation(feature, best), 0, 0});
  }
  std::vector<int64_t> every_row(static_cast<size_t>(test.codes.rows()) + 1);
  for (size_t i = 0; i < every_row.size(); ++i) every_row[i] = static_cast<int64_t>(i);
  const std::vector<BinaryCounts> by_row = CountContexts(rules, test, every_row);
  const std::vector<BinaryCounts> by_context = CountContexts(rules, test, test.context_offsets);
  for (size_t r = 0; r < rules.size(); ++r) {
    rules[r].fuzzing = by_row[r].BalancedAccuracy();
    rules[r].detection = by_context[r].BalancedAccuracy();
  }
  return rules;
}

}  // namespace lifescope
