// The people of a synthetic world, one after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/corpus/raw_life.h"
#include "server/corpus/world.h"
#include "server/corpus/world_life.h"

namespace lifescope {

// A life as the registers tell it, and what is true of the person and of each event in order.
struct Inhabitant {
  RawPerson person;
  std::vector<int8_t> truth;
  std::vector<world::EventTruth> event_truth;
};

// Throws c10::ValueError on a person_count below 10.
void CheckWorld(const WorldOptions& options);

// Calls `take` with everybody whose id `is_wanted`, in order of ids, which are 1, 2, ... Each person has a generator of
// their own: the others need not be born, and the first thousand people of a world are the same in a larger one.
void ForEachInhabitant(const WorldOptions& options, const std::string& stage, const Progress& progress,
                       const std::function<bool(int64_t id)>& is_wanted,
                       const std::function<void(const Inhabitant&)>& take);

}  // namespace lifescope
