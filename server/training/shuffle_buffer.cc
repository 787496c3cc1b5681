#include "server/training/shuffle_buffer.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace lifescope {
namespace {

const char kBuffer[] = "buffer";
const char kRowsServed[] = "rows_served";

}  // namespace

ShuffleBuffer::ShuffleBuffer(int64_t capacity) : capacity_(capacity) {
  TORCH_CHECK_VALUE(capacity > 0, "buffer_rows is ", capacity, ", expected at least 1");
}

at::Tensor ShuffleBuffer::Next(int64_t rows, Random& random, const Block& block) {
  TORCH_CHECK_VALUE(rows > 0 && rows <= capacity_, "rows: ", rows, ", expected 1 to buffer_rows (", capacity_, ")");
  if (unread_ < std::max(rows, capacity_ / 2)) Refill(random, block);
  unread_ -= rows;
  rows_served_ += rows;
  return buffer_.narrow(0, unread_, rows);
}

at::Tensor ShuffleBuffer::Peek(int64_t rows, Random& random, const Block& block) {
  TORCH_CHECK_VALUE(rows > 0, "rows: ", rows, ", expected at least 1");
  if (unread_ < std::min(rows, capacity_)) Refill(random, block);
  const int64_t count = std::min(rows, unread_);
  return buffer_.narrow(0, unread_ - count, count);
}

void ShuffleBuffer::Refill(Random& random, const Block& block) {
  std::vector<at::Tensor> parts;
  int64_t count = unread_;
  if (unread_ > 0) parts.push_back(buffer_.narrow(0, 0, unread_));
  while (count < capacity_) {
    parts.push_back(block());
    count += parts.back().size(0);
  }
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), int64_t{0});
  random.Shuffle(order);
  const at::Tensor together = at::cat(parts);
  buffer_ = together.index_select(0, Int64Tensor(order).to(together.device()));
  unread_ = count;
}

void ShuffleBuffer::Save(SavedState& state) const {
  state[kRowsServed] = Int64Tensor({rows_served_});
  state[kBuffer] = buffer_.defined() ? buffer_.narrow(0, 0, unread_).to(at::kCPU).contiguous() : at::empty({0, 0});
}

void ShuffleBuffer::Load(const SavedState& state, int64_t width, at::ScalarType dtype, at::Device device) {
  const int64_t rows_served = Int64Values(state, kRowsServed, 1)[0];
  const auto found = state.find(kBuffer);
  TORCH_CHECK_VALUE(found != state.end(), "saved state: no tensor '", kBuffer, "'");
  const at::Tensor& buffer = found->second;
  const bool is_empty = buffer.numel() == 0;
  TORCH_CHECK_VALUE(is_empty || (buffer.dim() == 2 && buffer.size(1) == width && buffer.scalar_type() == dtype),
                    "saved state: '", kBuffer, "' is ", buffer.scalar_type(), " ", buffer.sizes(), ", expected ", dtype,
                    " [rows, ", width, "]");
  buffer_ = is_empty ? at::Tensor() : buffer.to(device);
  unread_ = is_empty ? 0 : buffer.size(0);
  rows_served_ = rows_served;
}

}  // namespace lifescope
