#include "server/corpus/table_cell.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace lifescope {
namespace {

template <typename Number>
std::optional<Number> ParseWhole(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

double PowerOfTen(int64_t exponent) { return ParseWhole<double>("1e" + std::to_string(exponent)).value_or(HUGE_VAL); }

// `text` is a number of the form [-]digits[.digits][e[+-]digits].
double ReadLikePandas(std::string_view text) {
  constexpr int kMaxDigits = 17;
  const bool negative = text[0] == '-';
  size_t at = negative ? 1 : 0;
  double number = 0;
  int64_t exponent = 0;
  int digits = 0;
  bool fraction = false;
  for (; at < text.size() && text[at] != 'e' && text[at] != 'E'; ++at) {
    if (text[at] == '.') {
      fraction = true;
    } else if (digits < kMaxDigits) {
      number = number * 10 + (text[at] - '0');
      ++digits;
      exponent -= fraction ? 1 : 0;
    } else {
      exponent += fraction ? 0 : 1;
    }
  }
  if (at < text.size()) {
    const size_t first = at + (text[at + 1] == '+' ? 2 : 1);
    exponent += ParseWhole<int64_t>(text.substr(first)).value_or(0);
  }
  if (exponent > 0) number *= PowerOfTen(exponent);
  if (exponent < 0) number /= PowerOfTen(-exponent);
  return negative ? -number : number;
}

}  // namespace

std::optional<double> ParseTableNumber(const std::string& text, bool as_published) {
  const std::optional<double> number = ParseWhole<double>(text);
  if (!number || !std::isfinite(*number)) return std::nullopt;
  return as_published ? ReadLikePandas(text) : *number;
}

std::optional<int64_t> ParseTableInteger(std::string_view text) { return ParseWhole<int64_t>(text); }

const std::vector<std::string>& MissingSpellings() {
  static const std::vector<std::string> spellings = {"", "NA", "N/A", "NaN", "nan", "NULL", "null", "<NA>"};
  return spellings;
}

std::string CellFault(const std::string& column, const std::string& found, const std::string& expected) {
  constexpr size_t kShownCharacters = 60;
  return column + " is '" + found.substr(0, kShownCharacters) + "', expected " + expected;
}

}  // namespace lifescope
