// One folder of golden/sae/units: its tensors, hyper-parameters and tolerances.
#pragma once

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>
#include <string>

#include "server/artifact/json_object.h"
#include "server/artifact/safetensors.h"
#include "tests/support/golden.h"

namespace lifescope {

class GoldenUnit {
 public:
  // The small golden set has not all of them.
  static bool IsThere(const std::string& name) { return HasGolden("sae/units/" + name); }

  explicit GoldenUnit(const std::string& name)
      : name_(name),
        json_(ReadJsonFile(GoldenPath("sae/units/" + name + "/fixture.json"))),
        file_(SafetensorsFile::Open(GoldenPath("sae/units/" + name + "/fixture.safetensors"))) {}

  at::Tensor Read(const std::string& tensor) const { return file_.Read(tensor); }
  double hyper(const std::string& key) const { return json_.at("hyper").at(key); }
  const nlohmann::json& json() const { return json_; }

  // Against f64/<tensor>: float64 within 1e-10 of the largest element, float32 within ten times what the reference's
  // own float32 is off, as golden/sae/README.md has it. `entry`: where f32_vs_f64 says so, when it has several.
  void ExpectClose(const at::Tensor& actual, const std::string& tensor, at::ScalarType dtype,
                   const std::string& entry = {}) const {
    const at::Tensor expected = Read("f64/" + tensor);
    const bool is_double = dtype == at::kDouble;
    const double absolute = is_double ? 1e-10 * expected.abs().max().item<double>() : Float32Tolerance(entry);
    std::string family = "sae.units.";
    family += name_ + "." + tensor + (is_double ? ".f64" : ".f32");
    lifescope::ExpectClose(actual, expected, absolute, 0, family);
  }

 private:
  double Float32Tolerance(const std::string& entry) const {
    const nlohmann::json& deviation = entry.empty() ? json_.at("f32_vs_f64") : json_.at("f32_vs_f64").at(entry);
    return 10 * deviation.at("max_abs").get<double>() + 1e-7;
  }

  const std::string name_;
  const nlohmann::json json_;
  const SafetensorsFile file_;
};

}  // namespace lifescope
