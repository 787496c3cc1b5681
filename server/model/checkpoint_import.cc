#include "server/model/checkpoint_import.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/model/checkpoint_file.h"
#include "server/model/checkpoint_hyperparameters.h"
#include "server/model/transformer.h"

namespace lifescope {
namespace {

constexpr double kAllowedDeviation = 1e-5;

// Rows of a document that nobody lived, which differ from token to token.
struct MadeUpDocument {
  std::vector<int32_t> token, abspos, age, segment;

  MadeUpDocument(int64_t length, int64_t vocabulary) {
    for (int32_t i = 0; i < length; ++i) {
      token.push_back(static_cast<int32_t>((int64_t{i} * 7919 + 1) % vocabulary));
      abspos.push_back(i < 5 ? 0 : 40 * i);
      age.push_back(i < 5 ? 0 : 20 + i);
      segment.push_back(1 + i / 4 % 3);
    }
  }
  DocumentRows Rows(int64_t n_slots) const {
    return {token.data(), abspos.data(), age.data(), segment.data(), static_cast<int64_t>(token.size()), n_slots};
  }
};

// Everything that the model computes: the residual stream and, where there are heads, their logits.
std::vector<at::Tensor> Outputs(const Transformer& model, const PackedBatch& batch) {
  const at::Tensor final = model.Forward(batch);
  if (!model.hyperparameters().pretraining_heads) return {final};
  return {final, model.MlmLogits(final), model.SopLogits(final)};
}

// Documents alone and in one batch: finite, and the same. Returns the largest deviation relative to the largest value.
double SelfCheck(const Transformer& model) {
  const c10::NoGradGuard no_grad;
  const Hyperparameters& h = model.hyperparameters();
  std::vector<DocumentRows> rows;
  std::vector<MadeUpDocument> documents;
  for (const int64_t length : {40, 17, 6}) documents.emplace_back(std::min(length, h.max_length), h.vocab_size);
  for (const MadeUpDocument& document : documents) rows.push_back(document.Rows(h.max_length));
  const std::vector<at::Tensor> batched = Outputs(model, MakePackedBatch(rows, at::kCPU));
  std::vector<std::vector<at::Tensor>> alone;
  for (const DocumentRows& document : rows) alone.push_back(Outputs(model, MakePackedBatch({document}, at::kCPU)));

  double worst = 0;
  for (size_t i = 0; i < batched.size(); ++i) {
    std::vector<at::Tensor> parts;
    for (const std::vector<at::Tensor>& outputs : alone) parts.push_back(outputs[i]);
    const at::Tensor difference = (at::cat(parts) - batched[i]).abs();
    TORCH_CHECK_VALUE(at::isfinite(difference).all().item<bool>(),
                      "self-check: the model computes NaN or infinity on a made-up document");
    const double scale = std::max(1.0, batched[i].abs().max().item<double>());
    worst = std::max(worst, difference.max().item<double>() / scale);
  }
  TORCH_CHECK_VALUE(worst <= kAllowedDeviation, "self-check: documents alone and in a batch differ by ", worst,
                    " of the largest value, expected at most ", kAllowedDeviation);
  return worst;
}

CheckpointImportReport Describe(const CheckpointFile& file) {
  CheckpointImportReport report;
  report.format = file.format;
  report.lightning_version = file.lightning_version;
  report.epoch = file.epoch;
  report.global_step = file.global_step;
  report.tensor_count = static_cast<int64_t>(file.state.tensors.size());
  report.dtype = file.dtype == at::kDouble ? "float64" : "float32";
  report.has_pretraining_heads = file.has_pretraining_heads;
  report.unused_tensors = file.unused_tensors;
  report.unused_entries = file.unused_entries;
  if (!file.decoder.tensors.empty()) report.notes.emplace_back("decoder.* is a fine-tuned head: import-head takes it");
  return report;
}

}  // namespace

CheckpointImportReport ImportCheckpoint(const CheckpointImportOptions& options, const std::string& folder) {
  const CheckpointFile file = OpenCheckpointFile(options.file);
  CheckpointImportReport report = Describe(file);
  const Hyperparameters hyperparameters =
      FindHyperparameters(file, options.hyperparameters, options.hyperparameters_source, &report.notes);
  TORCH_CHECK_VALUE(hyperparameters.vocab_size == options.vocabulary_size, options.file, ": the token matrix has ",
                    hyperparameters.vocab_size, " rows, the vocabulary ", options.vocabulary_size, " tokens");
  const Weights weights = ReadWeights(file.state, hyperparameters, file.dtype, at::kCPU);
  WriteFolderAtomically(folder, [&](const std::string& partial) {
    WriteSafetensors(partial + "/model.safetensors", ToStateDict(weights, hyperparameters));
    WriteFileAtomically(partial + "/hparams.json", hyperparameters.ToJson());
    WriteFileAtomically(partial + "/vocab.tsv", options.vocabulary_tsv);
    const LoadedModel model = LoadModel(partial, at::kFloat, at::kCPU);
    report.parameter_count = model.transformer->ParameterCount();
    report.self_check_deviation = SelfCheck(*model.transformer);
    report.digest = model.digest;
  });
  return report;
}

}  // namespace lifescope
