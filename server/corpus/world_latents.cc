#include <algorithm>

#include "server/corpus/world_life.h"

namespace lifescope::world {
namespace {

constexpr int32_t kShockDays = 500;
constexpr int32_t kFirstBirthYear = 1946, kBirthYears = 51;
constexpr int32_t kRetirementAge = 67;

int8_t Draw(Random& random, const std::vector<double>& weights) {
  return static_cast<int8_t>(random.Weighted(weights));
}

int32_t DayOf(const Date& date) { return static_cast<int32_t>(date.DayNumber() - kFirstDate.DayNumber()); }

void DrawBirth(Random& random, Latents& life) {
  life.female = Chance(random, 0.5);
  const int32_t year = DayWithin(random, kFirstBirthYear, kBirthYears);
  life.birthday = Date::FromDayNumber(Date{year, 1, 1}.DayNumber() + random.Below(365));
  life.retirement_day = DayOf({year + kRetirementAge, life.birthday.month, 1});
}

int8_t DrawSector(Random& random, bool female) {
  return female ? Draw(random, {.10, .05, .15, .10, .36, .24}) : Draw(random, {.15, .23, .20, .18, .07, .17});
}

void DrawWork(Random& random, Latents& life) {
  static const std::vector<double> kSkillWeights[] = {{.50, .40, .10}, {.40, .50, .10}, {.45, .40, .15},
                                                      {.50, .40, .10}, {.20, .50, .30}, {.08, .37, .55}};
  life.sectors[0] = life.sectors[1] = DrawSector(random, life.female);
  if (Chance(random, 0.12)) {
    life.sectors[1] = DrawSector(random, life.female);
    if (life.sectors[1] != life.sectors[0]) life.sector_change_day = DayWithin(random, 500, 1200);
  }
  for (int8_t& industry : life.industries) industry = static_cast<int8_t>(random.Below(5));
  std::vector<double> skill = kSkillWeights[life.sectors[0]];
  if (life.birthday.year >= 1975) skill[2] *= 1.5;
  life.skill = Draw(random, skill);
  // The older have climbed before the registers begin.
  const int32_t head_start = 40 * (life.AgeAtStart() - 23);
  life.promotion_days[0] = DayWithin(random, 600, 1600) - head_start;
  life.promotion_days[1] = life.promotion_days[0] + DayWithin(random, 900, 1200);
  life.income_factor = std::clamp(1 + 0.1 * random.Normal(), 0.7, 1.4);
  // A change of wages needs years of work to be seen.
  if (life.retirement_day > 1500) life.income_path = static_cast<IncomePath>(Draw(random, {.40, .20, .20, .20}));
  if (life.income_path == kShock) life.shock_day = DayWithin(random, 250, 800);
}

void DrawPlace(Random& random, Latents& life) {
  const int8_t sector = life.sectors[0];
  std::vector<double> weights(5, 1.0);
  if (sector == kFarming) weights[0] = weights[1] = 2;
  if (sector == kTransport) weights[2] = 2;
  if (sector == kOffice) weights[4] = 3;
  life.regions[0] = life.regions[1] = Draw(random, weights);
  if (Chance(random, 0.15)) {
    life.regions[1] = static_cast<int8_t>((life.regions[0] + 1 + random.Below(4)) % 5);
    life.move_day = DayWithin(random, 400, 1400);
  }
  for (int8_t& city : life.home_cities) city = static_cast<int8_t>(random.Below(4));
}

void DrawIllness(Random& random, Latents& life) {
  const int32_t age = life.AgeAtStart();
  const bool dusty = life.sectors[0] == kBuilding || life.sectors[0] == kFactory;
  const double cardiac = 0.16 * (age > 50 ? 1.7 : 0.5);
  const double respiratory = 0.16 * (dusty ? 1.7 : 0.7);
  const double mental = 0.16 * (age < 45 ? 1.4 : 0.7) * (life.income_path == kShock ? 1.7 : 1);
  life.illness = static_cast<Illness>(Draw(random, {0.5, cardiac, respiratory, mental}));
  if (life.illness == kHealthy) return;
  life.onset_day = DayWithin(random, 100, 1200);
  life.severe = Chance(random, 0.4);
}

void DrawChildren(Random& random, Latents& life) {
  const int32_t year = life.birthday.year;
  if (year < 1977) {  // grown or growing up
    life.children_at_start = static_cast<int8_t>(1 + random.Below(3));
    return;
  }
  life.children_at_start = static_cast<int8_t>(random.Below(2));
  const int64_t births = 1 + random.Below(year >= 1984 ? 3 : 2);
  int32_t day = DayWithin(random, 150, 500);
  for (int64_t i = 0; i < births && day < kDayCount; ++i) {
    life.birth_days.push_back(day);
    day += DayWithin(random, 500, 400);
  }
}

void DrawFamily(Random& random, Latents& life) {
  const int32_t year = life.birthday.year;
  std::vector<double> weights = {.30, .30, .30, .10};
  if (year >= 1984) weights = {.35, .25, .28, .12};
  if (life.income_path == kShock) weights[kSeparated] *= 2;
  life.family = static_cast<Family>(Draw(random, weights));
  if (life.family == kSingle) return;
  life.pairing_day = -1;
  if (life.family == kCouple && year >= 1970 && Chance(random, 0.6)) life.pairing_day = DayWithin(random, 100, 1200);
  if (life.family == kParents) DrawChildren(random, life);
  if (life.family == kSeparated) {
    const bool after_shock = life.income_path == kShock;
    life.separation_day = after_shock ? life.shock_day + DayWithin(random, 30, 200) : DayWithin(random, 200, 1200);
  }
}

}  // namespace

bool Latents::InShockOn(int32_t day) const { return day >= shock_day && day < shock_day + kShockDays; }

int8_t Latents::FamilyStateOn(int32_t day) const {
  if (day >= separation_day) return 3;
  if (children_at_start > 0 || (!birth_days.empty() && day >= birth_days[0])) return 2;
  return day >= pairing_day ? 1 : 0;
}

Latents DrawLatents(Random& random) {
  Latents life;
  DrawBirth(random, life);
  DrawWork(random, life);
  DrawPlace(random, life);
  DrawIllness(random, life);
  DrawFamily(random, life);
  return life;
}

std::vector<Trait> PersonTraits() {
  return {{"sector", {"farming", "building", "factory", "transport", "care", "office"}},
          {"skill", {"basic", "skilled", "academic"}},
          {"region", {"north", "west", "coast", "south", "capital"}},
          {"income_path", {"flat", "rising", "falling", "shock"}},
          {"illness", {"none", "cardiac", "respiratory", "mental"}},
          {"family", {"single", "couple", "parents", "separated"}}};
}

// In the order of EventTraitColumn.
std::vector<Trait> EventTraits() {
  const std::vector<Trait> person = PersonTraits();
  return {{"sector", person[0].values},
          {"region", person[2].values},
          {"rung", {"first", "second", "third"}},
          {"in_shock", {"no", "yes"}},
          {"retired", {"no", "yes"}},
          {"illness_active", {"no", "yes"}},
          {"chronic_visit", {"cardiac", "respiratory", "mental"}},
          {"chronic_phase", {"first", "second"}},
          {"family_state", {"single", "partnered", "parent", "separated"}}};
}

std::vector<int8_t> PersonTruth(const Latents& life) {
  return {life.sectors[0],
          life.skill,
          life.regions[0],
          static_cast<int8_t>(life.income_path),
          static_cast<int8_t>(life.illness),
          static_cast<int8_t>(life.family)};
}

}  // namespace lifescope::world
