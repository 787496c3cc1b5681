#include "server/dictionary/geometric_median.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/dictionary_baselines/golden_unit.h"

namespace lifescope {
namespace {

TEST(GeometricMedian, IsThatOfTheReference) {
  const GoldenUnit golden("geometric_median");
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const bool is_double = dtype == at::kDouble;
    for (int i = 0; i < 3; ++i) {
      const std::string number = std::to_string(i);
      const at::Tensor expected = golden.Read("f64/median" + number);
      const double deviation = golden.json().at("cases").at("case" + number).at("f32_vs_f64").at("max_abs");
      const double absolute = is_double ? 1e-10 * expected.abs().max().item<double>() : 10 * deviation + 1e-7;
      const at::Tensor median = GeometricMedian(golden.Read("in/points" + number).to(dtype));
      ExpectClose(median, expected, absolute, 0,
                  std::string("sae.units.geometric_median.median") + (is_double ? ".f64" : ".f32"));
    }
  }
}

}  // namespace
}  // namespace lifescope
