// One life of the synthetic world: who a person is and what happens to them. The story is told in docs/world.md.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/random.h"
#include "server/corpus/table_description.h"

namespace lifescope::world {

// The six years that the registers cover; days are counted from their beginning.
inline constexpr Date kFirstDate{2020, 1, 1};
inline constexpr int32_t kDayCount = 2192;
// A day on which something that never happens would happen.
inline constexpr int32_t kNever = 1 << 20;

enum Sector : int8_t { kFarming, kBuilding, kFactory, kTransport, kCare, kOffice };
enum IncomePath : int8_t { kFlat, kRising, kFalling, kShock };
enum Illness : int8_t { kHealthy, kCardiac, kRespiratory, kMental };
enum Family : int8_t { kSingle, kCouple, kParents, kSeparated };

// What is hidden behind a life: drawn once, before its events.
struct Latents {
  bool female = false;
  Date birthday;
  int32_t retirement_day = kNever;

  std::array<int8_t, 2> sectors{};  // before and from sector_change_day
  int32_t sector_change_day = kNever;
  std::array<int8_t, 2> industries{};  // the usual one of the sector's five, in each of the two
  int8_t skill = 0;                    // 0 basic, 1 skilled, 2 academic
  std::array<int32_t, 2> promotion_days{};

  std::array<int8_t, 2> regions{};  // before and from move_day
  int32_t move_day = kNever;
  std::array<int8_t, 2> home_cities{};

  IncomePath income_path = kFlat;
  int32_t shock_day = kNever;
  double income_factor = 1;

  Illness illness = kHealthy;
  int32_t onset_day = kNever;
  bool severe = false;

  Family family = kSingle;
  int32_t pairing_day = kNever;  // negative: before the registers begin
  int32_t separation_day = kNever;
  int8_t children_at_start = 0;
  std::vector<int32_t> birth_days;

  int32_t AgeAtStart() const { return kFirstDate.year - birthday.year; }
  bool RetiredOn(int32_t day) const { return day >= retirement_day; }
  int8_t SectorOn(int32_t day) const { return sectors[day >= sector_change_day]; }
  int8_t RegionOn(int32_t day) const { return regions[day >= move_day]; }
  int8_t RungOn(int32_t day) const {
    return static_cast<int8_t>((day >= promotion_days[0] ? 1 : 0) + (day >= promotion_days[1] ? 1 : 0));
  }
  bool InShockOn(int32_t day) const;
  bool IllOn(int32_t day) const { return day >= onset_day; }
  // 0 single, 1 partnered, 2 parent, 3 separated.
  int8_t FamilyStateOn(int32_t day) const;
};

Latents DrawLatents(Random& random);

// The columns of the event traits, in order.
enum EventTraitColumn {
  kSectorColumn,
  kRegionColumn,
  kRungColumn,
  kInShockColumn,
  kRetiredColumn,
  kIllnessActiveColumn,
  kChronicVisitColumn,
  kChronicPhaseColumn,
  kFamilyStateColumn,
  kEventTraitCount
};
using EventTruth = std::array<int8_t, kEventTraitCount>;

enum Source : int32_t { kLabor, kHealth, kFamily };

// An entry of a register together with what was true when it was made.
struct ToldEvent {
  int32_t day = 0;
  Source source = kLabor;
  std::vector<std::string> fields;
  EventTruth truth{};
};

// An event with the truth that every register knows; the other columns are -1.
ToldEvent Tell(const Latents& latents, int32_t day, Source source, std::vector<std::string> fields);

// The events of a life by day; on one day by source.
std::vector<ToldEvent> TellLife(const Latents& latents, Random& random);

// The events of each register.
std::vector<ToldEvent> TellWork(const Latents& latents, Random& random);
std::vector<ToldEvent> TellHealth(const Latents& latents, Random& random);
std::vector<ToldEvent> TellFamily(const Latents& latents, Random& random);

TableDescription Description();
std::vector<Trait> PersonTraits();
std::vector<Trait> EventTraits();
std::vector<int8_t> PersonTruth(const Latents& latents);

// True with the given probability.
inline bool Chance(Random& random, double probability) { return random.Uniform() < probability; }
// A whole number in [first, first + count).
inline int32_t DayWithin(Random& random, int32_t first, int32_t count) {
  return first + static_cast<int32_t>(random.Below(count));
}

}  // namespace lifescope::world
