// Where a fit takes its rows from.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace lifescope {

// Gives the next batch of activations, [at least 1 row, width]; an undefined tensor when there are no more. So a fit
// sees as many rows as its caller wants it to, and holds no more of them than it says.
using RowSource = std::function<at::Tensor()>;

// What a fit is doing: "rows", 40'000 of 100'000. A total of 0: unknown.
using FitProgress = std::function<void(const char* stage, int64_t done, int64_t total)>;

// The next batch. Throws c10::ValueError for another shape than [rows, width] (any width when `width` is 0), another
// dtype than kFloat or kDouble, or a value that is not finite.
at::Tensor NextRows(const RowSource& source, int64_t width);

// The next rows, at most `limit`, as one tensor; what is left of the last batch is dropped. Throws as NextRows, and
// when there is none.
at::Tensor TakeRows(const RowSource& source, int64_t limit);

}  // namespace lifescope
