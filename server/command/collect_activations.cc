#include <c10/util/Exception.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/command/activation_sources.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/training/activation_shards.h"

namespace lifescope {
namespace {

struct CollectFlags {
  std::string home, model, corpus, name;
  std::vector<std::string> hooks;
  int64_t rows = 0;
  int64_t shard_rows = 65'536;
  ActivationStreamOptions stream;
  bool with_prefix = false;
  int32_t threads = 0;
};

void Collect(const CollectFlags& flags) {
  const Stopwatch stopwatch;
  const std::string folder = ActivationsFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  PrepareCompute(flags.threads);
  ActivationStreamOptions stream = flags.stream;
  stream.skip_prefix = !flags.with_prefix;
  const OpenedActivations opened = OpenActivationStream(flags.home, flags.model, flags.corpus, flags.hooks, stream);
  const int64_t rows = flags.rows > 0 ? flags.rows : opened.source->epoch_rows();
  {
    ProgressBar bar("collect-activations", rows);
    WriteActivationShards(folder, *opened.source, rows, flags.shard_rows, opened.origin,
                          [&](int64_t written) { bar.Update(written); });
  }
  const ActivationShards shards = ReadActivationShards(folder);
  PrintEndLine(
      folder,
      absl::StrFormat("%d rows of %s in %d shards", rows, absl::StrJoin(flags.hooks, ", "), shards.shards.size()),
      shards.digest, stopwatch.Seconds());
}

}  // namespace

void AddCollectActivationsCommand(CLI::App& app) {
  auto flags = std::make_shared<CollectFlags>();
  CLI::App* verb = app.add_subcommand("collect-activations",
                                      "Write a model's activations over a corpus, shuffled, as safetensors shards");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--model", flags->model, "Model to read activations from")->required();
  verb->add_option("--corpus", flags->corpus, "Corpus to run the model on (its training split)")->required();
  verb->add_option("--name", flags->name, "Name of the new activations")->required();
  verb->add_option("--hook", flags->hooks, "Hook point, as often as wanted: their columns stand side by side")
      ->required()
      ->allow_extra_args(false);
  verb->add_option("--rows", flags->rows, "Rows to write, as a shuffled stream serves them; 0: as many as an epoch has")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->add_option("--shard-rows", flags->shard_rows, "Rows of a shard")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--buffer-rows", flags->stream.buffer_rows, "Rows held for shuffling; at least 1024")
      ->check(CLI::Range(int64_t{1024}, int64_t{1} << 40))
      ->capture_default_str();
  verb->add_flag("--with-prefix", flags->with_prefix, "Take [CLS], background and first [SEP] too");
  verb->add_flag("--without-separators", flags->stream.skip_separators, "Leave the other [SEP] out");
  verb->add_option("--seed", flags->stream.seed, "Seed of the order")->capture_default_str();
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "Example:\n  lifescoped collect-activations --home my-home --model small --corpus world --name resid1 --hook "
      "blocks.1.hook_resid_post");
  verb->callback([flags] { Collect(*flags); });
}

}  // namespace lifescope
