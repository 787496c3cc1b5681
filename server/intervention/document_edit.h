// Edits of a life before the model reads it: counterfactual documents. Five questions with five answers; each has its
// name.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "server/corpus/document.h"
#include "server/intervention/positions.h"

namespace lifescope {

// The life without an event, laid out as if it had never been there: its tokens and [SEP] go, later events move up, and
// each takes the segment of the event before it. Events that did not fit into the document do not come back.
struct DeleteEvent {
  int32_t event = 0;  // at least 1
};
// The event's slots become padding where they are: attention does not see it, and nothing else moves.
struct PadEvent {
  int32_t event = 0;  // at least 1
};
// Other tokens in the same places; times, segments and events stay.
struct ReplaceTokens {
  Positions positions;
  std::vector<int32_t> tokens;  // one for all positions, or one per position in the order given
};
// Dates and ages move; order and places stay. The prefix has neither and is left as it is.
struct ShiftTime {
  Positions positions;
  int32_t days = 0;   // added to abspos
  int32_t years = 0;  // added to age, which stays 0 or more
};
// Every token of the background becomes [UNK] in its place.
struct HideBackground {};
using DocumentChange = std::variant<DeleteEvent, PadEvent, ReplaceTokens, ShiftTime, HideBackground>;

// Events and positions are those of the document as it is in the run, whatever edits came before; positions that are
// gone are passed over.
struct DocumentEdit {
  DocumentChange change;
  std::vector<int64_t> documents;  // empty: all
};

// A document as its edits leave it.
struct DocumentVariant {
  Document document;              // the rows that are run; events keep their numbers
  std::vector<int32_t> slot;      // of each row, ascending; slots between them are padding
  std::vector<int64_t> original;  // of each row, its position before the edits, ascending

  // Row of a position before the edits; -1: gone.
  int64_t RowOf(int64_t position) const;
};

// Whether an edit covers the document, an index into Run::documents.
bool EditsDocument(const std::vector<DocumentEdit>& edits, int64_t document);

// The document after the edits that cover it, in list order. Throws c10::IndexError or c10::ValueError with a message
// that starts with `field`, the path of the list: an event that is not there, is gone or holds position 0, positions
// outside the document, tokens that are neither one nor one per position, an age below 0, a date that no INT32 holds.
DocumentVariant ApplyDocumentEdits(const Document& original, const std::vector<DocumentEdit>& edits, int64_t document,
                                   const std::string& field);

}  // namespace lifescope
