#include "server/artifact/file_lock.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "tests/support/golden.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

std::string ErrorOf(const std::string& path) {
  try {
    const FileLock lock(path, "somebody is at work");
  } catch (const c10::ValueError& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

TEST(FileLock, IsHeldUntilItsObjectGoesAndLeavesNoFile) {
  const std::string path = TemporaryFolder() + "/lock";
  auto lock = std::make_unique<FileLock>(path, "");
  EXPECT_THAT(ErrorOf(path), HasSubstr("somebody is at work"));
  lock.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(ErrorOf(path), "no error");
}

TEST(FileLock, OfAKilledProcessIsFree) {
  const std::string path = TemporaryFolder() + "/lock";
  const pid_t child = fork();
  if (child == 0) {
    new FileLock(path, "");
    kill(getpid(), SIGKILL);
  }
  ASSERT_GT(child, 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_EQ(ErrorOf(path), "no error");
}

TEST(FileLock, DoesNotRemoveTheFileOfItsSuccessor) {
  const std::string path = TemporaryFolder() + "/lock";
  auto first = std::make_unique<FileLock>(path, "");
  std::filesystem::remove(path);
  const FileLock second(path, "");
  first.reset();
  EXPECT_THAT(ErrorOf(path), HasSubstr("somebody is at work"));
}

TEST(FileLock, NamesAPathThatCannotBeLocked) {
  EXPECT_THAT(ErrorOf(TemporaryFolder() + "/nowhere/lock"), HasSubstr("/nowhere/lock: cannot be locked: No such file"));
}

}  // namespace
}  // namespace lifescope
