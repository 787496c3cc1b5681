// Mixes a stream of rows in bounded memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "server/corpus/random.h"
#include "server/training/saved_state.h"

namespace lifescope {

// Semantics: blocks of rows are taken in until `capacity` is reached, and all that is held is put in a random order;
// rows are served in that order, without replacement, until half of the capacity is left unread; then it is filled and
// mixed again. So a row waits for at most a few fillings, and rows of one block are spread over at least half a
// capacity. Not thread-safe.
class ShuffleBuffer {
 public:
  using Block = std::function<at::Tensor()>;  // the next rows, [at least 1, width]

  // Throws c10::ValueError unless capacity is at least 1.
  explicit ShuffleBuffer(int64_t capacity);

  // Throws c10::ValueError unless rows is 1 to capacity.
  at::Tensor Next(int64_t rows, Random& random, const Block& block);
  // The rows that Next serves next: at most `rows`, at most what is held.
  at::Tensor Peek(int64_t rows, Random& random, const Block& block);

  int64_t rows_served() const { return rows_served_; }

  // Unread rows under "buffer", "rows_served".
  void Save(SavedState& state) const;
  // Throws c10::ValueError naming a tensor that is missing or not [rows, width] of `dtype`.
  void Load(const SavedState& state, int64_t width, at::ScalarType dtype, at::Device device);

 private:
  void Refill(Random& random, const Block& block);

  int64_t capacity_;
  at::Tensor buffer_;  // the first unread_ rows are unread, served from the last of them
  int64_t unread_ = 0;
  int64_t rows_served_ = 0;
};

}  // namespace lifescope
