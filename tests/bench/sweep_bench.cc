// A layer by event sweep over a document that fills 2560 slots of the paper-size model, with the layers before the
// edited one taken from the unedited run and, in the same program, every patch run from the embedding:
//   cmake --build build/dev --target sweep_bench && build/dev/bin/sweep_bench
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "server/artifact/safetensors.h"
#include "server/intervention/engine.h"
#include "server/intervention/sweep.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

constexpr int64_t kEvents = 8;

// The golden document of 2560 positions, cut into events; and one with its last token of each event replaced.
std::vector<Document> Documents() {
  const SafetensorsFile file = SafetensorsFile::Open(GoldenPath("life2vec/paper_random/b2560.f32.safetensors"));
  const at::Tensor rows = file.Read("input_ids")[0].to(at::kInt).contiguous();
  const auto row = [&](int64_t i) {
    const int32_t* data = rows[i].data_ptr<int32_t>();
    return std::vector<int32_t>(data, data + rows.size(1));
  };
  Document clean{0, row(0), row(1), row(2), row(3), std::vector<int32_t>(static_cast<size_t>(rows.size(1)))};
  for (size_t i = 0; i < clean.event.size(); ++i) {
    clean.event[i] = static_cast<int32_t>(i * kEvents / clean.event.size());
  }
  Document corrupted = clean;
  for (size_t i = 0; i < corrupted.token.size(); i += 97) corrupted.token[i] = 20;
  return {clean, corrupted};
}

struct Measured {
  double seconds = 0;
  RunResult result;
};

Measured Measure(const Run& run, const Transformer& model, int64_t shared_bytes) {
  ExecuteOptions options;
  options.shared_bytes = shared_bytes;
  const auto start = std::chrono::steady_clock::now();
  Measured measured;
  measured.result = Execute(run, model, options);
  measured.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return measured;
}

int Main() {
  const LoadedModel model = LoadModel(GoldenPath("life2vec/paper_random"), at::kFloat, at::kCPU);
  Run run;
  run.documents = Documents();
  SweepOptions options;
  options.base = 1;
  options.donor = 0;
  for (SweepCell& cell : MakeSweep(options, run.documents, model.transformer->hyperparameters()).cells) {
    run.interventions.push_back(std::move(cell.intervention));
  }
  Read read;
  read.kind = LogitDifferenceRead{12, 17};
  read.positions.indices = {100};
  run.reads = {read};
  Measure(run, *model.transformer, 0);  // warm
  std::printf("%zu cells, %d threads\n", run.interventions.size(), at::get_num_threads());
  std::printf("| prefix | seconds | forwards per second | layer passes | shared |\n|---|---|---|---|---|\n");
  double plain = 0;
  for (const int64_t shared_bytes : {int64_t{0}, int64_t{1} << 30}) {
    const Measured m = Measure(run, *model.transformer, shared_bytes);
    const double forwards = static_cast<double>(run.interventions.size() + run.documents.size());
    std::printf("| %s | %.2f | %.2f | %lld | %lld |\n", shared_bytes > 0 ? "once" : "every time", m.seconds,
                forwards / m.seconds, static_cast<long long>(m.result.layer_passes),
                static_cast<long long>(m.result.shared_layer_passes));
    if (shared_bytes == 0) plain = m.seconds;
    if (shared_bytes > 0) std::printf("saving: %.2f times\n", plain / m.seconds);
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace lifescope

int main() { return lifescope::Main(); }
