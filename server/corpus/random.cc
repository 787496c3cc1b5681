#include "server/corpus/random.h"

#include <c10/util/Exception.h>

#include <cmath>

namespace lifescope {
namespace {

uint64_t RotateLeft(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

// Natural logarithm from basic arithmetic only: the C library's differs in the last bit between platforms.
double Log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < 0.7071067811865476) {
    mantissa *= 2;
    --exponent;
  }
  const double s = (mantissa - 1) / (mantissa + 1);
  double sum = 0;  // atanh(s) / s; |s| < 0.172, so the first dropped term is below 1e-17
  for (int k = 21; k >= 1; k -= 2) sum = sum * (s * s) + 1.0 / k;
  return exponent * 0.6931471805599453 + 2 * s * sum;
}

}  // namespace

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {  // SplitMix64
    seed += 0x9E3779B97F4A7C15ull;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::NextBits() {
  const uint64_t result = RotateLeft(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = RotateLeft(state_[3], 45);
  return result;
}

double Random::Uniform() { return static_cast<double>(NextBits() >> 11) * 0x1.0p-53; }

int64_t Random::Below(int64_t count) {
  TORCH_CHECK_VALUE(count > 0, "Random::Below: count is ", count, ", expected a positive number");
  const uint64_t range = static_cast<uint64_t>(count);
  const uint64_t rejected = (0 - range) % range;  // 2^64 mod range: the draws that would favour small results
  uint64_t bits = NextBits();
  while (bits < rejected) bits = NextBits();
  return static_cast<int64_t>(bits % range);
}

double Random::Normal() {
  // Marsaglia's polar method; the second normal is dropped, so that the state is the four words alone.
  while (true) {
    const double x = 2 * Uniform() - 1;
    const double y = 2 * Uniform() - 1;
    const double r = x * x + y * y;
    if (r > 0 && r < 1) return x * std::sqrt(-2 * Log(r) / r);
  }
}

int64_t Random::Weighted(const std::vector<double>& weights) {
  double sum = 0;
  for (const double weight : weights) {
    TORCH_CHECK_VALUE(weight >= 0, "Random::Weighted: a weight is ", weight, ", expected at least 0");
    sum += weight;
  }
  TORCH_CHECK_VALUE(sum > 0 && std::isfinite(sum), "Random::Weighted: the weights sum to ", sum,
                    ", expected a positive finite number");
  double left = Uniform() * sum;
  int64_t last = 0;  // rounding may leave a little over: then the last possible one
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    last = static_cast<int64_t>(i);
    if (left < weights[i]) break;
    left -= weights[i];
  }
  return last;
}

}  // namespace lifescope
