#include "server/dictionary/training/rate_schedule.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

namespace lifescope {
namespace {

TEST(RateSchedule, RisesLinearlyFromZeroThenFallsToZero) {
  RateSchedule schedule;
  schedule.peak = 2;
  schedule.warmup_steps = 4;
  schedule.decay_start = 6;
  schedule.total_steps = 10;
  EXPECT_DOUBLE_EQ(RateAt(schedule, 0), 0);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 1), 0.5);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 4), 2);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 6), 2);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 8), 1);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 12), 0);
}

TEST(RateSchedule, RisesAlongACosineFromAShareOfThePeak) {
  RateSchedule schedule;
  schedule.peak = 7e-5;
  schedule.warmup_steps = 1000;
  schedule.warmup_from = 0.1;
  schedule.warmup = RateSchedule::Warmup::kCosine;
  EXPECT_DOUBLE_EQ(RateAt(schedule, 0), 7e-6);
  // (1 - cos 45 degrees) / 2 of the way.
  EXPECT_NEAR(RateAt(schedule, 250), 7e-5 * (0.1 + 0.9 * 0.1464466094067262), 1e-18);
  EXPECT_NEAR(RateAt(schedule, 500), 7e-5 * 0.55, 1e-18);
  EXPECT_DOUBLE_EQ(RateAt(schedule, 1000), 7e-5);
}

TEST(RateSchedule, NamesTheFieldThatIsOutOfRange) {
  RateSchedule schedule;
  schedule.warmup_from = 1.5;
  EXPECT_THROW(CheckSchedule(schedule), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
