// How the cells of a table are read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lifescope {

// A finite decimal number ("12", "-0.5", "1e9"); nothing when `text` is none, also not in part.
// Correctly rounded; with `as_published` in the way of pandas' default reader, which the published pipeline uses: 17
// digits at most, each step rounded, so that long numbers may differ from the nearest double in their last bits.
std::optional<double> ParseTableNumber(const std::string& text, bool as_published);

// A whole decimal number; nothing when `text` is none.
std::optional<int64_t> ParseTableInteger(std::string_view text);

// How a missing cell is written where nothing else is said: "", "NA", "null"...
const std::vector<std::string>& MissingSpellings();

// "AGE is 'old', expected a whole number"; a long cell is cut.
std::string CellFault(const std::string& column, const std::string& found, const std::string& expected);

}  // namespace lifescope
