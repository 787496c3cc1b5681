// A document as a person reads it.
#pragma once

#include <cstdint>

#include "lifescope/v1/document.pb.h"
#include "server/corpus/corpus.h"

namespace lifescope {

// Fills `text` with the events first_event .. last_event of person number `index` of the corpus (0 is the background);
// bounds outside the document are cut. Throws what Corpus::DocumentAt throws.
void ToText(const Corpus& corpus, int64_t index, int32_t first_event, int32_t last_event, v1::DocumentText& text);

// Number of the event that a position of the document belongs to. Throws c10::IndexError.
int32_t EventAt(const Corpus& corpus, int64_t index, int64_t position);

}  // namespace lifescope
