#include "server/corpus/world.h"

#include <c10/util/Exception.h>

#include <utility>

#include "server/corpus/world_life.h"

namespace lifescope {
namespace world {

RawSchema Schema() {
  RawSchema schema = RawSchema::Life2vecLight();
  schema.sources.push_back({"family", {{"EVENT", "FAM", "FAMILY", false}, {"HOUSEHOLD", "HOME", "HOUSEHOLD", false}}});
  schema.reference_date = kFirstDate;
  return schema;
}

}  // namespace world

namespace {

constexpr double kTrainShare = 0.7, kValidationShare = 0.15;
constexpr int64_t kProgressStep = 256;

// What is true of a person, and of each of their events in order.
struct Life {
  std::vector<int8_t> truth;
  std::vector<world::EventTruth> event_truth;
};

struct Population {
  std::vector<RawPerson> persons;
  std::vector<Life> lives;
};

// Each person has a generator of their own, so that the first thousand people of a world are the same in a larger one.
Population Populate(const WorldOptions& options, const Progress& progress) {
  Population population;
  Random seeds(options.seed);
  for (int64_t id = 1; id <= options.person_count; ++id) {
    Random random(seeds.NextBits());
    const world::Latents latents = world::DrawLatents(random);
    RawPerson person{id, latents.birthday, latents.female ? "FEMALE" : "MALE", {}};
    Life life{world::PersonTruth(latents), {}};
    for (world::ToldEvent& event : world::TellLife(latents, random)) {
      const Date date = Date::FromDayNumber(world::kFirstDate.DayNumber() + event.day);
      person.events.push_back({date, event.source, std::move(event.fields)});
      life.event_truth.push_back(event.truth);
    }
    population.persons.push_back(std::move(person));
    population.lives.push_back(std::move(life));
    if (progress && id % kProgressStep == 0) progress("living", id, options.person_count);
  }
  return population;
}

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
  TORCH_CHECK_VALUE(options.person_count >= 10, "person_count is ", options.person_count, ", expected at least 10");
  TORCH_CHECK_VALUE(options.max_length >= 16, "max_length is ", options.max_length, ", expected at least 16");
  const Population population = Populate(options, progress);
  const std::vector<Split> splits = SplitPersons(options.person_count, kTrainShare, kValidationShare, options.seed);
  RawEncodeOptions encode;
  encode.max_length = options.max_length;
  const Tokenizer tokenizer = Tokenizer::Fit(world::Schema(), encode, population.persons, splits);

  CorpusWriter writer(corpus_folder, tokenizer.vocabulary, options.max_length, tokenizer.schema.reference_date,
                      "synthetic world, seed " + std::to_string(options.seed), world::PersonTraits(),
                      world::EventTraits());
  int64_t done = 0;
  for (const size_t i : CorpusOrder(population.persons, splits)) {
    const EncodedLife encoded = tokenizer.Encode(population.persons[i]);
    const Life& life = population.lives[i];
    writer.Add(encoded.document, splits[i], encoded.clipped_event_count, life.truth,
               KeptTruth(encoded, life.event_truth));
    if (progress && ++done % kProgressStep == 0) progress("encoding", done, options.person_count);
  }
  writer.Finish();
  if (progress) progress("encoding", options.person_count, options.person_count);
}

}  // namespace lifescope
