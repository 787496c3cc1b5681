#include "server/corpus/external_sort.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <utility>

namespace lifescope {
namespace {

// Runs that are merged at once: each has a buffer and a file descriptor.
constexpr size_t kFanIn = 128;
constexpr int64_t kSmallestMemory = 1 << 12;

}  // namespace

SortedRecords::SortedRecords(const std::string& folder, const std::vector<SortedRun>& runs, int64_t memory_bytes) {
  const auto share = static_cast<size_t>(memory_bytes) / std::max<size_t>(runs.size(), 1);
  for (const SortedRun& run : runs) {
    runs_.push_back(
        std::make_unique<RecordReader>(folder + "/" + run.name, std::clamp<size_t>(share, 1 << 12, 1 << 22)));
    Advance(runs_.back().get());
  }
}

void SortedRecords::Advance(RecordReader* run) {
  std::string_view record;
  if (!run->Next(&record)) return;
  heads_.push_back({record, run});
  std::push_heap(heads_.begin(), heads_.end());
}

bool SortedRecords::Next(std::string_view* record) {
  if (last_ != nullptr) Advance(std::exchange(last_, nullptr));
  if (heads_.empty()) return false;
  std::pop_heap(heads_.begin(), heads_.end());
  *record = heads_.back().record;
  last_ = heads_.back().run;
  heads_.pop_back();
  return true;
}

RecordSorter::RecordSorter(std::string folder, int64_t memory_bytes, std::vector<SortedRun> runs)
    : folder_(std::move(folder)), memory_bytes_(memory_bytes), runs_(std::move(runs)) {
  TORCH_CHECK_VALUE(memory_bytes >= kSmallestMemory, "memory for sorting is ", memory_bytes,
                    " bytes, expected at least ", kSmallestMemory);
  for (const SortedRun& run : runs_) {
    next_number_ = std::max(next_number_, std::int64_t{std::stoll(run.name.substr(run.name.find('-') + 1))} + 1);
  }
}

bool RecordSorter::Add(std::string_view record) {
  std::string start(record.substr(0, 8));
  start.resize(8, '\0');
  entries_.push_back({RecordParser(start).Number(8), bytes_.size(), record.size()});
  bytes_ += record;
  // Vectors grow by doubling: half of what is allowed may be reserved and empty.
  const size_t used = bytes_.size() + entries_.size() * sizeof(Entry);
  if (static_cast<int64_t>(2 * used) < memory_bytes_) return false;
  WriteRun();
  return true;
}

std::string RecordSorter::NextName() {
  char name[32];
  std::snprintf(name, sizeof(name), "run-%06lld", static_cast<long long>(next_number_++));
  return name;
}

void RecordSorter::WriteRun() {
  std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
    return a.first_bytes != b.first_bytes ? a.first_bytes < b.first_bytes : At(a) < At(b);
  });
  std::filesystem::create_directories(folder_);
  const std::string name = NextName();
  RecordWriter writer(folder_ + "/" + name);
  for (const Entry& entry : entries_) writer.Add(At(entry));
  runs_.push_back({name, writer.Finish()});
  entries_.clear();
  bytes_.clear();
}

std::vector<SortedRun> RecordSorter::Finish() {
  if (!entries_.empty()) WriteRun();
  entries_ = {};
  bytes_ = {};
  while (runs_.size() > kFanIn) {
    const std::vector<SortedRun> some(runs_.begin(), runs_.begin() + kFanIn);
    const std::string name = NextName();
    RecordWriter writer(folder_ + "/" + name);
    SortedRecords merged(folder_, some, memory_bytes_);
    std::string_view record;
    while (merged.Next(&record)) writer.Add(record);
    runs_.erase(runs_.begin(), runs_.begin() + kFanIn);
    runs_.push_back({name, writer.Finish()});
  }
  return runs_;
}

}  // namespace lifescope
