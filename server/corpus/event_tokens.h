// The tokens that one event says: what fitting and encoding share.
#pragma once

#include <optional>
#include <string>

#include "server/corpus/tokenizer.h"

namespace lifescope {

// "<table>.<column>".
std::string BinKey(const EventTable& table, const EventField& field);

// The number of a binned field; nothing when it is missing, or not positive where only positive ones count. Throws
// c10::ValueError naming the person when the cell is no number.
std::optional<double> FieldNumber(const RawPerson& person, const EventField& field, const std::string& cell,
                                  bool faithful);

// The vocabulary's name of a field of an event; empty when the event says nothing there.
std::string FieldToken(const Tokenizer& tokenizer, const RawPerson& person, const RawEvent& event, size_t index);

// Spaces as underscores, unless faithful.
std::string OneWord(std::string token, bool faithful);

// Throws c10::ValueError when the event's table or number of fields is not the description's.
void CheckEvent(const TableDescription& description, const RawPerson& person, const RawEvent& event);

}  // namespace lifescope
