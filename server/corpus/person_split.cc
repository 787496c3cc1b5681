#include "server/corpus/person_split.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <numeric>

#include "server/corpus/random.h"

namespace lifescope {

void CheckSplitShares(double train_share, double validation_share) {
  TORCH_CHECK_VALUE(train_share > 0 && validation_share >= 0 && train_share + validation_share <= 1,
                    "split shares are ", train_share, " and ", validation_share,
                    ", expected a positive and a non-negative number with a sum of at most 1");
}

std::vector<Split> SplitPersons(int64_t person_count, double train_share, double validation_share, uint64_t seed) {
  CheckSplitShares(train_share, validation_share);
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

std::optional<Split> ParseSplit(std::string_view name) {
  if (name == "train") return Split::kTrain;
  if (name == "validation" || name == "val") return Split::kValidation;
  if (name == "test") return Split::kTest;
  return std::nullopt;
}

}  // namespace lifescope
