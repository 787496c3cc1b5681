// How the verbs show a figure with its interval.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "server/evaluation/bootstrap.h"

namespace lifescope {

// "0.315"; "-" where it is not defined.
std::string NumberText(double value, int decimals = 3);

// "0.315 [0.304, 0.323]"; with signs for differences; without brackets where there is no interval; "-" where it is not
// defined.
std::string IntervalText(const Measurement& figure, bool is_signed = false);

// With version, formula, reference and caution of its definition; "interval_95" where there is one, and a value that is
// not defined is null. Throws c10::ValueError when the metric has no definition.
nlohmann::json ToJson(const Measurement& figure);

}  // namespace lifescope
