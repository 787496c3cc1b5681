// Where the values of a pickle lie. Private to the pickle reader.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/artifact/pickle.h"

namespace lifescope {

struct PickleTable {
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Value {
    PickleValue::Kind kind;
    uint32_t offset;  // of the opcode that made it
    // kBool, kInt, kFloat: the bits; texts and kBigInt: where they lie in `bytes`.
    uint64_t bits = 0;
    uint32_t length = 0;
    uint32_t state = kNone;
    // Elements; key, value, key, value... of a kDict; module, name of a kGlobal; callee, arguments, then entries of a
    // kRecord; the id of a kPersistentId.
    std::vector<uint32_t> children = {};
  };

  std::string bytes;
  std::vector<Value> values;
  uint32_t root = kNone;
};

}  // namespace lifescope
