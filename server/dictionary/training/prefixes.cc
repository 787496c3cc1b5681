#include "server/dictionary/training/prefixes.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

namespace lifescope {

void CheckPrefixes(const PrefixOptions& options, int64_t feature_count) {
  const auto& [widths, weights] = options.fixed;
  TORCH_CHECK_VALUE(widths.size() == weights.size(), "there are ", widths.size(), " prefix widths and ", weights.size(),
                    " weights, expected as many");
  TORCH_CHECK_VALUE(widths.empty() || widths.back() == feature_count, "the last prefix width is ",
                    widths.empty() ? 0 : widths.back(), ", expected feature_count, ", feature_count);
  for (size_t i = 0; i < widths.size(); ++i) {
    const int64_t least = i == 0 ? 0 : widths[i - 1] + 1;
    TORCH_CHECK_VALUE(widths[i] >= least, "prefix width ", i, " is ", widths[i], ", expected at least ", least);
    TORCH_CHECK_VALUE(std::isfinite(weights[i]) && weights[i] >= 0, "prefix weight ", i, " is ", weights[i],
                      ", expected 0 or more");
  }
  if (options.sampled_count == 0) return;
  TORCH_CHECK_VALUE(widths.empty(), "prefixes are both fixed and sampled, expected one of them");
  TORCH_CHECK_VALUE(options.sampled_least > 0 && options.sampled_least <= feature_count, "sampled_least is ",
                    options.sampled_least, ", expected 1 to feature_count, ", feature_count);
  const int64_t most = feature_count - options.sampled_least + 1;
  TORCH_CHECK_VALUE(options.sampled_count > 0 && options.sampled_count <= most, "sampled_count is ",
                    options.sampled_count, ", expected 1 to ", most);
  TORCH_CHECK_VALUE(options.sampled_exponent > 0, "sampled_exponent is ", options.sampled_exponent,
                    ", expected above 0");
}

Prefixes PrefixesAt(const PrefixOptions& options, int64_t feature_count, int64_t step) {
  if (options.sampled_count == 0) {
    return options.fixed.widths.empty() ? Prefixes{{feature_count}, {1}} : options.fixed;
  }
  // Generator and arithmetic are those of the C++ standard, so that a resumed run draws the same.
  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
  const auto number = static_cast<uint64_t>(step);
  std::seed_seq seed{low(options.sampled_seed), high(options.sampled_seed), low(number), high(number)};
  std::mt19937_64 random(seed);
  const auto least = static_cast<double>(options.sampled_least);
  const double beyond = std::pow(least / static_cast<double>(feature_count), options.sampled_exponent);
  std::set<int64_t> widths{feature_count};
  while (static_cast<int64_t>(widths.size()) < options.sampled_count) {
    const double uniform = static_cast<double>(random() >> 11) * 0x1p-53;
    const double width = least * std::pow(1 - uniform * (1 - beyond), -1 / options.sampled_exponent);
    widths.insert(std::min(static_cast<int64_t>(width), feature_count - 1));
  }
  return {{widths.begin(), widths.end()},
          std::vector<double>(widths.size(), 1 / static_cast<double>(options.sampled_count))};
}

}  // namespace lifescope
