#include "server/corpus/world.h"

#include <c10/util/Exception.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/corpus/person_split.h"
#include "server/corpus/tokenizer.h"
#include "server/corpus/world_people.h"

namespace lifescope {
namespace world {

TableDescription Description() {
  TableDescription description = TableDescription::Life2vecLight();
  EventField event, household;
  event.value.column = "EVENT";
  event.value.prefix = "FAM";
  event.category = "FAMILY";
  household.value.column = household.category = "HOUSEHOLD";
  household.value.prefix = "HOME";
  description.tables.push_back(
      {"family", {{"synth_family.csv"}, {}, "USER_ID", {}}, "RECORD_DATE", {}, {}, "", {event, household}});
  description.reference_date = kFirstDate;
  return description;
}

}  // namespace world

namespace {

constexpr double kTrainShare = 0.7, kValidationShare = 0.15;
constexpr int64_t kFitMemory = int64_t{256} << 20;

// A folder beside the corpus for what does not fit in memory, removed at the end.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& corpus_folder)
      : path_(HiddenBeside(corpus_folder, ".scratch-" + std::to_string(getpid()))) {}
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The truth of the events that `encoded` keeps: the last ones, since clipping leaves out at the front.
std::vector<int8_t> KeptTruth(const EncodedLife& encoded, const std::vector<world::EventTruth>& truth) {
  const size_t kept = static_cast<size_t>(encoded.document.event_count());
  TORCH_CHECK(kept + static_cast<size_t>(encoded.clipped_event_count) == truth.size(), "person ",
              encoded.document.person_id, ": ", kept, " events kept and ", encoded.clipped_event_count,
              " clipped, expected ", truth.size(), " in all");
  std::vector<int8_t> values;
  for (size_t i = truth.size() - kept; i < truth.size(); ++i) {
    values.insert(values.end(), truth[i].begin(), truth[i].end());
  }
  return values;
}

}  // namespace

void SynthesizeWorld(const std::string& corpus_folder, const WorldOptions& options, const Progress& progress) {
  CheckWorld(options);
  TORCH_CHECK_VALUE(options.max_length >= 16, "max_length is ", options.max_length, ", expected at least 16");
  const std::vector<Split> splits = SplitPersons(options.person_count, kTrainShare, kValidationShare, options.seed);
  const auto of = [&](Split split) {
    return [&splits, split](int64_t id) { return splits[static_cast<size_t>(id - 1)] == split; };
  };
  RawEncodeOptions encode;
  encode.max_length = options.max_length;
  const ScratchFolder scratch(corpus_folder);
  TokenizerFit fit(world::Description(), encode, scratch.path(), kFitMemory);
  ForEachInhabitant(options, "fitting bins", progress, of(Split::kTrain),
                    [&](const Inhabitant& one) { fit.AddNumbers(one.person); });
  ForEachInhabitant(options, "fitting tokens", progress, of(Split::kTrain),
                    [&](const Inhabitant& one) { fit.AddTokens(one.person); });
  const Tokenizer tokenizer = fit.Finish();

  CorpusWriter writer(corpus_folder, tokenizer.vocabulary, options.max_length, tokenizer.description.reference_date,
                      "synthetic world, seed " + std::to_string(options.seed), world::PersonTraits(),
                      world::EventTraits());
  for (const auto& [split, stage] : {std::pair(Split::kTrain, "encoding train"),
                                     {Split::kValidation, "encoding validation"},
                                     {Split::kTest, "encoding test"}}) {
    ForEachInhabitant(options, stage, progress, of(split), [&, split = split](const Inhabitant& one) {
      const EncodedLife encoded = tokenizer.Encode(one.person);
      writer.Add(encoded.document, split, encoded.clipped_event_count, one.truth, KeptTruth(encoded, one.event_truth));
    });
  }
  writer.Finish();
}

}  // namespace lifescope
