#pragma once

namespace lifescope {

// A value among those of which the largest are kept, and where it stands.
template <typename T, typename Index>
struct RankedEntry {
  T value;
  Index index;
  // The order in which they are kept: equal values go to the lower index.
  bool operator<(const RankedEntry& other) const {
    return value > other.value || (value == other.value && index < other.index);
  }
};

}  // namespace lifescope
