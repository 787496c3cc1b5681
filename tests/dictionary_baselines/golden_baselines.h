// golden/sae/metrics/baselines: the reference's fits of one set of rows.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "server/artifact/json_object.h"
#include "server/artifact/safetensors.h"
#include "tests/support/golden.h"

namespace lifescope {

struct GoldenBaselines {
  // [512, 32], float64.
  at::Tensor x() const { return Read("in/x"); }
  at::Tensor Read(const std::string& tensor) const { return file.Read(tensor); }
  // "pca_posneg_topk", "fvu".
  double Value(const std::string& entry, const std::string& key) const { return json.at("values").at(entry).at(key); }

  // float64, 1e-9 of the largest element, as golden/sae/README.md has it.
  void ExpectClose(const at::Tensor& actual, const std::string& tensor) const {
    const at::Tensor expected = Read("f64/" + tensor);
    std::string family = "sae.metrics.baselines.";
    family += tensor + ".f64";
    lifescope::ExpectClose(actual, expected, 1e-9 * expected.abs().max().item<double>(), 0, family);
  }

  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath("sae/metrics/baselines/fixture.safetensors"));
  const nlohmann::json json = ReadJsonFile(GoldenPath("sae/metrics/baselines/fixture.json"));
};

// A suite that needs them.
class GoldenBaselinesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!HasGolden("sae/metrics/baselines")) GTEST_SKIP() << "not in the small golden set";
  }
};

// Rows with the sign of the row of `expected` that they are compared with.
inline at::Tensor WithSignsOf(const at::Tensor& rows, const at::Tensor& expected) {
  return rows * (rows * expected).sum(1, true).sign();
}

}  // namespace lifescope
