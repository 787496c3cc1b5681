#include "server/evaluation/classification_metrics.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct ScoredPerson {
  double score = 0;
  bool is_positive = false;
};

std::vector<ScoredPerson> AgainstOthers(const ClassPredictions& predictions, int64_t positive) {
  std::vector<ScoredPerson> persons;
  for (int64_t i = 0; i < predictions.person_count(); ++i) {
    persons.push_back(
        {predictions.probabilities[i * predictions.class_count + positive], predictions.classes[i] == positive});
  }
  return persons;
}

// Area under the ROC curve by ranks: equal scores share their mean rank.
double AucOf(std::vector<ScoredPerson> persons) {
  std::sort(persons.begin(), persons.end(), [](const auto& a, const auto& b) { return a.score < b.score; });
  double rank_sum = 0, positives = 0;
  for (size_t begin = 0; begin < persons.size();) {
    size_t end = begin;
    double here = 0;
    for (; end < persons.size() && persons[end].score == persons[begin].score; ++end) here += persons[end].is_positive;
    rank_sum += here * (static_cast<double>(begin + end + 1) / 2);
    positives += here;
    begin = end;
  }
  const double negatives = static_cast<double>(persons.size()) - positives;
  if (positives == 0 || negatives == 0) return kNan;
  return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives);
}

double ShareOfClass(const ClassPredictions& predictions, int64_t c) {
  return static_cast<double>(std::count(predictions.classes.begin(), predictions.classes.end(), c)) /
         static_cast<double>(predictions.person_count());
}

// Rates of a binary prediction, corrected for the labels.
struct Rates {
  double true_positive, false_positive, positive_share, predicted_share;
};

Rates CorrectedRates(const ClassPredictions& predictions, const LabelRates& rates) {
  double tp = 0, fp = 0, positives = 0;
  for (const ScoredPerson& person : AgainstOthers(predictions, 1)) {
    positives += person.is_positive;
    if (person.score > 0.5) (person.is_positive ? tp : fp) += 1;
  }
  const double persons = static_cast<double>(predictions.person_count());
  const double g = tp / positives, v = fp / (persons - positives), c = positives / persons;
  const double distance = rates.beta - rates.alpha;
  return {((1 - rates.alpha) * g - (1 - rates.beta) * v) / distance, (rates.beta * v - rates.alpha * g) / distance,
          c * rates.beta + (1 - c) * rates.alpha, (tp + fp) / persons};
}

// [actual][predicted] counts.
using Table = std::vector<std::vector<double>>;

Table CrossTable(const ClassPredictions& predictions) {
  const int64_t classes = predictions.class_count;
  Table table(classes, std::vector<double>(classes, 0));
  for (int64_t i = 0; i < predictions.person_count(); ++i) {
    const auto row = predictions.probabilities.begin() + i * classes;
    table[predictions.classes[i]][std::max_element(row, row + classes) - row] += 1;
  }
  return table;
}

// Persons of each class: in truth (rows of the table), as predicted (columns).
struct Totals {
  std::vector<double> actual, predicted;
};

Totals TotalsOf(const Table& table) {
  Totals totals{std::vector<double>(table.size(), 0), std::vector<double>(table.size(), 0)};
  for (size_t a = 0; a < table.size(); ++a) {
    for (size_t p = 0; p < table.size(); ++p) {
      totals.actual[a] += table[a][p];
      totals.predicted[p] += table[a][p];
    }
  }
  return totals;
}

double Product(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

using Metric = std::function<double(const ClassPredictions&)>;

struct NamedMetric {
  const char* name;
  Metric metric;
};

std::vector<NamedMetric> MetricsFor(int64_t class_count, const LabelRates& rates) {
  if (class_count > 2) {
    return {
        {"macro AUC", MacroAuc}, {"macro F1", MacroF1}, {"MCC", MultiClassMcc}, {"quadratic kappa", QuadraticKappa}};
  }
  return {{"AUC", Auc},
          {"AUL", Aul},
          {"balanced accuracy", [rates](const ClassPredictions& p) { return BalancedAccuracy(p, rates); }},
          {"F1", [rates](const ClassPredictions& p) { return F1(p, rates); }},
          {"MCC", [rates](const ClassPredictions& p) { return Mcc(p, rates); }}};
}

ClassPredictions Resample(const ClassPredictions& predictions, Random& random) {
  const int64_t persons = predictions.person_count(), classes = predictions.class_count;
  ClassPredictions drawn;
  drawn.class_count = classes;
  for (int64_t i = 0; i < persons; ++i) {
    const int64_t person = random.Below(persons);
    const auto row = predictions.probabilities.begin() + person * classes;
    drawn.probabilities.insert(drawn.probabilities.end(), row, row + classes);
    drawn.classes.push_back(predictions.classes[person]);
  }
  return drawn;
}

void Check(const ClassPredictions& predictions, const LabelRates& rates, const BootstrapOptions& options) {
  TORCH_CHECK_VALUE(predictions.person_count() > 0, "predictions: no persons, expected at least one");
  TORCH_CHECK_VALUE(options.resamples > 0, "resamples: ", options.resamples, ", expected at least 1");
  CheckLabelRates(rates);
  TORCH_CHECK_VALUE(
      predictions.probabilities.size() == predictions.classes.size() * static_cast<size_t>(predictions.class_count),
      "predictions: ", predictions.probabilities.size(), " probabilities, expected ", predictions.class_count,
      " for each of ", predictions.person_count(), " persons");
  for (const int64_t c : predictions.classes) {
    TORCH_CHECK_VALUE(0 <= c && c < predictions.class_count, "predictions: class ", c, ", expected 0 to ",
                      predictions.class_count - 1);
  }
}

}  // namespace

