// The published augmentations of a document, each a named option that is off by default, and the clipping that follows
// them.
#pragma once

#include <cstdint>

#include "server/corpus/document.h"
#include "server/corpus/random.h"

namespace lifescope {

// Shares are of documents unless said otherwise. They are applied in this order, each by a draw of its own.
struct AugmentationOptions {
  // Tokens of every event in a random order, at every draw; also in validation.
  bool shuffle_within_events = false;
  // The life ends before a random event: of lives of more than 12 events at least 12 are kept, and the days before
  // abspos 732. As published, that event is moved on to the last of its day, which is left out while the others of the
  // day stay.
  double timecut = 0;
  // A quarter to half of the events is left out; then dates are moved so that the first that is kept has abspos 1.
  double resample = 0;
  // Every event's abspos moves by -5 to 4 days, cut to [0, 4329].
  double abspos_noise = 0;
  // Four [UNK] in place of the background.
  double hide_background = 0;
  // Share of events that lose one token; an event of one token is left with its [SEP] alone.
  double drop_tokens = 0;
  // Tokens are dropped only in that share of documents, as life2vec-light has it.
  bool gate_drop_tokens = false;

  bool any() const;
};

// Also gives segments anew, going on 2, 3, 1 from the segment of the first event as it was: in a life that the corpus
// holds unclipped these are the published ones. Events are numbered from 1 again.
void Augment(const AugmentationOptions& options, Document& document, Random& random);

// What validation does: the order within events alone.
void ShuffleWithinEvents(Document& document, Random& random);

// Keeps the prefix and the longest suffix of whole events that fits `max_length`, with the segments they have.
void Clip(int64_t max_length, Document& document);

}  // namespace lifescope
