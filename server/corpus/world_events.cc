#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "server/corpus/world_life.h"

namespace lifescope::world {
namespace {

int32_t MonthOf(int32_t day) { return Date::FromDayNumber(kFirstDate.DayNumber() + day).month; }

bool IsWinter(int32_t day) {
  const int32_t month = MonthOf(day);
  return month <= 3 || month >= 11;
}

std::string City(const Latents& life, int32_t day, Random& random) {
  int64_t region = life.RegionOn(day), city = life.home_cities[day >= life.move_day];
  if (Chance(random, 0.12)) city = random.Below(4);
  if (Chance(random, 0.02)) region = random.Below(5);
  return std::to_string(10 * (region + 1) + city);
}

// Three digits: sector, skill, rung, each from 1.
std::string Occupation(const Latents& life, int32_t day, Random& random) {
  if (life.RetiredOn(day)) return "990";
  if (life.InShockOn(day) && Chance(random, 0.35)) return "900";  // out of work
  int64_t sector = life.SectorOn(day), skill = life.skill, rung = life.RungOn(day);
  if (Chance(random, 0.08)) rung = random.Below(3);
  if (Chance(random, 0.05)) skill = random.Below(3);
  if (Chance(random, 0.02)) sector = random.Below(6);
  return std::to_string(100 * (sector + 1) + 10 * (skill + 1) + rung + 1);
}

// Two digits: sector from 1, industry in it.
std::string Industry(const Latents& life, int32_t day, Random& random) {
  if (life.RetiredOn(day)) return "90";
  int64_t sector = life.SectorOn(day), industry = life.industries[day >= life.sector_change_day];
  if (Chance(random, 0.2)) industry = random.Below(5);
  if (Chance(random, 0.03)) sector = random.Below(6);
  return std::to_string(10 * (sector + 1) + industry);
}

// Whole units: the last bits of the arithmetic, where platforms may differ, are not seen.
std::string Income(const Latents& life, int32_t day, Random& random) {
  constexpr std::array<double, 6> kBase = {19000, 23000, 27000, 25000, 22000, 33000};
  constexpr std::array<double, 3> kSkill = {0.8, 1.0, 1.35};
  const double years = day / 365.0;
  double income = kBase[life.SectorOn(day)] * kSkill[life.skill] * (1 + 0.12 * life.RungOn(day));
  if (life.income_path == kRising) income *= 1 + 0.1 * years;
  if (life.income_path == kFalling) income *= 1 - 0.07 * years;
  if (life.InShockOn(day)) income *= 0.45;
  if (life.severe && life.IllOn(day)) income *= 0.8;
  if (life.RetiredOn(day)) income *= 0.6;
  income *= life.income_factor * (1 + 0.04 * random.Normal());
  return std::to_string(static_cast<int64_t>(std::max(income, 1.0)));
}

void Forget(std::vector<std::string>& fields, double probability, Random& random) {
  for (std::string& field : fields) {
    if (Chance(random, probability)) field.clear();
  }
}

// What the reason of an ordinary visit depends on, and where it is mostly treated.
struct Ailment {
  const char* code;
  const char* type;
  double weight;
};

Ailment DrawAilment(const Latents& life, int32_t day, Random& random) {
  const int8_t sector = life.SectorOn(day);
  const bool heavy = !life.RetiredOn(day) && (sector == kFarming || sector == kBuilding || sector == kFactory);
  const int32_t age = life.AgeAtStart();
  const std::array<Ailment, 8> ailments = {{{"A09", "Telehealth", 1},
                                            {"J06", "Telehealth", IsWinter(day) ? 3.0 : 0.5},
                                            {"M54", "Home Visit", heavy ? 2.5 : 0.8},
                                            {"L20", "Outpatient", 0.8},
                                            {"S60", "Urgent Care", heavy ? 2.0 : 0.6},
                                            {"Z00", "Outpatient", age > 50 ? 1.5 : 0.6},
                                            {"N39", "Outpatient", life.female ? 1.5 : 0.0},
                                            {"N40", "Outpatient", !life.female && age > 45 ? 2.0 : 0.0}}};
  std::vector<double> weights;
  for (const Ailment& ailment : ailments) weights.push_back(ailment.weight);
  return ailments[static_cast<size_t>(random.Weighted(weights))];
}

std::string VisitType(const char* usual, Random& random) {
  constexpr std::array<const char*, 6> kTypes = {"Telehealth",  "Home Visit", "Outpatient",
                                                 "Urgent Care", "Emergency",  "Inpatient"};
  return Chance(random, 0.1) ? kTypes[static_cast<size_t>(random.Below(6))] : usual;
}

ToldEvent Visit(const Latents& life, int32_t day, const char* code, const char* usual_type, Random& random) {
  std::vector<std::string> fields = {code, VisitType(usual_type, random)};
  const double forgotten = random.Uniform();  // never both: an event says something
  if (forgotten < 0.03) fields[0].clear();
  if (forgotten > 0.97) fields[1].clear();
  return Tell(life, day, kHealth, std::move(fields));
}

// The visits of a chronic illness: its two codes in turn.
void TellIllness(const Latents& life, Random& random, std::vector<ToldEvent>& events) {
  constexpr std::array<std::array<const char*, 2>, 3> kCodes = {{{"I20", "I50"}, {"J44", "J45"}, {"F32", "F41"}}};
  if (life.illness == kHealthy) return;
  const int32_t gap = life.severe ? 70 : 110;
  const size_t kind = static_cast<size_t>(life.illness - kCardiac);
  size_t phase = 0;
  for (int32_t day = life.onset_day; day < kDayCount; day += DayWithin(random, gap / 2, gap)) {
    if (life.illness == kRespiratory && !IsWinter(day) && Chance(random, 0.6)) continue;
    const char* type = !life.severe ? "Outpatient" : phase == 0 ? "Emergency" : "Inpatient";
    events.push_back(Visit(life, day, kCodes[kind][phase], type, random));
    events.back().truth[kChronicVisitColumn] = static_cast<int8_t>(kind);
    events.back().truth[kChronicPhaseColumn] = static_cast<int8_t>(phase);
    phase = 1 - phase;
  }
}

}  // namespace

ToldEvent Tell(const Latents& life, int32_t day, Source source, std::vector<std::string> fields) {
  ToldEvent event{day, source, std::move(fields), {}};
  event.truth.fill(-1);
  event.truth[kRetiredColumn] = life.RetiredOn(day);
  event.truth[kIllnessActiveColumn] = life.IllOn(day);
  event.truth[kFamilyStateColumn] = life.FamilyStateOn(day);
  return event;
}

std::vector<ToldEvent> TellWork(const Latents& life, Random& random) {
  std::vector<ToldEvent> events;
  int32_t day = DayWithin(random, 0, 120);
  while (day < kDayCount) {
    std::vector<std::string> fields = {Income(life, day, random), City(life, day, random),
                                       Occupation(life, day, random), Industry(life, day, random)};
    Forget(fields, 0.03, random);
    if (fields[1].empty() && fields[2].empty()) fields[3] = Industry(life, day, random);
    ToldEvent event = Tell(life, day, kLabor, std::move(fields));
    const bool retired = life.RetiredOn(day);
    event.truth[kSectorColumn] = retired ? int8_t{-1} : life.SectorOn(day);
    event.truth[kRungColumn] = retired ? int8_t{-1} : life.RungOn(day);
    event.truth[kInShockColumn] = retired ? int8_t{-1} : static_cast<int8_t>(life.InShockOn(day));
    event.truth[kRegionColumn] = life.RegionOn(day);
    events.push_back(std::move(event));
    day += retired ? DayWithin(random, 150, 200) : DayWithin(random, 50, 170);
  }
  return events;
}

std::vector<ToldEvent> TellHealth(const Latents& life, Random& random) {
  std::vector<ToldEvent> events;
  const int32_t spread = life.AgeAtStart() > 60 ? 320 : 520;
  for (int32_t day = DayWithin(random, 0, spread); day < kDayCount; day += DayWithin(random, 60, spread)) {
    const Ailment ailment = DrawAilment(life, day, random);
    events.push_back(Visit(life, day, ailment.code, ailment.type, random));
  }
  TellIllness(life, random, events);
  return events;
}

std::vector<ToldEvent> TellLife(const Latents& life, Random& random) {
  std::vector<ToldEvent> events = TellWork(life, random);
  for (const auto& tell : {TellHealth, TellFamily}) {
    std::vector<ToldEvent> more = tell(life, random);
    std::move(more.begin(), more.end(), std::back_inserter(events));
  }
  std::stable_sort(events.begin(), events.end(), [](const ToldEvent& a, const ToldEvent& b) { return a.day < b.day; });
  return events;
}

}  // namespace lifescope::world
