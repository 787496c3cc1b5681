// What an effect is compared with before it is believed: features and directions that have no reason to matter, and a
// correction for having asked many times.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lifescope {

// `count` features drawn by `seed` from those most like `feature`: the 4 count nearest in (log density, log norm) that
// fire at all. Fewer when there are not as many; ascending. `excluded` are never drawn. Throws c10::ValueError when the
// lists differ in length or the feature is not in them.
std::vector<int64_t> MatchedFeatures(const std::vector<double>& densities, const std::vector<double>& norms,
                                     int64_t feature, int64_t count, uint64_t seed,
                                     const std::vector<int64_t>& excluded = {});

// DOUBLE [count, width]: directions uniform over the sphere, each of length `norm`.
at::Tensor RandomDirections(int64_t count, int64_t width, double norm, uint64_t seed);

// Share of the controls whose size |effect| is below, ties counting half, in [0, 1]. Throws c10::ValueError without
// controls.
double ControlPercentile(double effect, const std::vector<double>& controls);

// (1 + controls at least as large in |effect|) / (1 + controls): the rank test's p-value.
double ControlPValue(double effect, const std::vector<double>& controls);

// Benjamini & Hochberg (1995): the smallest false discovery rate at which each is discovered, in the order given. NaN
// stays NaN and is not counted.
std::vector<double> BenjaminiHochberg(const std::vector<double>& p_values);

}  // namespace lifescope
