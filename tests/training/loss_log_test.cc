#include "server/training/loss_log.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "server/artifact/artifact.h"
#include "tests/support/golden.h"

namespace lifescope {
namespace {

LossLine Line(int64_t step) {
  LossLine line{step, 1e-3, 3, 2.5, 1, {}};
  if (step % 2 == 0) line.validation_mlm_loss = 2.25;
  return line;
}

TEST(LossLog, EveryLineIsThereWithoutClosing) {
  const std::string path = TemporaryFolder() + "/loss.csv";
  LossLog log(path, 0);
  log.Append(Line(1));
  log.Append(Line(2));
  EXPECT_EQ(ReadFile(path),
            "step,lr,loss_total,loss_mlm,loss_sop,val_mlm\n1,0.001,3.000000,2.500000,1.000000,\n"
            "2,0.001,3.000000,2.500000,1.000000,2.250000\n");
  const std::vector<LossLine> lines = ReadLossLog(path);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].step, 2);
  EXPECT_EQ(lines[1].mlm_loss, 2.5);
  EXPECT_FALSE(lines[0].validation_mlm_loss.has_value());
  EXPECT_EQ(lines[1].validation_mlm_loss, 2.25);
}

TEST(LossLog, GoesOnAfterAStepAndCutsWhatCameAfter) {
  const std::string path = TemporaryFolder() + "/loss.csv";
  {
    LossLog log(path, 0);
    for (int64_t step = 1; step <= 5; ++step) log.Append(Line(step));
  }
  const std::string whole = ReadFile(path);
  WriteFileAtomically(path, whole + "6,0.00");  // killed while it was writing
  for (const int64_t step : {5, 3, 0}) {
    LossLog log(path, step);
    for (int64_t i = step + 1; i <= 5; ++i) log.Append(Line(i));
    EXPECT_EQ(ReadFile(path), whole) << step;
  }
}

TEST(LossLog, MissingLineIsRefused) {
  const std::string path = TemporaryFolder() + "/loss.csv";
  { LossLog(path, 0).Append(Line(1)); }
  EXPECT_THROW(LossLog(path, 2), c10::ValueError);
  EXPECT_THROW(LossLog(path + "-not-there", 1), c10::ValueError);
  WriteFileAtomically(path, "step,lr\n");
  EXPECT_THROW(ReadLossLog(path), c10::ValueError);
}

}  // namespace
}  // namespace lifescope
