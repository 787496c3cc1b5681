#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
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
  std::string tables;
  WorldOptions world;
};

// Calls one of the two ways to write a world with a bar to watch.
template <typename Write>
void WithProgress(const SynthesizeFlags& flags, const Write& write) {
  ProgressBar bar("synthesize", flags.world.person_count);
  write([&](const std::string& stage, int64_t done, int64_t total) { bar.UpdateStage(stage, done, total); });
}

void SynthesizeCorpus(const SynthesizeFlags& flags) {
  const Stopwatch stopwatch;
  if (flags.home.empty()) throw CLI::RequiredError("--home or --as-tables");
  const std::string folder = CorpusFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  WithProgress(flags, [&](const Progress& progress) { SynthesizeWorld(folder, flags.world, progress); });
  const auto corpus = Corpus::Open(folder);
  PrintEndLine(folder, CorpusSummary(*corpus), corpus->digest(), stopwatch.Seconds());
}

void SynthesizeRaw(const SynthesizeFlags& flags) {
  const Stopwatch stopwatch;
  WithProgress(flags, [&](const Progress& progress) { SynthesizeTables(flags.tables, flags.world, progress); });
  std::printf("wrote %s: %lld persons (%s)\n", flags.tables.c_str(), static_cast<long long>(flags.world.person_count),
              DurationText(stopwatch.Seconds()).c_str());
}

}  // namespace

void AddSynthesizeCommand(CLI::App& app) {
  auto flags = std::make_shared<SynthesizeFlags>();
  CLI::App* verb = app.add_subcommand("synthesize", "Write a synthetic world, with its hidden traits, as a corpus");
  verb->add_option("--home", flags->home, "Folder of models, dictionaries, corpora and the database")
      ->envname("LIFESCOPE_HOME");
  CLI::Option* name = verb->add_option("--name", flags->name, "Name of the new corpus")->capture_default_str();
  CLI::Option* tables = verb->add_option(
      "--as-tables", flags->tables,
      "Write raw tables into this new folder instead; import reads them with --description synthetic-world");
  verb->add_option("--persons", flags->world.person_count, "Number of persons")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--seed", flags->world.seed, "Seed of the world")->capture_default_str();
  CLI::Option* max_length = verb->add_option("--max-length", flags->world.max_length, "Longest document, in tokens")
                                ->check(CLI::PositiveNumber)
                                ->capture_default_str();
  tables->excludes(name)->excludes(max_length);
  verb->footer(
      "Examples:\n"
      "  lifescoped synthesize --home my-home --name world --persons 2000 --seed 7\n"
      "  lifescoped synthesize --as-tables raw --persons 1000000 --seed 7");
  verb->callback([flags] { flags->tables.empty() ? SynthesizeCorpus(*flags) : SynthesizeRaw(*flags); });
}

}  // namespace lifescope
