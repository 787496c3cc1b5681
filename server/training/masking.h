// The two pre-training tasks of life2vec made from a document: tokens to be guessed and sentences to be put in order.
#pragma once

#include <cstdint>
#include <vector>

#include "server/corpus/document.h"
#include "server/corpus/random.h"

namespace lifescope {

// Classes of the sentence-order task, as the SOP head numbers them.
enum class SentenceOrder : int64_t { kOriginal = 0, kReversed = 1, kShuffled = 2 };

// Reversed in 5 % of draws, shuffled in 5 %.
SentenceOrder DrawSentenceOrder(Random& random);

// Puts the tokens of the events (each with its [SEP]) in that order; the events are numbered anew as they then stand.
// Dates, ages and segments stay at their positions, as in the published code.
void ReorderSentences(SentenceOrder order, Document& document, Random& random);

// What is to be guessed in a masked document.
struct MaskedTargets {
  std::vector<int64_t> positions;  // ascending
  std::vector<int32_t> tokens;     // the truth, as `positions`
};

// Masks floor(length * ratio) positions (fewer when there are fewer candidates: positions from 1 that hold neither
// [SEP] nor [UNK]), in place. Of the K chosen the first floor(K / 10) keep their token, the last floor(K / 10) get a
// random token id of [10, vocabulary_size), the others [MASK]; all K are targets.
MaskedTargets MaskTokens(double ratio, int32_t vocabulary_size, Document& document, Random& random);

// Whether a position may be chosen by MaskTokens.
bool IsMaskable(const Document& document, int64_t position);

}  // namespace lifescope
