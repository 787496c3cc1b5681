#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "server/artifact/safetensors.h"
#include "server/dictionary/training/ghost_gradient_objective.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

TEST(GhostGradients, ReconstructAsDictionaryLearning) {
  const std::string folder = "sae/units/dl_ghost_fold_scale";
  if (!HasGolden(folder)) GTEST_SKIP() << "the small golden set has no " << folder;
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath(folder + "/fixture.safetensors"));
  const auto get = [&](const char* name) { return file.Read(name).to(at::kDouble); };
  const at::Tensor pre = (get("in/x") - get("w0/bias")).mm(get("w0/encoder.weight").t()) + get("w0/encoder.bias");
  const at::Tensor masked = get("in/ghost_mask").nonzero().select(1, 0);
  const at::Tensor expected = file.Read("f64/x_ghost");
  ExpectClose(GhostReconstruction(pre, get("w0/decoder.weight").t(), masked), expected,
              1e-10 * expected.abs().max().item<double>(), 0, "sae.ghost.f64");
}

}  // namespace
}  // namespace lifescope
