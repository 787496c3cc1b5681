#include "tests/model/golden_batch.h"

#include <ATen/ATen.h>

#include <map>
#include <utility>

#include "server/artifact/artifact.h"
#include "tests/support/golden.h"

namespace lifescope {

std::shared_ptr<const Transformer> GoldenModel(const std::string& name, at::ScalarType dtype) {
  static std::map<std::pair<std::string, at::ScalarType>, std::shared_ptr<const Transformer>> models;
  std::shared_ptr<const Transformer>& model = models[{name, dtype}];
  if (model == nullptr) {
    const std::string folder = GoldenPath("life2vec/" + name);
    const Hyperparameters hyperparameters = Hyperparameters::Parse(ReadFile(folder + "/hparams.json"), folder);
    const SafetensorsFile file = SafetensorsFile::Open(folder + "/model.safetensors");
    model = std::make_shared<const Transformer>(hyperparameters, ReadWeights(file, hyperparameters, dtype, at::kCPU));
  }
  return model;
}

PackedBatch PackGolden(const at::Tensor& input_ids, const at::Tensor& mask, int64_t n_slots) {
  const at::Tensor ids = input_ids.to(at::kInt).contiguous();
  const at::Tensor lengths = mask.to(at::kLong).sum(1);
  const int64_t slots = ids.size(2);
  std::vector<DocumentRows> documents;
  for (int64_t d = 0; d < ids.size(0); ++d) {
    const int32_t* row = ids.data_ptr<int32_t>() + d * 4 * slots;
    documents.push_back({row, row + slots, row + 2 * slots, row + 3 * slots, lengths[d].item<int64_t>(),
                         n_slots == 0 ? slots : n_slots});
  }
  return MakePackedBatch(documents, at::kCPU);
}

std::string GoldenSuffix(at::ScalarType dtype) { return dtype == at::kDouble ? "f64" : "f32"; }

Tolerance ActivationTolerance(at::ScalarType dtype) {
  return dtype == at::kDouble ? Tolerance{1e-10, 1e-9} : Tolerance{2e-5, 1e-4};
}

Tolerance LogitTolerance(at::ScalarType dtype) {
  return dtype == at::kDouble ? Tolerance{1e-10, 1e-9} : Tolerance{5e-5, 1e-4};
}

Tolerance TimeVectorTolerance(at::ScalarType dtype) {
  return dtype == at::kDouble ? Tolerance{1e-10, 1e-9} : Tolerance{3e-4, 1e-4};
}

}  // namespace lifescope
