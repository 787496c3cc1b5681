#include "client/cli/positions.h"

#include <limits>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/number_list.h"

namespace lifescope {
namespace {

constexpr char kEventPrefix[] = "event:";

absl::Status AddPart(const std::string& option, const std::string& part, v1::Positions& positions) {
  if (part == "cls") {
    positions.set_cls(true);
    return absl::OkStatus();
  }
  if (absl::StartsWith(part, kEventPrefix)) {
    const auto events = ParseIndices(option, part.substr(sizeof(kEventPrefix) - 1));
    if (!events.ok()) return events.status();
    positions.mutable_events()->Add(events->begin(), events->end());
    return absl::OkStatus();
  }
  const auto ranges = ParseRanges(option, part);
  if (!ranges.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(option, ": '", part, "' is not ", kPositionsHelp));
  }
  for (const NumberRange& range : *ranges) {
    if (range.last >= std::numeric_limits<int32_t>::max()) {
      return absl::InvalidArgumentError(absl::StrCat(option, ": ", range.last, " is no position of a document"));
    }
    if (range.first == range.last) {
      positions.add_indices(static_cast<int32_t>(range.first));
      continue;
    }
    v1::PositionRange* added = positions.add_ranges();
    added->set_begin(static_cast<int32_t>(range.first));
    added->set_end(static_cast<int32_t>(range.last + 1));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::Positions> ParsePositions(const std::string& option, const std::string& text) {
  v1::Positions positions;
  if (text == "all") return positions;
  const std::vector<std::string> parts = absl::StrSplit(text, ',');
  for (const std::string& part : parts) {
    const absl::Status status = AddPart(option, part, positions);
    if (!status.ok()) return status;
  }
  return positions;
}

std::string FormatPositions(const v1::Positions& positions) {
  std::vector<std::string> parts;
  if (positions.cls()) parts.push_back("cls");
  for (const int32_t event : positions.events()) parts.push_back(absl::StrCat(kEventPrefix, event));
  for (const int32_t index : positions.indices()) parts.push_back(absl::StrCat(index));
  for (const v1::PositionRange& range : positions.ranges()) {
    parts.push_back(absl::StrCat(range.begin(), "-", range.end() - 1));
  }
  return parts.empty() ? "all" : absl::StrJoin(parts, ",");
}

}  // namespace lifescope
