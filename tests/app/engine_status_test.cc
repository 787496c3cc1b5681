#include "server/app/engine_status.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "server/intervention/engine.h"

namespace lifescope {
namespace {

struct Case {
  const char* name;
  std::function<void()> body;
  absl::StatusCode code;
  const char* message;
};

class EngineStatusTest : public testing::TestWithParam<Case> {};

TEST_P(EngineStatusTest, EveryExceptionHasItsCode) {
  const absl::Status status = CatchEngineErrors([] {
    GetParam().body();
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_NE(status.message().find(GetParam().message), absl::string_view::npos) << status;
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << "one line is sent";
}

INSTANTIATE_TEST_SUITE_P(
    Conversions, EngineStatusTest,
    testing::Values(
        Case{"Value", [] { TORCH_CHECK_VALUE(false, "n_slots: 9, expected 8"); }, absl::StatusCode::kInvalidArgument,
             "n_slots: 9, expected 8"},
        Case{"Index", [] { TORCH_CHECK_INDEX(false, "feature: 9"); }, absl::StatusCode::kOutOfRange, "feature: 9"},
        Case{"Cancelled", [] { throw Cancelled(); }, absl::StatusCode::kCancelled, "gave up"},
        Case{"DeviceMemory", [] { TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory"); },
             absl::StatusCode::kResourceExhausted, "memory"},
        Case{"CpuAllocator", [] { TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: 9 bytes"); },
             absl::StatusCode::kResourceExhausted, "memory"},
        Case{"BadAlloc", [] { throw std::bad_alloc(); }, absl::StatusCode::kResourceExhausted, "memory"},
        Case{"OutOfRange", [] { throw std::out_of_range("no model 'x'"); }, absl::StatusCode::kNotFound,
             "no model 'x'"},
        Case{"Bug", [] { TORCH_CHECK(false, "shapes differ\nsecond line"); }, absl::StatusCode::kInternal,
             "shapes differ"},
        Case{"Standard", [] { throw std::runtime_error("broken\nmore"); }, absl::StatusCode::kInternal, "broken"},
        Case{"Unknown", [] { throw 7; }, absl::StatusCode::kInternal, "unknown failure"}),
    [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

TEST(EngineStatus, AStatusPassesThrough) {
  EXPECT_TRUE(CatchEngineErrors([] { return absl::OkStatus(); }).ok());
  EXPECT_EQ(CatchEngineErrors([] { return absl::AbortedError("race"); }), absl::AbortedError("race"));
}

}  // namespace
}  // namespace lifescope
