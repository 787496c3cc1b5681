#include "server/intervention/document_edit.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>

namespace lifescope {
namespace {

bool CoversDocument(const DocumentEdit& edit, int64_t document) {
  return edit.documents.empty() ||
         std::find(edit.documents.begin(), edit.documents.end(), document) != edit.documents.end();
}

// Leaves the rows [0, begin) and [end, rows).
template <typename T>
void Cut(std::vector<T>& rows, int64_t begin, int64_t end) {
  rows.erase(rows.begin() + begin, rows.begin() + end);
}

class VariantMaker {
 public:
  VariantMaker(const Document& original, std::string name) : original_(original), name_(std::move(name)) {
    variant_.document = original;
    variant_.slot.resize(original.token.size());
    std::iota(variant_.slot.begin(), variant_.slot.end(), 0);
    variant_.original.resize(original.token.size());
    std::iota(variant_.original.begin(), variant_.original.end(), 0);
    for (size_t row = 0; row < original.event.size(); ++row) segment_of_[original.event[row]] = original.segment[row];
  }

  void Apply(const DeleteEvent& change, const std::string& field) {
    const Rows rows = RowsOfEvent(change.event, field + ".delete_event.event");
    PassSegmentsOn(change.event);
    for (size_t row = rows.end; row < variant_.slot.size(); ++row) variant_.slot[row] -= rows.end - rows.begin;
    Remove(rows);
  }

  void Apply(const PadEvent& change, const std::string& field) {
    Remove(RowsOfEvent(change.event, field + ".pad_event.event"));
  }

  void Apply(const ReplaceTokens& change, const std::string& field) {
    const std::string path = field + ".replace_tokens";
    const std::vector<int64_t> positions = ListPositions(change.positions, original_, path + ".positions", name_);
    const size_t count = change.tokens.size();
    TORCH_CHECK_VALUE(count == 1 || (count == positions.size() && count > 0), path, ".tokens: ", count,
                      " tokens, expected 1 or ", positions.size(), ", as many as there are positions in ", name_);
    for (size_t i = 0; i < positions.size(); ++i) {
      const int64_t row = variant_.RowOf(positions[i]);
      if (row >= 0) variant_.document.token[row] = change.tokens[count == 1 ? 0 : i];
    }
  }

  void Apply(const ShiftTime& change, const std::string& field) {
    const std::string path = field + ".shift_time";
    for (const int64_t position : ResolvePositions(change.positions, original_, path + ".positions", name_)) {
      const int64_t row = variant_.RowOf(position);
      if (row < 0 || variant_.document.event[row] == 0) continue;
      const int64_t abspos = int64_t{variant_.document.abspos[row]} + change.days;
      const int64_t age = int64_t{variant_.document.age[row]} + change.years;
      constexpr int64_t kLeast = std::numeric_limits<int32_t>::min(), kMost = std::numeric_limits<int32_t>::max();
      TORCH_CHECK_VALUE(kLeast <= abspos && abspos <= kMost, path, ".days: ", change.days, " takes position ", position,
                        " of ", name_, " to day ", abspos, ", expected ", kLeast, " to ", kMost);
      TORCH_CHECK_VALUE(0 <= age && age <= kMost, path, ".years: ", change.years, " takes position ", position, " of ",
                        name_, " to age ", age, ", expected 0 to ", kMost);
      variant_.document.abspos[row] = static_cast<int32_t>(abspos);
      variant_.document.age[row] = static_cast<int32_t>(age);
    }
  }

  void Apply(const HideBackground&, const std::string& field) {
    Positions background;
    background.background = true;
    Apply(ReplaceTokens{background, {kUnk}}, field);
  }

  DocumentVariant Finish() { return std::move(variant_); }

 private:
  struct Rows {
    int64_t begin = 0, end = 0;
  };

  Rows RowsOfEvent(int32_t event, const std::string& field) const {
    const std::vector<int32_t>& events = variant_.document.event;
    TORCH_CHECK_INDEX(1 <= event && event <= original_.event_count(), field, ": ", event,
                      ", expected 1 <= event <= ", original_.event_count(), ", an event of ", name_);
    const auto first = std::find(events.begin(), events.end(), event);
    TORCH_CHECK_VALUE(first != events.end(), field, ": ", event, ", expected an event of ", name_,
                      " that is still there: an edit before has removed it");
    TORCH_CHECK_VALUE(first != events.begin(), field, ": ", event, ", expected an event after position 0 of ", name_,
                      ", which stays: the model sums the person up there");
    const auto last = std::find_if(first, events.end(), [event](int32_t other) { return other != event; });
    return {first - events.begin(), last - events.begin()};
  }

  // Every event after this one takes the segment of the event before it.
  void PassSegmentsOn(int32_t event) {
    for (auto later = segment_of_.rbegin(); later->first > event; ++later) later->second = std::next(later)->second;
    segment_of_.erase(event);
    Document& document = variant_.document;
    for (size_t row = 0; row < document.event.size(); ++row) {
      if (document.event[row] > event) document.segment[row] = segment_of_.at(document.event[row]);
    }
  }

  void Remove(const Rows& rows) {
    Document& document = variant_.document;
    for (auto* column :
         {&document.token, &document.abspos, &document.age, &document.segment, &document.event, &variant_.slot}) {
      Cut(*column, rows.begin, rows.end);
    }
    Cut(variant_.original, rows.begin, rows.end);
  }

  const Document& original_;
  const std::string name_;
  // Of every event that is not deleted: a padded one keeps its place in the cycle.
  std::map<int32_t, int32_t> segment_of_;
  DocumentVariant variant_;
};

}  // namespace

int64_t DocumentVariant::RowOf(int64_t position) const {
  const auto found = std::lower_bound(original.begin(), original.end(), position);
  return found == original.end() || *found != position ? -1 : found - original.begin();
}

bool EditsDocument(const std::vector<DocumentEdit>& edits, int64_t document) {
  return std::any_of(edits.begin(), edits.end(),
                     [&](const DocumentEdit& edit) { return CoversDocument(edit, document); });
}

DocumentVariant ApplyDocumentEdits(const Document& original, const std::vector<DocumentEdit>& edits, int64_t document,
                                   const std::string& field) {
  VariantMaker maker(original, "documents[" + std::to_string(document) + "]");
  for (size_t i = 0; i < edits.size(); ++i) {
    if (!CoversDocument(edits[i], document)) continue;
    const std::string path = field + "[" + std::to_string(i) + "]";
    std::visit([&](const auto& change) { maker.Apply(change, path); }, edits[i].change);
  }
  return maker.Finish();
}

}  // namespace lifescope
