// Where the golden data is, and how far a result may be from it.
//
// The whole set is used when it is there: $LIFESCOPE_GOLDEN, else ../shared/golden beside the checkout; else the small
// set in tests/golden. With LIFESCOPE_REQUIRE_GOLDEN=1 (CI) a missing whole set is an error.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace lifescope {

// "/…/golden" without a slash at the end.
std::string GoldenRoot();
// A file or folder of the golden data, "life2vec/struct_small".
std::string GoldenPath(const std::string& relative);
bool HasGolden(const std::string& relative);
// Names of the folders in a golden folder, sorted: for parameterised tests over everything that is there.
std::vector<std::string> GoldenFolders(const std::string& relative);

// A folder of this test's own, removed when the process ends.
std::string TemporaryFolder();

// |actual - expected| <= absolute + relative * |expected|, elementwise in float64; a failure names the worst element.
// The largest deviation and its allowance are kept per `family` and written at exit to $LIFESCOPE_PARITY_DIR, from
// which docs/parity.md is made.
void ExpectClose(const at::Tensor& actual, const at::Tensor& expected, double absolute, double relative,
                 const std::string& family);

}  // namespace lifescope
