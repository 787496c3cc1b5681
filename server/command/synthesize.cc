#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_format.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/corpus/world.h"

namespace lifescope {
namespace {

struct SynthesizeFlags {
  std::string home;
  std::string name = "world";
  WorldOptions world;
};

void Synthesize(const SynthesizeFlags& flags) {
  const Stopwatch stopwatch;
  const std::string folder = CorpusFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  {
    ProgressBar bar("synthesize", flags.world.person_count);
    SynthesizeWorld(folder, flags.world, [&](const std::string& stage, int64_t done, int64_t total) {
      bar.UpdateStage(stage, done, total);
    });
  }
  const auto corpus = Corpus::Open(folder);
  PrintEndLine(folder, CorpusSummary(*corpus), corpus->digest(), stopwatch.Seconds());
}

}  // namespace

void AddSynthesizeCommand(CLI::App& app) {
  auto flags = std::make_shared<SynthesizeFlags>();
  CLI::App* verb = app.add_subcommand("synthesize", "Write a synthetic world, with its hidden traits, as a corpus");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--name", flags->name, "Name of the new corpus")->capture_default_str();
  verb->add_option("--persons", flags->world.person_count, "Number of persons")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--seed", flags->world.seed, "Seed of the world")->capture_default_str();
  verb->add_option("--max-length", flags->world.max_length, "Longest document, in tokens")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->footer("Example:\n  lifescoped synthesize --home my-home --name world --persons 2000 --seed 7");
  verb->callback([flags] { Synthesize(*flags); });
}

}  // namespace lifescope
