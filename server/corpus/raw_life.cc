#include "server/corpus/raw_life.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

// The linear percentile of sorted values, step by step as NumPy computes it.
double Percentile(const std::vector<double>& sorted, double percent) {
  const double position = percent / 100 * static_cast<double>(sorted.size() - 1);
  const double below = std::floor(position);
  const double g = position - below;
  const size_t j = static_cast<size_t>(below);
  const double a = sorted[j], b = sorted[std::min(j + 1, sorted.size() - 1)];
  const double difference = b - a;
  return g < 0.5 ? a + difference * g : b - difference * (1 - g);
}

}  // namespace

RawSchema RawSchema::Life2vecLight() {
  RawSchema schema;
  schema.sources = {
      {"labor",
       {{"INCOME", "INCOME", "INCOME", true},
        {"CITY", "CITY", "CITY", false},
        {"OCCUPATION", "OCC", "OCCUPATION", false},
        {"INDUSTRY", "IND", "INDUSTRY", false}}},
      {"health", {{"DIAGNOSIS", "DIAG", "DIAGNOSIS", false}, {"PATIENT_TYPE", "TYPE", "PATIENT_TYPE", false}}}};
  return schema;
}

// The published pipeline merges the percentiles of its one partition in floating point, and rounding makes many edges
// the percentile before the wanted one. The order of operations here is therefore part of the result.
std::vector<double> FitBinEdges(std::vector<double> training_values, int32_t bin_count) {
  TORCH_CHECK_VALUE(bin_count >= 3, "bin_count is ", bin_count, ", expected at least 3");
  std::vector<double>& x = training_values;
  x.erase(std::remove_if(x.begin(), x.end(), [](double v) { return !(v > 0) || !std::isfinite(v); }), x.end());
  if (x.empty()) return {};
  std::sort(x.begin(), x.end());

  const int32_t edge_count = bin_count - 1;
  const double step = 1.0 / (edge_count - 1);
  std::vector<double> percents(static_cast<size_t>(edge_count));
  for (int32_t i = 0; i < edge_count; ++i) percents[i] = i * step * 100;
  percents.back() = 100;
  std::vector<double> cuts = {0};
  cuts.insert(cuts.end(), percents.begin(), percents.end());
  cuts.push_back(100);

  const double n = static_cast<double>(x.size());
  std::vector<double> value, rank;
  double running = 0;
  for (size_t k = 0; k < cuts.size(); ++k) {
    value.push_back(Percentile(x, cuts[k]));
    running += k == 0 ? 0 : (cuts[k] - cuts[k - 1]) * n;
    rank.push_back(running);
  }
  std::vector<double> edges;
  for (const double percent : percents) {
    const double wanted = percent * n;
    const auto left = std::lower_bound(rank.begin(), rank.end(), wanted) - rank.begin();
    const auto right = std::upper_bound(rank.begin(), rank.end(), wanted) - rank.begin() - 1;
    edges.push_back(value[std::min({left, right, static_cast<std::ptrdiff_t>(value.size()) - 1})]);
  }
  return edges;
}

std::vector<Split> SplitPersons(int64_t person_count, double train_share, double validation_share, uint64_t seed) {
  TORCH_CHECK_VALUE(train_share > 0 && validation_share >= 0 && train_share + validation_share <= 1,
                    "split shares are ", train_share, " and ", validation_share,
                    ", expected a positive and a non-negative number with a sum of at most 1");
  std::vector<int64_t> order(static_cast<size_t>(person_count));
  std::iota(order.begin(), order.end(), 0);
  Random random(seed);
  random.Shuffle(order);
  const double n = static_cast<double>(person_count);
  const size_t train = static_cast<size_t>(std::llround(train_share * n));
  const size_t validation = static_cast<size_t>(std::llround((train_share + validation_share) * n));
  std::vector<Split> splits(order.size(), Split::kTest);
  for (size_t i = 0; i < order.size(); ++i) {
    if (i < validation) splits[order[i]] = i < train ? Split::kTrain : Split::kValidation;
  }
  return splits;
}

std::vector<size_t> CorpusOrder(const std::vector<RawPerson>& persons, const std::vector<Split>& splits) {
  std::vector<size_t> order(persons.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(splits[a], persons[a].person_id) < std::pair(splits[b], persons[b].person_id);
  });
  return order;
}

}  // namespace lifescope
