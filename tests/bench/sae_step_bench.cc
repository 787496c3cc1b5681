// Times training steps of dictionaries: ours of every family, the same steps as dictionary_learning writes them in
// dense ATen (dense_sae_step.h), and the encoder's matrix product alone, which is the floor of all of them. Prints a
// table; --json writes the numbers in the form that peers.py writes.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/artifact/safetensors.h"
#include "server/dictionary/training/gated_recipes.h"
#include "server/dictionary/training/initial_directions.h"
#include "server/dictionary/training/jumprelu_recipes.h"
#include "server/dictionary/training/relu_recipes.h"
#include "server/dictionary/training/sae_trainer.h"
#include "server/dictionary/training/topk_recipes.h"
#include "tests/bench/dense_sae_step.h"

namespace lifescope {
namespace {

struct Flags {
  int64_t width = 280, features = 8960, rows = 4096, k = 32, repetitions = 7;
  double l0 = 64;  // of the families without k
  std::vector<int> threads{1, 2};
  std::vector<std::string> families{"topk", "batch_topk", "matryoshka", "relu", "gated", "jumprelu"};
  std::string json, replay, matmul = "float32";
  bool dense = true;
};

// Small, so that a measurement does not change what it measures.
constexpr double kLearningRate = 1e-6;
constexpr int64_t kBatches = 4;
// So large that losses of a replay would part soon if gradients or updates differed.
constexpr double kReplayLearningRate = 1e-3;

struct Seconds {
  double median, least, most;
  double cpu;  // median of the processor time of all threads, which other programs disturb less
};

// `run` gets 0, 1, 2, ...: the first two runs, which initialise and warm up, do not count.
Seconds Time(int64_t repetitions, const std::function<void(int64_t)>& run) {
  std::vector<double> seconds, cpu;
  for (int64_t i = 0; i < repetitions + 2; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    run(i);
    if (i < 2) continue;
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    cpu.push_back(static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC);
  }
  std::sort(seconds.begin(), seconds.end());
  std::sort(cpu.begin(), cpu.end());
  return {seconds[seconds.size() / 2], seconds.front(), seconds.back(), cpu[cpu.size() / 2]};
}

// Rows, directions, and the bias at which rows have an L0 of flags.l0.
struct Problem {
  explicit Problem(const Flags& flags) {
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(1);
    for (int64_t i = 0; i < kBatches; ++i) {
      batches.push_back(at::empty({flags.rows, flags.width}).normal_(0, 1, generator));
    }
    encoder = RandomUnitRows(flags.features, flags.width, 2).to(at::kFloat);
    const at::Tensor sample = batches[0].narrow(0, 0, std::min<int64_t>(256, flags.rows)).mm(encoder.t()).flatten();
    const auto above = static_cast<int64_t>(static_cast<double>(sample.numel()) * flags.l0 / flags.features);
    bias = at::full({flags.features}, -std::get<0>(sample.topk(std::max<int64_t>(above, 1))).min().item<double>());
  }
  // The same from a file of peers.py.
  explicit Problem(const SafetensorsFile& file) : encoder(file.Read("encoder")), bias(file.Read("bias")) {
    batches = file.Read("batches").unbind(0);
  }
  std::vector<at::Tensor> batches;
  at::Tensor encoder, bias;
};

struct Training {
  std::shared_ptr<const Objective> objective;
  SaeTrainerOptions options;
  std::vector<std::string> biases;  // the parameters that Problem::bias sets
};

template <typename Recipe>
Training TopKTraining(Recipe recipe, const Flags& flags) {
  recipe.objective.selection.k = static_cast<double>(flags.k);
  recipe.objective.bias_start = TopKOptions::BiasStart::kZero;
  return {std::make_shared<TopKObjective>(recipe.objective), recipe.loop, {}};
}

// By dictionary_learning's recipes, as the dense steps are.
Training MakeTraining(const std::string& family, const Flags& flags) {
  const int64_t width = flags.width, features = flags.features;
  Training training;
  if (family == "topk") {
    training = TopKTraining(DictionaryLearningTopK(width, features), flags);
  } else if (family == "batch_topk") {
    training = TopKTraining(DictionaryLearningBatchTopK(width, features), flags);
  } else if (family == "matryoshka") {
    training = TopKTraining(DictionaryLearningMatryoshka(width, features), flags);
  } else if (family == "relu") {
    const ReluRecipe recipe = DictionaryLearningStandard(width, features);
    training = {std::make_shared<ReluObjective>(recipe.objective), recipe.loop, {kEncoderBias}};
  } else if (family == "gated") {
    const GatedRecipe recipe = DictionaryLearningGated(width, features);
    training = {std::make_shared<GatedObjective>(recipe.objective), recipe.loop, {kGateBias, kMagnitudeBias}};
  } else if (family == "jumprelu") {
    const JumpReluRecipe recipe = DictionaryLearningJumpRelu(width, features);
    training = {std::make_shared<JumpReluObjective>(recipe.objective), recipe.loop, {kEncoderBias}};
  } else {
    TORCH_CHECK_VALUE(false, "family is ", family, ", expected topk, batch_topk, matryoshka, relu, gated or jumprelu");
  }
  training.options.schedule = {};
  training.options.schedule.peak = flags.replay.empty() ? kLearningRate : kReplayLearningRate;
  training.options.sparsity_warmup_steps = 0;
  training.options.matmul = ParseMatmul(flags.matmul);
  return training;
}

SaeTrainer MakeTrainer(const Training& training, const Problem& problem) {
  SaeTrainer trainer(training.objective, training.options);
  auto state = trainer.State();
  state[kEncoder] = problem.encoder;
  state[kDecoder] = problem.encoder;
  for (const std::string& name : training.biases) state[name] = problem.bias;
  trainer.Restore(state);
  return trainer;
}

std::string BlasName() {
  using Config = char* (*)();
  const auto config = reinterpret_cast<Config>(dlsym(RTLD_DEFAULT, "openblas_get_config"));
  return config == nullptr ? "unknown" : config();
}

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

void Report(const std::string& side, const std::string& family, int threads, const Seconds& seconds,
            nlohmann::json& out) {
  out.push_back({{"side", side},
                 {"family", family},
                 {"threads", threads},
                 {"seconds", seconds.median},
                 {"least", seconds.least},
                 {"most", seconds.most},
                 {"cpu_seconds", seconds.cpu}});
  std::printf("| %s | %s | %d | %.4f | %.4f to %.4f | %.4f |", family.c_str(), side.c_str(), threads, seconds.median,
              seconds.least, seconds.most, seconds.cpu);
  std::fflush(stdout);
}

void Measure(const Flags& flags, const Problem& problem, int threads, nlohmann::json& out) {
  at::set_num_threads(threads);
  at::Tensor product = at::empty({flags.rows, flags.features});
  const Seconds gemm = Time(
      flags.repetitions, [&](int64_t i) { at::mm_out(product, problem.batches[i % kBatches], problem.encoder.t()); });
  product = at::Tensor();
  const double flop = 2.0 * static_cast<double>(flags.rows * flags.features * flags.width);
  Report("encoder product", "-", threads, gemm, out);
  std::printf(" %.1f GFLOP/s |\n", flop / gemm.median * 1e-9);
  for (const std::string& family : flags.families) {
    SaeStep last;
    const auto ours = [&] {
      SaeTrainer trainer = MakeTrainer(MakeTraining(family, flags), problem);
      return Time(flags.repetitions, [&](int64_t i) {
        const at::Tensor& rows = problem.batches[i % kBatches];
        last = trainer.Step({rows, rows});
      });
    }();
    Report("lifescope", family, threads, ours, out);
    std::printf(" L0 %.1f, %.2f times the encoder product |\n", last.l0, ours.median / gemm.median);
    if (!flags.dense || family == "matryoshka") continue;
    DenseSaeStep step = MakeDenseSaeStep(
        family, problem.encoder, family.find("topk") == std::string::npos ? problem.bias : at::zeros_like(problem.bias),
        flags.k, kLearningRate);
    const Seconds dense = Time(flags.repetitions, [&](int64_t i) { step.Step(problem.batches[i % kBatches]); });
    Report("dense ATen", family, threads, dense, out);
    std::printf(" %.2f times lifescope |\n", dense.median / ours.median);
  }
}

// Prints the losses of flags.repetitions steps.
void Replay(Flags flags) {
  const Problem problem(SafetensorsFile::Open(flags.replay));
  flags.features = problem.encoder.size(0);
  flags.width = problem.encoder.size(1);
  TORCH_CHECK_VALUE(flags.families.size() == 1, "--replay takes one family");
  SaeTrainer trainer = MakeTrainer(MakeTraining(flags.families.front(), flags), problem);
  nlohmann::json losses = nlohmann::json::array();
  for (int64_t i = 0; i < flags.repetitions; ++i) {
    const at::Tensor& rows = problem.batches[i % problem.batches.size()];
    losses.push_back(trainer.Step({rows, rows}).loss);
  }
  std::printf("%s\n", losses.dump().c_str());
}

void Run(const Flags& flags) {
  const c10::NoGradGuard no_grad;
  nlohmann::json out{{"machine", CpuName()},  {"torch", TORCH_VERSION},           {"blas", BlasName()},
                     {"width", flags.width},  {"features", flags.features},       {"rows", flags.rows},
                     {"k", flags.k},          {"repetitions", flags.repetitions}, {"steps", nlohmann::json::array()},
                     {"matmul", flags.matmul}};
  std::printf("%s; LibTorch %s; %s\n\n", CpuName().c_str(), TORCH_VERSION, BlasName().c_str());
  std::printf(
      "| family | side | threads | seconds, median | range | processor time | |\n|---|---|---|---|---|---|---|\n");
  const Problem problem(flags);
  for (const int threads : flags.threads) Measure(flags, problem, threads, out["steps"]);
  if (!flags.json.empty()) std::ofstream(flags.json) << out.dump(2) << "\n";
}

}  // namespace
}  // namespace lifescope

int main(int argc, char** argv) {
  lifescope::Flags flags;
  CLI::App app("Times training steps of dictionaries");
  app.add_option("--width", flags.width, "Width of the rows");
  app.add_option("--features", flags.features, "Features");
  app.add_option("--rows", flags.rows, "Rows of a batch");
  app.add_option("--k", flags.k, "Active features per row of the TopK families");
  app.add_option("--l0", flags.l0, "Active features per row of the others");
  app.add_option("--repetitions", flags.repetitions, "Steps that are timed");
  app.add_option("--threads", flags.threads, "Numbers of threads")->delimiter(',');
  app.add_option("--families", flags.families, "Families")->delimiter(',');
  app.add_option("--matmul", flags.matmul, "Of our encoder's product: float32 or bfloat16");
  app.add_option("--json", flags.json, "Write the numbers to this file");
  app.add_option("--replay", flags.replay, "Print the losses of steps on the weights and batches of this file instead");
  app.add_flag("!--no-dense", flags.dense, "Leave the dense steps out");
  CLI11_PARSE(app, argc, argv);
  try {
    flags.replay.empty() ? lifescope::Run(flags) : lifescope::Replay(flags);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sae_step_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
