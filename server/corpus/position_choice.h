// Which positions of a document count: for training dictionaries, and for judging them. Padding never exists.
#pragma once

#include <cstdint>

#include "server/corpus/document.h"

namespace lifescope {

struct PositionChoice {
  // [CLS], background and the [SEP] behind it.
  bool prefix = false;
  // Every other [SEP].
  bool separators = true;

  bool Has(const Document& document, int64_t position) const {
    const auto p = static_cast<size_t>(position);
    return document.event[p] == 0 ? prefix : separators || document.token[p] != kSep;
  }
};

}  // namespace lifescope
