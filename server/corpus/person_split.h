// Which persons a model may learn from.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "server/corpus/corpus.h"

namespace lifescope {

// Throws c10::ValueError on shares that cannot be.
void CheckSplitShares(double train_share, double validation_share);

// Train, validation, test by shares, from a seed (own generator), for persons in order of their ids. Throws
// c10::ValueError on shares that cannot be.
std::vector<Split> SplitPersons(int64_t person_count, double train_share, double validation_share, uint64_t seed);

// "train", "validation" or "val", "test".
std::optional<Split> ParseSplit(std::string_view name);

}  // namespace lifescope
