// Four hand-made lives with diagnoses and incomes, for tests of labels.
#pragma once

#include <memory>
#include <string>

#include "server/corpus/corpus.h"

namespace lifescope {

// Reference date 2020-01-01, so that abspos 1 is that day. Events by number, as tokens [@day/age]:
//   person 10  FEMALE YEAR_1980   1: DIAG_A TYPE_In [10/40]   2: INCOME_3 OCC_1 [400/41]   3: DIAG_B TYPE_Out [400/41]
//   person 20  MALE YEAR_1990     1: INCOME_1 [50/30]         2: INCOME_5 [800/32]
//   person 30  MALE YEAR_1980
//   person 40  FEMALE YEAR_1990   1: DIAG_B TYPE_In [-100/29]
// Traits: person.team (red, blue), none of person 30; event.mood (low, high), none of person 10's first event.
// Gives the folder of the corpus.
std::string WriteSmallRegister(const std::string& origin = "a test");

}  // namespace lifescope
