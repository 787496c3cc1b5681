// How the numbers of a table are read.
#pragma once

#include <optional>
#include <string>

namespace lifescope {

// A finite decimal number ("12", "-0.5", "1e9"); nothing when `text` is none, also not in part.
// Correctly rounded; with `as_published` in the way of pandas' default reader, which the published pipeline uses: 17
// digits at most, each step rounded, so that long numbers may differ from the nearest double in their last bits.
std::optional<double> ParseTableNumber(const std::string& text, bool as_published);

}  // namespace lifescope
