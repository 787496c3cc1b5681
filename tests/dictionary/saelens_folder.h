// A SAELens folder that a test writes, well formed until the test changes it.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "tests/dictionary/random_tensors.h"
#include "tests/support/golden.h"

namespace lifescope {

struct SaeLensFolder {
  static constexpr int64_t kWidth = 4, kFeatures = 8;

  // With the tensors of "standard"; another architecture's own tensors are the test's to add.
  explicit SaeLensFolder(const std::string& architecture = "standard") {
    RandomTensors random(7);
    config = {{"architecture", architecture},
              {"d_in", kWidth},
              {"d_sae", kFeatures},
              {"dtype", "float32"},
              {"device", "cpu"},
              {"apply_b_dec_to_input", true},
              {"normalize_activations", "none"},
              {"reshape_activations", "none"},
              {"metadata", {{"model_name", "example-model"}, {"hook_name", "blocks.1.hook_resid_post"}}}};
    tensors = {{"W_enc", random.Normal({kWidth, kFeatures}, at::kFloat)},
               {"W_dec", random.Normal({kFeatures, kWidth}, at::kFloat)},
               {"b_enc", random.Normal({kFeatures}, at::kFloat)},
               {"b_dec", random.Normal({kWidth}, at::kFloat)}};
  }

  std::string Write() const {
    const std::string folder = TemporaryFolder();
    WriteFileAtomically(folder + "/cfg.json", config.dump());
    WriteSafetensors(folder + "/sae_weights.safetensors", tensors);
    return folder;
  }

  nlohmann::json config;
  std::map<std::string, at::Tensor> tensors;
};

}  // namespace lifescope
