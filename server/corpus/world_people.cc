#include "server/corpus/world_people.h"

#include <c10/util/Exception.h>

#include <utility>

namespace lifescope {
namespace {

constexpr int64_t kProgressStep = 256;

Inhabitant Born(int64_t id, uint64_t seed) {
  Random random(seed);
  const world::Latents latents = world::DrawLatents(random);
  Inhabitant one{{id, latents.birthday, {latents.female ? "FEMALE" : "MALE"}, {}}, world::PersonTruth(latents), {}};
  for (world::ToldEvent& event : world::TellLife(latents, random)) {
    const Date date = Date::FromDayNumber(world::kFirstDate.DayNumber() + event.day);
    one.person.events.push_back({date, event.source, std::move(event.fields)});
    one.event_truth.push_back(event.truth);
  }
  return one;
}

}  // namespace

void CheckWorld(const WorldOptions& options) {
  TORCH_CHECK_VALUE(options.person_count >= 10, "person_count is ", options.person_count, ", expected at least 10");
}

void ForEachInhabitant(const WorldOptions& options, const std::string& stage, const Progress& progress,
                       const std::function<bool(int64_t id)>& is_wanted,
                       const std::function<void(const Inhabitant&)>& take) {
  Random seeds(options.seed);
  for (int64_t id = 1; id <= options.person_count; ++id) {
    const uint64_t seed = seeds.NextBits();
    if (is_wanted(id)) take(Born(id, seed));
    if (progress && (id % kProgressStep == 0 || id == options.person_count)) progress(stage, id, options.person_count);
  }
}

}  // namespace lifescope