void CheckLabelRates(const LabelRates& rates) {
  TORCH_CHECK_VALUE(0 <= rates.alpha && rates.alpha < rates.beta && rates.beta <= 1, "label rates: alpha ", rates.alpha,
                    " and beta ", rates.beta, ", expected 0 <= alpha < beta <= 1");
}

ClassPredictions ToClassPredictions(const at::Tensor& probabilities, const at::Tensor& classes) {
  const at::Tensor known = classes.ge(0).nonzero().squeeze(1);
  const at::Tensor rows = probabilities.index_select(0, known).contiguous();
  const at::Tensor truth = classes.index_select(0, known).contiguous();
  ClassPredictions predictions;
  predictions.class_count = rows.size(1);
  predictions.probabilities.assign(rows.data_ptr<double>(), rows.data_ptr<double>() + rows.numel());
  predictions.classes.assign(truth.data_ptr<int64_t>(), truth.data_ptr<int64_t>() + truth.numel());
  return predictions;
}

double Auc(const ClassPredictions& predictions) { return AucOf(AgainstOthers(predictions, 1)); }

double Aul(const ClassPredictions& predictions) {
  const double c = ShareOfClass(predictions, 1);
  return c / 2 + (1 - c) * Auc(predictions);
}

double BalancedAccuracy(const ClassPredictions& predictions, const LabelRates& label_rates) {
  const Rates rates = CorrectedRates(predictions, label_rates);
  return (1 + rates.true_positive - rates.false_positive) / 2;
}

double F1(const ClassPredictions& predictions, const LabelRates& label_rates) {
  const Rates rates = CorrectedRates(predictions, label_rates);
  return 2 * rates.positive_share * rates.true_positive / (rates.positive_share + rates.predicted_share);
}

double Mcc(const ClassPredictions& predictions, const LabelRates& label_rates) {
  const Rates rates = CorrectedRates(predictions, label_rates);
  const double difference = rates.true_positive - rates.false_positive;
  const double t = rates.predicted_share, c = rates.positive_share;
  // The difference is then 0 but for rounding, or NaN for want of a class.
  if (t == 0 || t == 1) return std::isnan(difference) ? kNan : 0;
  return std::sqrt(c * (1 - c) / (t * (1 - t))) * difference;
}

double MacroAuc(const ClassPredictions& predictions) {
  double sum = 0, classes = 0;
  for (int64_t c = 0; c < predictions.class_count; ++c) {
    const double auc = AucOf(AgainstOthers(predictions, c));
    if (std::isnan(auc)) continue;
    sum += auc;
    classes += 1;
  }
  return sum / classes;
}

double MacroF1(const ClassPredictions& predictions) {
  const Table table = CrossTable(predictions);
  const Totals totals = TotalsOf(table);
  double sum = 0, classes = 0;
  for (size_t c = 0; c < table.size(); ++c) {
    const double either = totals.actual[c] + totals.predicted[c];
    if (either == 0) continue;
    sum += 2 * table[c][c] / either;
    classes += 1;
  }
  return sum / classes;
}

double MultiClassMcc(const ClassPredictions& predictions) {
  const Table table = CrossTable(predictions);
  const Totals totals = TotalsOf(table);
  const double persons = static_cast<double>(predictions.person_count());
  double correct = 0;
  for (size_t c = 0; c < table.size(); ++c) correct += table[c][c];
  const double spread = (persons * persons - Product(totals.predicted, totals.predicted)) *
                        (persons * persons - Product(totals.actual, totals.actual));
  if (spread == 0) return Product(totals.actual, totals.actual) == persons * persons ? kNan : 0;
  return (correct * persons - Product(totals.actual, totals.predicted)) / std::sqrt(spread);
}

double QuadraticKappa(const ClassPredictions& predictions) {
  const Table table = CrossTable(predictions);
  const Totals totals = TotalsOf(table);
  double observed = 0, expected = 0;
  for (size_t a = 0; a < table.size(); ++a) {
    for (size_t p = 0; p < table.size(); ++p) {
      const double distance = static_cast<double>(a) - static_cast<double>(p);
      observed += distance * distance * table[a][p];
      expected += distance * distance * totals.actual[a] * totals.predicted[p];
    }
  }
  expected /= static_cast<double>(predictions.person_count());
  return expected == 0 ? kNan : 1 - observed / expected;
}

std::vector<Measurement> Measure(const ClassPredictions& predictions, const LabelRates& rates,
                                 const BootstrapOptions& options) {
  Check(predictions, rates, options);
  const std::vector<NamedMetric> metrics = MetricsFor(predictions.class_count, rates);
  std::vector<std::vector<double>> draws(metrics.size());
  Random random(options.seed);
  for (int64_t i = 0; i < options.resamples; ++i) {
    const ClassPredictions drawn = Resample(predictions, random);
    for (size_t m = 0; m < metrics.size(); ++m) draws[m].push_back(metrics[m].metric(drawn));
  }
  std::vector<Measurement> measurements;
  for (size_t m = 0; m < metrics.size(); ++m) {
    Measurement measured{metrics[m].name, metrics[m].metric(predictions)};
    if (std::isnan(measured.value)) measured.note = "all persons are of one class";
    measurements.push_back(WithInterval(std::move(measured), draws[m], predictions.person_count()));
  }
  return measurements;
}

}  // namespace lifescope
