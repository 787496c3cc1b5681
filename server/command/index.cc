#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/app/identity.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/open_store.h"
#include "server/command/progress_bar.h"
#include "server/evaluation/feature_index.h"
#include "server/runtime/device.h"
#include "storage/store.h"

namespace lifescope {
namespace {

struct IndexFlags {
  std::string home, dictionary, corpus, store;
  int64_t examples = 20;
  int32_t threads = 0;
};

void RegisterArtifact(Store& store, ArtifactKind kind, const std::string& name, const std::string& digest,
                      const nlohmann::json& description) {
  ThrowUnlessOk(store.PutArtifact({kind, name, digest, description.dump(), absl::Now()}));
}

std::vector<FeatureRecord> FeatureRecords(const FeatureIndexResult& result) {
  std::vector<FeatureRecord> records;
  for (size_t i = 0; i < result.features.size(); ++i) {
    const FeatureStatistics& feature = result.features[i];
    records.push_back({static_cast<int64_t>(i), feature.max_activation, feature.activation_sum,
                       feature.active_token_count, feature.active_person_count, feature.histogram});
  }
  return records;
}

std::vector<ExampleRecord> ExampleRecords(const FeatureIndexResult& result) {
  std::vector<ExampleRecord> records;
  for (size_t i = 0; i < result.features.size(); ++i) {
    int32_t rank = 0;
    for (const ExampleRef& example : result.features[i].examples) {
      records.push_back({static_cast<int64_t>(i), ++rank, example.person_id, example.position, example.activation});
    }
  }
  return records;
}

void BuildIndex(const IndexFlags& flags) {
  const Stopwatch stopwatch;
  const auto [dictionary, hook_point, model, corpus] = OpenScan(flags.home, flags.dictionary, flags.corpus);
  PrepareCompute(flags.threads);
  // Before the pass: a database that cannot be used should not cost it.
  const std::unique_ptr<Store> store = OpenStoreOf(flags.home, flags.store);

  FeatureIndexOptions options;
  options.hook_point = hook_point;
  options.examples_per_feature = flags.examples;
  FeatureIndexResult result;
  {
    ProgressBar bar("index", corpus.corpus->size());
    result = BuildFeatureIndex(*model.transformer, *dictionary.dictionary, *corpus.corpus, options,
                               [&](int64_t done, int64_t) {
                                 bar.Update(done);
                                 return true;
                               });
  }
  RegisterArtifact(*store, ArtifactKind::kModel, model.name, model.digest,
                   nlohmann::json::parse(model.transformer->hyperparameters().ToJson()));
  RegisterArtifact(*store, ArtifactKind::kDictionary, flags.dictionary, dictionary.digest,
                   {{"model", dictionary.info.model}, {"hook_point", dictionary.info.hook_point}});
  RegisterArtifact(*store, ArtifactKind::kCorpus, corpus.name, corpus.corpus->digest(),
                   {{"origin", corpus.corpus->manifest().origin}});
  const auto feature_count = static_cast<int64_t>(result.features.size());
  const std::vector<ExampleRecord> examples = ExampleRecords(result);
  const std::string id = NewUuid();
  ThrowUnlessOk(store->CreateFeatureIndex(
      {id, model.digest, dictionary.digest, corpus.corpus->digest(), result.token_count, result.person_count,
       result.n_slots, feature_count, flags.examples, SoftwareVersion(), absl::Now()},
      FeatureRecords(result), examples));
  int64_t silent = 0;
  for (const FeatureStatistics& feature : result.features) silent += feature.active_token_count == 0;
  PrintEndLine(absl::StrCat("index ", id),
               absl::StrCat(feature_count, " features (", silent, " silent) of dictionary ", flags.dictionary, " over ",
                            result.token_count, " tokens of ", result.person_count, " persons, ", examples.size(),
                            " examples, into the ", store->backend(), " store"),
               dictionary.digest, stopwatch.Seconds());
}

}  // namespace

void AddIndexCommand(CLI::App& app) {
  auto flags = std::make_shared<IndexFlags>();
  CLI::App* verb = app.add_subcommand("index", "Find each feature's strongest examples and densities over a corpus");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--dictionary", flags->dictionary, "Dictionary whose features are indexed")->required();
  verb->add_option("--corpus", flags->corpus, "Corpus to scan")->required();
  AddStoreOption(*verb, flags->store);
  verb->add_option("--examples", flags->examples, "Examples kept of each feature, at most one per person")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  AddThreadsOption(*verb, flags->threads);
  verb->footer(
      "The newest index of a dictionary is the one that is shown; earlier ones stay.\n"
      "Example:\n  lifescoped index --home my-home --dictionary small-resid1 --corpus world");
  verb->callback([flags] { BuildIndex(*flags); });
}

}  // namespace lifescope
