#include "tests/intervention/refused_run.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/intervention/small_run.h"

namespace lifescope {

using ::testing::StartsWith;

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

Run ValidRun() {
  lifescope::Run run = SmallRun();
  AddIntervention(&run, {MakeEdit(NeuronTarget{1, {4, 5}}, Zero{})});
  AddRead(&run, LogProbabilityRead{12});
  return run;
}

Edit& FirstEdit(Run& run) { return run.interventions[0].edits[0]; }

void ExpectRefused(const Fault& fault) {
  lifescope::Run run = ValidRun();
  ASSERT_NO_THROW(ValidateRun(run, SmallModel()));
  fault.spoil(run);
  try {
    Execute(run, SmallModel());
    FAIL() << "was not refused";
  } catch (const c10::IndexError& error) {
    EXPECT_EQ(fault.kind, Kind::kIndex) << error.what_without_backtrace();
    EXPECT_THAT(error.what_without_backtrace(), StartsWith(fault.message));
  } catch (const c10::ValueError& error) {
    EXPECT_EQ(fault.kind, Kind::kValue) << error.what_without_backtrace();
    EXPECT_THAT(error.what_without_backtrace(), StartsWith(fault.message));
  }
}

}  // namespace lifescope
