#include <algorithm>

#include "server/corpus/world_life.h"

namespace lifescope::world {
namespace {

constexpr int32_t kYears = 6;
constexpr int32_t kOldestCohortWithGrandchildren = 1968;

// Collects the family register's entries of one person.
class FamilyTeller {
 public:
  FamilyTeller(const Latents& life, Random& random) : life_(life), random_(random) {}

  std::vector<ToldEvent> TellAll() {
    TellMoves();
    TellPairing();
    TellChildren();
    TellSeparation();
    TellCensus();
    return std::move(events_);
  }

 private:
  void Add(int32_t day, const char* what) {
    if (day < 0 || day >= kDayCount) return;
    events_.push_back(world::Tell(life_, day, kFamily, {what, std::to_string(HouseholdOn(day))}));
  }

  int64_t HouseholdOn(int32_t day) const {
    const int8_t state = life_.FamilyStateOn(day);
    if (state == 0 || state == 3) return 1;
    int64_t size = 2 + life_.children_at_start;
    for (const int32_t birth : life_.birth_days) size += day >= birth ? 1 : 0;
    for (const int32_t leaving : leaving_days_) size -= day >= leaving ? 1 : 0;
    return std::min<int64_t>(size, 5);
  }

  void TellMoves() {
    Add(life_.move_day, "MOVE");
    if (life_.family == kSingle && Chance(random_, 0.3)) Add(DayWithin(random_, 0, kDayCount), "MOVE");
  }

  void TellPairing() {
    if (life_.pairing_day < 0 || life_.pairing_day >= kDayCount) return;
    Add(life_.pairing_day, "COHABIT");
    if (Chance(random_, 0.7)) Add(life_.pairing_day + DayWithin(random_, 200, 300), "MARRIAGE");
  }

  void TellChildren() {
    if (life_.family != kParents) return;
    if (life_.birthday.year < kOldestCohortWithGrandchildren) {
      TellGrownChildren();
    } else if (life_.children_at_start > 0) {
      const int32_t august = 366 * static_cast<int32_t>(random_.Below(kYears)) + 213;
      Add(DayWithin(random_, august, 25), "SCHOOL");
    }
    for (const int32_t birth : life_.birth_days) {
      Add(birth, "BIRTH");
      Add(DayWithin(random_, birth + 15, 45), "LEAVE");
      Add(DayWithin(random_, birth + 320, 90), "CHILDCARE");
    }
  }

  void TellGrownChildren() {
    for (int8_t i = 0; i < life_.children_at_start; ++i) leaving_days_.push_back(DayWithin(random_, 0, kDayCount));
    std::sort(leaving_days_.begin(), leaving_days_.end());
    for (const int32_t day : leaving_days_) {
      Add(day, "CHILD_LEAVES");
      if (Chance(random_, 0.6)) Add(day + DayWithin(random_, 300, 500), "GRANDCHILD");
    }
  }

  void TellSeparation() {
    if (life_.family != kSeparated) return;
    Add(life_.separation_day, "SEPARATION");
    if (Chance(random_, 0.6)) Add(life_.separation_day + DayWithin(random_, 20, 100), "MOVE");
    for (int32_t day = life_.separation_day + 180; day < kDayCount; day += DayWithin(random_, 270, 120)) {
      Add(day, "ALIMONY");
    }
  }

  // Once a year, in January.
  void TellCensus() {
    for (int32_t year = 0; year < kYears; ++year) {
      const Date january{kFirstDate.year + year, 1, 1};
      const int32_t first = static_cast<int32_t>(january.DayNumber() - kFirstDate.DayNumber());
      Add(DayWithin(random_, first + 4, 24), "CENSUS");
    }
  }

  const Latents& life_;
  Random& random_;
  std::vector<int32_t> leaving_days_;
  std::vector<ToldEvent> events_;
};

}  // namespace

std::vector<ToldEvent> TellFamily(const Latents& latents, Random& random) {
  return FamilyTeller(latents, random).TellAll();
}

}  // namespace lifescope::world
