// Times optimiser steps of the pre-training on the first documents of a corpus, for pretrain_throughput.py; prints
// JSON.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/training/pretrain_run.h"

namespace lifescope {
namespace {

struct Flags {
  std::string corpus, shape = "small", write;
  int64_t documents = 16, slots = 256, steps = 5;
  int32_t threads = 1;
};

PretrainOptions OptionsOf(const Flags& flags) {
  // Both with the published dropouts of 0.1 and open gates, so that every branch is computed.
  PretrainOptions options = PublishedRecipe("life2vec");
  if (flags.shape == "small") {
    Hyperparameters& shape = options.hyperparameters;
    shape.hidden_size = 64;
    shape.hidden_ff = 256;
    shape.n_encoders = 3;
    shape.n_heads = 8;
    shape.n_local = 4;
    shape.local_window_size = 16;
    shape.num_random_features = 64;
  }
  options.hyperparameters.max_length = flags.slots;
  options.initialization = Initialization::Open(1);
  options.objective = {};
  options.augmentation = {};
  options.batch_documents = flags.documents;
  options.accumulation = 1;
  options.redraw_interval = 0;
  options.validation_documents = 1;
  options.steps = 1'000'000;
  options.threads = flags.threads;
  return options;
}

// A corpus of the first training documents alone: every batch then holds the same ones.
std::shared_ptr<const Corpus> FirstDocuments(const Flags& flags, const std::string& folder) {
  const auto corpus = Corpus::Open(flags.corpus);
  CorpusWriter writer(folder, corpus->vocabulary(), corpus->manifest().max_length, corpus->manifest().reference_date,
                      "bench");
  int64_t left = flags.documents;
  for (int64_t i = 0; i < corpus->size() && left > 0; ++i) {
    if (corpus->split(i) != Split::kTrain) continue;
    writer.Add(corpus->DocumentAt(i), Split::kTrain);
    --left;
  }
  TORCH_CHECK_VALUE(left == 0, flags.corpus, ": ", left, " training documents too few");
  writer.Finish();
  return Corpus::Open(folder);
}

// The batch as the reference reads it: padded.
void WriteBatch(const std::string& path, const std::vector<PretrainExample>& examples, int64_t slots) {
  const auto count = static_cast<int64_t>(examples.size());
  const int64_t most_targets = slots * 3 / 10;
  at::Tensor inputs = at::zeros({count, 4, slots}, at::kLong), mask = at::zeros({count, slots}, at::kBool);
  at::Tensor positions = at::full({count, most_targets}, slots - 1, at::kLong);
  at::Tensor tokens = at::zeros({count, most_targets}, at::kLong), orders = at::zeros({count}, at::kLong);
  for (int64_t d = 0; d < count; ++d) {
    const PretrainExample& example = examples[d];
    const Document& document = example.document;
    const std::vector<int32_t>* rows[] = {&document.token, &document.abspos, &document.age, &document.segment};
    for (int64_t row = 0; row < 4; ++row) {
      inputs[d][row].slice(0, 0, document.length()).copy_(at::tensor(*rows[row], at::kLong));
    }
    mask[d].slice(0, 0, document.length()).fill_(true);
    const auto targets = static_cast<int64_t>(example.targets.positions.size());
    positions[d].slice(0, 0, targets).copy_(at::tensor(example.targets.positions, at::kLong));
    tokens[d].slice(0, 0, targets).copy_(at::tensor(example.targets.tokens, at::kLong));
    orders[d].fill_(static_cast<int64_t>(example.order));
  }
  WriteSafetensors(path, {{"input_ids", inputs},
                          {"padding_mask", mask},
                          {"target_pos", positions},
                          {"target_tokens", tokens},
                          {"target_sop", orders}});
}

// Weights, hyperparameters and the first batch; prints the losses that the reference must find on them.
void Write(const Flags& flags, const Corpus& corpus, const PretrainOptions& options) {
  const PretrainRun run(corpus, options);
  PretrainOptions filled = options;
  filled.n_slots = flags.slots;
  const std::vector<PretrainExample> examples = ExampleStream(corpus, filled).Next();
  WriteSafetensors(flags.write + "/model.safetensors", run.Last());
  WriteFileAtomically(flags.write + "/hparams.json", run.hyperparameters().ToJson());
  WriteBatch(flags.write + "/batch.safetensors", examples, flags.slots);
  const c10::NoGradGuard no_grad;
  const Transformer model(run.hyperparameters(), ReadWeights(SafetensorsFile::Open(flags.write + "/model.safetensors"),
                                                             run.hyperparameters(), at::kFloat, at::kCPU));
  const PretrainBatch batch = PackExamples(examples, flags.slots, at::kCPU);
  const PretrainLosses losses = ComputeLosses(model, batch, options.objective, nullptr);
  std::printf("{\"tokens\": %lld, \"mlm\": %.9g, \"sop\": %.9g}\n",
              static_cast<long long>(batch.documents.token_count()), losses.mlm.item<double>(),
              losses.sop.item<double>());
}

void Time(const Flags& flags, const Corpus& corpus, const PretrainOptions& options) {
  PretrainRun run(corpus, options);
  run.Step();
  std::vector<double> seconds;
  for (int64_t i = 0; i < flags.steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run.Step();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + seconds.size() / 2, seconds.end());
  std::printf("{\"seconds\": %.6f}\n", seconds[seconds.size() / 2]);
}

void Run(const Flags& flags) {
  at::set_num_threads(flags.threads);
  const std::string folder = std::filesystem::temp_directory_path() / ("pretrain-bench-" + std::to_string(getpid()));
  const auto corpus = FirstDocuments(flags, folder);
  const PretrainOptions options = OptionsOf(flags);
  if (flags.write.empty()) {
    Time(flags, *corpus, options);
  } else {
    Write(flags, *corpus, options);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace lifescope

int main(int argc, char** argv) {
  lifescope::Flags flags;
  CLI::App app("Times pre-training steps on the first documents of a corpus");
  app.add_option("--corpus", flags.corpus, "Corpus folder")->required();
  app.add_option("--shape", flags.shape, "Model")->check(CLI::IsMember({"small", "life2vec"}));
  app.add_option("--documents", flags.documents, "Documents of the batch");
  app.add_option("--slots", flags.slots, "Slots of every document");
  app.add_option("--steps", flags.steps, "Steps that are timed");
  app.add_option("--threads", flags.threads, "Threads");
  app.add_option("--write", flags.write, "Write weights and batch to this folder instead");
  CLI11_PARSE(app, argc, argv);
  try {
    lifescope::Run(flags);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pretrain_step_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
