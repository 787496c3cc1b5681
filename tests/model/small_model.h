// Small random models and documents for tests that need no golden data.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/model/hyperparameters.h"
#include "server/model/packed_batch.h"
#include "server/model/weights.h"

namespace lifescope {

// Three layers, 3 global and 2 local heads, window 5, 50 tokens.
Hyperparameters SmallHyperparameters();

// Weights with every gate open and no bias zero.
Weights SmallWeights(const Hyperparameters& hyperparameters, uint64_t seed, at::ScalarType dtype);

// Random documents of these lengths.
PackedBatch RandomBatch(const Hyperparameters& hyperparameters, const std::vector<int64_t>& lengths, int64_t n_slots,
                        uint64_t seed);

// Document `d` of a batch, alone.
PackedBatch OneDocument(const PackedBatch& batch, int64_t d);

// Calls the function and returns the message of the c10::Error it throws; "no error" otherwise.
template <typename Error, typename Function>
std::string MessageOf(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

}  // namespace lifescope
