// Recovery of known directions from toy data, against the values of the reference implementations: writes the table
// of docs/dictionary-recovery.md to standard output.
//   cmake --build build/engine --target toy_recovery_bench
//   LIFESCOPE_GOLDEN=<golden set> build/engine/bin/toy_recovery_bench > docs/dictionary-recovery.md
#include <ATen/ATen.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/artifact/artifact.h"
#include "server/artifact/safetensors.h"
#include "server/dictionary/training/initial_directions.h"
#include "server/dictionary/training/relu_recipes.h"
#include "server/dictionary/training/topk_recipes.h"
#include "tests/support/golden.h"
#include "tests/support/toy_superposition.h"

namespace lifescope {
namespace {

using nlohmann::json;

// What the references' runs recorded, under their names.
const std::vector<std::string> kMeasures{
    "mmcs_gt_to_learned", "mmcs_alive_to_gt", "frac_gt_above_0_9", "l0", "fvu_total", "n_dead"};
using Figures = std::map<std::string, double>;

struct Benchmark {
  json description;
  at::Tensor directions;  // [count, width]
  at::Tensor sample;      // [rows, width]: what dictionaries are judged on
  ToySuperpositionOptions data;
};

at::Tensor SampleOf(const SafetensorsFile& file, const at::Tensor& directions) {
  const at::Tensor counts = file.Read("codes/row_ptr").to(at::kLong).diff();
  const at::Tensor rows = at::arange(counts.numel(), at::kLong).repeat_interleave(counts);
  at::Tensor codes = at::zeros({counts.numel(), directions.size(0)}, at::kFloat);
  codes.index_put_({rows, file.Read("codes/col").to(at::kLong)}, file.Read("codes/val"));
  return codes.mm(directions);
}

Benchmark Read(const std::string& name) {
  const std::string folder = GoldenPath("sae/benchmark/" + name);
  Benchmark benchmark;
  benchmark.description = json::parse(ReadFile(folder + "/benchmark.json"));
  const json& generator = benchmark.description["generator"];
  benchmark.data.mean_active = generator["num_nonzero"];
  benchmark.data.decay = generator["decay"];
  if (!HasGolden("sae/benchmark/" + name + "/sample.safetensors")) {
    // Only the generator is given: directions and sample are drawn here.
    benchmark.directions = RandomUnitRows(generator["n_gt"], generator["d"], /*seed=*/100).to(at::kFloat);
    benchmark.sample =
        ToySuperposition(benchmark.directions, benchmark.data, /*seed=*/101).Rows(benchmark.description["rows"]);
    return benchmark;
  }
  const SafetensorsFile file = SafetensorsFile::Open(folder + "/sample.safetensors");
  benchmark.directions = file.Read("feats");
  benchmark.sample = SampleOf(file, benchmark.directions);
  if (generator["correlated"].get<bool>()) benchmark.data.correlation = file.Read("corr_matrix");
  return benchmark;
}

RateSchedule ScheduleOf(double rate, int64_t steps) { return {rate, steps / 10, steps * 4 / 5, steps}; }

// Trains as `run` describes on fresh rows; the dictionary that comes of it.
DictionaryWeights Train(const Benchmark& benchmark, const json& run, uint64_t seed) {
  const int64_t steps = benchmark.description["training"]["steps"], batch = benchmark.description["training"]["batch"];
  const int64_t width = benchmark.directions.size(1), features = run["n"];
  ToySuperposition toy(benchmark.directions, benchmark.data, 1000 + seed);
  const std::string model = run["model"];
  std::shared_ptr<Objective> objective;
  SaeTrainerOptions loop;
  if (model == "topk") {
    TopKRecipe recipe = DictionaryLearningTopK(width, features);
    recipe.objective.selection.k = run["k"];
    recipe.objective.dead.after = run["dead_tokens"];
    recipe.loop.schedule = ScheduleOf(run["lr"], steps);
    objective = std::make_shared<TopKObjective>(recipe.objective);
    loop = recipe.loop;
  } else if (model == "l1") {
    ReluRecipe recipe = DictionaryLearningStandard(width, features);
    recipe.objective.sparsity_coefficient = run["l1"];
    recipe.loop.schedule = ScheduleOf(run["lr"], steps);
    recipe.loop.sparsity_warmup_steps = steps / 5;
    objective = std::make_shared<ReluObjective>(recipe.objective);
    loop = recipe.loop;
  } else {
    UnitDictionaryRecipe recipe = Cunningham(width, features);
    recipe.objective.l1_coefficient = run["l1_alpha"].get<double>() / static_cast<double>(features);
    objective = std::make_shared<UnitDictionaryObjective>(recipe.objective);
    loop = recipe.loop;
  }
  loop.seed = seed;
  SaeTrainer trainer(objective, loop);
  for (int64_t step = 0; step < steps; ++step) {
    const at::Tensor rows = toy.Rows(batch);
    trainer.Step({rows, rows});
  }
  return objective->Export(trainer.parameters(), trainer.state());
}

// For each row of `from` the largest cosine with a row of `to`.
at::Tensor MaxCosines(const at::Tensor& from, const at::Tensor& to) {
  const auto unit = [](const at::Tensor& rows) { return rows / rows.norm(2, 1, /*keepdim=*/true).clamp_min(1e-12); };
  return unit(from).mm(unit(to).t()).amax(1);
}

Figures Judge(const DictionaryWeights& weights, const Benchmark& benchmark) {
  const auto dictionary = MakeDictionary(weights, at::kFloat, at::kCPU);
  const at::Tensor acts = dictionary->Encode(benchmark.sample);
  const at::Tensor error = benchmark.sample - dictionary->Decode(acts, benchmark.sample);
  const at::Tensor deviation = benchmark.sample - benchmark.sample.mean(0);
  const at::Tensor is_alive = (acts != 0).any(0);
  const at::Tensor learned = dictionary->DecoderDirections();
  const at::Tensor alive = learned.index_select(0, is_alive.nonzero().select(1, 0));
  const at::Tensor found = MaxCosines(benchmark.directions, learned);
  const auto total = [](const at::Tensor& x) { return x.square().sum(at::kDouble).item<double>(); };
  return {{"mmcs_gt_to_learned", found.mean().item<double>()},
          {"mmcs_alive_to_gt", MaxCosines(alive, benchmark.directions).mean().item<double>()},
          {"frac_gt_above_0_9", (found > 0.9).to(at::kDouble).mean().item<double>()},
          {"l0", (acts != 0).sum(1).to(at::kDouble).mean().item<double>()},
          {"fvu_total", total(error) / total(deviation)},
          {"n_dead", static_cast<double>(is_alive.logical_not().sum().item<int64_t>())}};
}

// "mean [least, most]" of a measure over runs.
std::string Range(const std::vector<Figures>& runs, const std::string& measure) {
  double sum = 0, least = runs.front().at(measure), most = least;
  for (const Figures& run : runs) {
    sum += run.at(measure);
    least = std::min(least, run.at(measure));
    most = std::max(most, run.at(measure));
  }
  char text[96];
  std::snprintf(text, sizeof text, "%.4f [%.4f, %.4f]", sum / static_cast<double>(runs.size()), least, most);
  return text;
}

void PrintRow(const std::string& data, const std::string& model, const char* whose, const std::vector<Figures>& runs) {
  std::printf("| %s | %s | %s, %zu seeds |", data.c_str(), model.c_str(), whose, runs.size());
  for (const std::string& measure : kMeasures) std::printf(" %s |", Range(runs, measure).c_str());
  std::printf("\n");
  std::fflush(stdout);
}

// The settings of a run: all but its seed and what came of it.
std::string SettingsOf(const json& run) {
  std::string text = run["model"];
  for (const char* name : {"l1", "l1_alpha", "k", "n"}) {
    if (!run.contains(name)) continue;
    text += " ";
    text += name;
    text += " ";
    text += run[name].dump();
  }
  return text;
}

void RunBenchmark(const std::string& name) {
  const Benchmark benchmark = Read(name);
  std::vector<std::string> order;
  std::map<std::string, std::vector<json>> runs;
  for (const json& run : benchmark.description["runs"]) {
    if (!run.contains("seed")) continue;
    const std::string settings = SettingsOf(run);
    if (runs.count(settings) == 0) order.push_back(settings);
    runs[settings].push_back(run);
  }
  for (const std::string& settings : order) {
    std::vector<Figures> theirs, ours;
    for (const json& run : runs[settings]) {
      Figures figures;
      for (const std::string& measure : kMeasures) figures[measure] = run[measure];
      theirs.push_back(figures);
      ours.push_back(Judge(Train(benchmark, run, run["seed"]), benchmark));
    }
    PrintRow(name, settings, "reference", theirs);
    PrintRow(name, settings, "lifescope", ours);
  }
}

}  // namespace
}  // namespace lifescope

int main() {
  std::printf(
      "# Recovery of known directions\n\nDictionaries trained on toy data whose directions are known, by the reference "
      "implementations and by lifescope\nwith the same settings (`tests/bench/toy_recovery_bench.cc` makes this file). "
      "Training rows are fresh draws, of own\nrandom numbers on each side; both are judged on the same fixed sample, "
      "but for toy_interim_defaults_d256, for which\nonly the generator is known. Each cell is the mean over seeds and "
      "[least, most].\n\n"
      "| data | dictionary | trained by | MMCS truth to learned | MMCS alive to truth | truth above 0.9 | L0 | FVU | "
      "dead |\n|---|---|---|---|---|---|---|---|---|\n");
  for (const char* name : {"toy_independent", "toy_correlated", "toy_interim_defaults_d256"}) {
    lifescope::RunBenchmark(name);
  }
}
