// A seeded random source whose draws are the same on every platform and build (the standard library's
// distributions are not). Generator: xoshiro256** (Blackman & Vigna 2018), seeded by SplitMix64.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace lifescope {

// Not thread-safe. Its state can be saved and restored to the bit.
class Random {
 public:
  explicit Random(uint64_t seed);

  uint64_t NextBits();
  // In [0, 1).
  double Uniform();
  // In [0, count); count > 0.
  int64_t Below(int64_t count);
  // Standard normal.
  double Normal();
  // Index drawn in proportion to non-negative weights.
  int64_t Weighted(const std::vector<double>& weights);
  template <typename T>
  void Shuffle(std::vector<T>& values) {
    for (int64_t i = static_cast<int64_t>(values.size()) - 1; i > 0; --i) {
      std::swap(values[i], values[Below(i + 1)]);
    }
  }

  using State = std::array<uint64_t, 4>;
  State state() const { return state_; }
  void set_state(const State& state) { state_ = state; }

 private:
  State state_;
};

}  // namespace lifescope
