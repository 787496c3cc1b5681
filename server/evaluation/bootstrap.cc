#include "server/evaluation/bootstrap.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/corpus/random.h"

namespace lifescope {

double Quantile(std::vector<double> values, double q) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
}

at::Tensor BootstrapSums(const at::Tensor& per_person, const BootstrapOptions& options) {
  // Draws that are multiplied at once.
  constexpr int64_t kDraws = 32;
  TORCH_CHECK_VALUE(per_person.dim() == 2 && per_person.size(0) > 0, "per_person: ", per_person.sizes(),
                    ", expected [persons, sums] with at least one person");
  TORCH_CHECK_VALUE(options.resamples > 0, "resamples: ", options.resamples, ", expected at least 1");
  const at::Tensor rows = per_person.to(at::kDouble);
  const int64_t persons = rows.size(0);
  Random random(options.seed);
  std::vector<at::Tensor> sums;
  for (int64_t done = 0; done < options.resamples; done += kDraws) {
    const int64_t draws = std::min(kDraws, options.resamples - done);
    at::Tensor times = at::zeros({draws, persons}, at::kDouble);
    for (int64_t draw = 0; draw < draws; ++draw) {
      double* row = times.data_ptr<double>() + draw * persons;
      for (int64_t i = 0; i < persons; ++i) row[random.Below(persons)] += 1;
    }
    sums.push_back(times.mm(rows));
  }
  return at::cat(sums);
}

Measurement WithInterval(Measurement measured, const std::vector<double>& draws, int64_t persons) {
  measured.low = measured.high = std::numeric_limits<double>::quiet_NaN();
  if (std::isnan(measured.value)) return measured;
  if (persons < 2) {
    measured.note += measured.note.empty() ? "" : "; ";
    measured.note += "of one person: no interval";
    return measured;
  }
  std::vector<double> defined;
  for (const double value : draws) {
    if (!std::isnan(value)) defined.push_back(value);
  }
  measured.low = Quantile(defined, 0.025);
  measured.high = Quantile(defined, 0.975);
  return measured;
}

std::vector<Measurement> MeasureOverPersons(const at::Tensor& per_person, const MetricsOfSums& metrics,
                                            const BootstrapOptions& options) {
  const at::Tensor draws = BootstrapSums(per_person, options);
  std::vector<Measurement> measured = metrics(per_person.sum(0));
  std::vector<std::vector<double>> values(measured.size());
  for (int64_t draw = 0; draw < draws.size(0); ++draw) {
    const std::vector<Measurement> drawn = metrics(draws[draw]);
    for (size_t m = 0; m < drawn.size(); ++m) values[m].push_back(drawn[m].value);
  }
  for (size_t m = 0; m < measured.size(); ++m) measured[m] = WithInterval(measured[m], values[m], per_person.size(0));
  return measured;
}

}  // namespace lifescope
