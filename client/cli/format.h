// Values as a person reads them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"

namespace lifescope {

// "1,204,331".
std::string FormatCount(int64_t count);
// "12.1 %", "0.34 %", "0.0031 %", "<0.0001 %": as many digits as say something.
std::string FormatPercent(double fraction);
// "2.31", "0.0042", "1.3e-07", "12,040": three significant digits, more only before the point.
std::string FormatNumber(double value);
// "0.37": `decimals` digits after the point; never "-0.00".
std::string FormatFixed(double value, int decimals);
// "812 B", "4.2 KiB", "64 MiB".
std::string FormatBytes(int64_t bytes);
// "9 s", "12 min", "5 h", "3 days".
std::string FormatSpan(absl::Duration span);
// As FormatSpan, with " ago"; "just now" for the future and the last second.
std::string FormatAge(absl::Duration age);
// "sha256:4f1c09d2a7b3": enough of a digest to compare by eye.
std::string ShortDigest(const std::string& digest);

absl::Time ToTime(const google::protobuf::Timestamp& timestamp);

}  // namespace lifescope
