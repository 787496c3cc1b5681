// Conformance: runs.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/storage/sample_records.h"
#include "tests/storage/store_conformance.h"

namespace lifescope {
namespace {

using testing::HasSubstr;

std::vector<RunSummaryRecord> AllRuns(Store& store, int32_t kind, int32_t page_size) {
  return Collect<RunSummaryRecord>(page_size,
                                   [&](const PageRequest& request) { return store.ListRuns(kind, request); });
}

TEST_P(StoreConformanceTest, CreatedRunIsReturnedWhole) {
  const RunRecord run = SampleRun(1);
  ASSERT_EQ(store_->CreateRun(run), absl::OkStatus());
  const absl::StatusOr<RunRecord> by_id = store_->GetRun(run.run_id);
  ASSERT_EQ(by_id.status(), absl::OkStatus());
  EXPECT_EQ(*by_id, run);
  const absl::StatusOr<RunRecord> by_request = store_->FindRunByRequest(run.principal, run.request_id);
  ASSERT_EQ(by_request.status(), absl::OkStatus());
  EXPECT_EQ(*by_request, run);
}

TEST_P(StoreConformanceTest, EmptyBlobsStayEmpty) {
  RunRecord run = SampleRun(1);
  run.request = run.result = run.provenance = run.model = run.request_sha256 = "";
  ASSERT_EQ(store_->CreateRun(run), absl::OkStatus());
  const absl::StatusOr<RunRecord> stored = store_->GetRun(run.run_id);
  ASSERT_EQ(stored.status(), absl::OkStatus());
  EXPECT_EQ(*stored, run);
}

TEST_P(StoreConformanceTest, LargeResultIsReturnedWhole) {
  RunRecord run = SampleRun(1);
  run.result.clear();
  for (uint32_t i = 0; i < (8u << 20); ++i) run.result += static_cast<char>((i * 2654435761u) >> 24);
  ASSERT_EQ(store_->CreateRun(run), absl::OkStatus());
  const absl::StatusOr<RunRecord> stored = store_->GetRun(run.run_id);
  ASSERT_EQ(stored.status(), absl::OkStatus());
  EXPECT_TRUE(*stored == run);
}

TEST_P(StoreConformanceTest, SecondCreateIsAlreadyExists) {
  const RunRecord run = SampleRun(1);
  ASSERT_EQ(store_->CreateRun(run), absl::OkStatus());
  RunRecord second = SampleRun(2);
  second.run_id = run.run_id;
  EXPECT_EQ(store_->CreateRun(second).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*store_->GetRun(run.run_id), run) << "the first stays as it was";
  EXPECT_EQ(store_->FindRunByRequest(second.principal, second.request_id).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreConformanceTest, SecondRunOfARequestIdIsAlreadyExists) {
  ASSERT_EQ(store_->CreateRun(SampleRun(1)), absl::OkStatus());
  RunRecord second = SampleRun(2);
  second.request_id = SampleRun(1).request_id;
  const absl::Status status = store_->CreateRun(second);
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr(second.request_id));
  EXPECT_EQ(store_->GetRun(second.run_id).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreConformanceTest, PrincipalsDoNotShareRequestIds) {
  ASSERT_EQ(store_->CreateRun(SampleRun(1)), absl::OkStatus());
  RunRecord other = SampleRun(2);
  other.principal = "grace";
  other.request_id = SampleRun(1).request_id;
  ASSERT_EQ(store_->CreateRun(other), absl::OkStatus());
  EXPECT_EQ(store_->FindRunByRequest("ada", other.request_id)->run_id, SampleRun(1).run_id);
  EXPECT_EQ(store_->FindRunByRequest("grace", other.request_id)->run_id, other.run_id);
}

TEST_P(StoreConformanceTest, GetOfMissingRunIsNotFound) {
  const absl::Status status = store_->GetRun("no-such-run").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no-such-run"));
  EXPECT_EQ(store_->FindRunByRequest("ada", "no-such-request").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreConformanceTest, MalformedRunIsInvalidArgument) {
  const std::vector<std::pair<const char*, std::function<void(RunRecord&)>>> cases = {
      {"run_id", [](RunRecord& run) { run.run_id.clear(); }},
      {"run_id", [](RunRecord& run) { run.run_id = std::string("a\0b", 3); }},
      {"principal", [](RunRecord& run) { run.principal.clear(); }},
      {"principal", [](RunRecord& run) { run.principal = "\xff"; }},
      {"request_id", [](RunRecord& run) { run.request_id.clear(); }},
      {"request_id", [](RunRecord& run) { run.request_id.assign(kMaxNameBytes + 1, 'x'); }},
      {"request_id", [](RunRecord& run) { run.request_id = "\xed\xa0\x80"; }},  // a surrogate
      {"request_id", [](RunRecord& run) { run.request_id = "\xc0\xaf"; }},      // an overlong "/"
      {"model", [](RunRecord& run) { run.model = "\xf0\x9f\xa7"; }},            // cut short
      {"kind", [](RunRecord& run) { run.kind = 0; }},
  };
  for (const auto& [field, spoil] : cases) {
    RunRecord run = SampleRun(1);
    spoil(run);
    const absl::Status status = store_->CreateRun(run);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(std::string(status.message()), HasSubstr(field));
  }
  EXPECT_TRUE(AllRuns(*store_, 0, 10).empty());
}

TEST_P(StoreConformanceTest, LongestNamesAreKept) {
  RunRecord run = SampleRun(1);
  run.run_id.assign(kMaxNameBytes, 'r');
  run.principal.assign(kMaxNameBytes, 'p');
  run.request_id.assign(kMaxNameBytes, 'q');
  ASSERT_EQ(store_->CreateRun(run), absl::OkStatus());
  EXPECT_EQ(*store_->FindRunByRequest(run.principal, run.request_id), run);
}

TEST_P(StoreConformanceTest, QuotesInNamesAreJustText) {
  RunRecord run = SampleRun(1);
  run.request_id = R"('; DROP TABLE run; -- "$1" ?1 \x41 %s)";
  ASSERT_EQ(store_->CreateRun(run), absl::OkStatus());
  EXPECT_EQ(*store_->FindRunByRequest(run.principal, run.request_id), run);
}

TEST_P(StoreConformanceTest, RunsAreListedNewestFirst) {
  std::vector<RunSummaryRecord> expected;
  for (int i = 0; i < 7; ++i) {
    ASSERT_EQ(store_->CreateRun(SampleRun(i)), absl::OkStatus());
    expected.insert(expected.begin(), SummaryOf(SampleRun(i)));
  }
  for (const int32_t page_size : {1, 2, 3, 6, 7, 8, kMaxPageSize}) {
    EXPECT_EQ(AllRuns(*store_, 0, page_size), expected) << "page size " << page_size;
  }
  std::erase_if(expected, [](const RunSummaryRecord& run) { return run.kind != 2; });
  EXPECT_EQ(expected.size(), 2u);
  EXPECT_EQ(AllRuns(*store_, 2, 1), expected);
  EXPECT_TRUE(AllRuns(*store_, 9, 1).empty());
}

TEST_P(StoreConformanceTest, NewRunsDoNotDisturbPagesUnderWay) {
  for (int i = 0; i < 4; ++i) ASSERT_EQ(store_->CreateRun(SampleRun(i)), absl::OkStatus());
  const absl::StatusOr<Page<RunSummaryRecord>> first = store_->ListRuns(0, {2, ""});
  ASSERT_EQ(first.status(), absl::OkStatus());
  ASSERT_EQ(store_->CreateRun(SampleRun(4)), absl::OkStatus());
  const absl::StatusOr<Page<RunSummaryRecord>> second = store_->ListRuns(0, {2, first->next_page_token});
  ASSERT_EQ(second.status(), absl::OkStatus());
  ASSERT_EQ(second->items.size(), 2u);
  EXPECT_EQ(second->items[0].run_id, SampleRun(1).run_id);
  EXPECT_EQ(second->items[1].run_id, SampleRun(0).run_id);
}

TEST_P(StoreConformanceTest, BadPageIsInvalidArgument) {
  for (int i = 0; i < 3; ++i) ASSERT_EQ(store_->CreateRun(SampleRun(i)), absl::OkStatus());
  const std::string token_of_all = store_->ListRuns(0, {1, ""})->next_page_token;
  ASSERT_FALSE(token_of_all.empty());
  const std::vector<PageRequest> bad = {{0, ""},        {-1, ""},        {kMaxPageSize + 1, ""},
                                        {1, "garbage"}, {1, "\x01\xff"}, {1, token_of_all + "AAAA"},
                                        {1, "MTo"}};
  for (const PageRequest& request : bad) {
    const absl::Status status = store_->ListRuns(0, request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << request.page_size << " " << request.page_token;
    EXPECT_THAT(std::string(status.message()), HasSubstr("page_")) << "names the field";
  }
  const absl::Status other_list = store_->ListRuns(1, {1, token_of_all}).status();
  EXPECT_EQ(other_list.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->ListAudit({1, token_of_all}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->ListRuns(-1, {1, ""}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(StoreConformanceTest, ConcurrentCreatesOfOneRequestIdGiveOneRun) {
  constexpr int kThreads = 8;
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> created = 0;
    std::atomic<int> refused = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        RunRecord run = SampleRun(round * kThreads + i);
        run.request_id = absl::StrCat("shared-", round);
        const absl::Status status = store_->CreateRun(run);
        if (status.ok()) ++created;
        if (absl::IsAlreadyExists(status)) ++refused;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(created, 1);
    EXPECT_EQ(refused, kThreads - 1);
    EXPECT_EQ(store_->FindRunByRequest("ada", absl::StrCat("shared-", round)).status(), absl::OkStatus());
  }
  EXPECT_EQ(AllRuns(*store_, 0, 100).size(), 5u);
}

TEST_P(StoreConformanceTest, ConcurrentCreatesAndReadsAllSucceed) {
  constexpr int kThreads = 6;
  constexpr int kRuns = 10;
  const std::unique_ptr<Store> other = Open();
  ASSERT_NE(other, nullptr);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      Store& store = thread % 2 == 0 ? *store_ : *other;
      for (int i = 0; i < kRuns; ++i) {
        const RunRecord run = SampleRun(thread * kRuns + i);
        EXPECT_EQ(store.CreateRun(run), absl::OkStatus());
        const absl::StatusOr<RunRecord> stored = store.GetRun(run.run_id);
        EXPECT_EQ(stored.status(), absl::OkStatus());
        EXPECT_EQ(store.ListRuns(0, {5, ""}).status(), absl::OkStatus());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(AllRuns(*store_, 0, 7).size(), static_cast<size_t>(kThreads * kRuns));
}

}  // namespace
}  // namespace lifescope
