#include "server/corpus/event_tokens.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <utility>

#include "server/corpus/table_cell.h"

namespace lifescope {
namespace {

// The token of a binned value: the number of edges at or below it, cut to the last bin; none below the first edge.
std::string BinToken(const EventField& field, const std::vector<double>& edges, double value) {
  const auto above = std::upper_bound(edges.begin(), edges.end(), value) - edges.begin();
  const auto bin = std::min<std::ptrdiff_t>(above, static_cast<std::ptrdiff_t>(edges.size()) - 1);
  return bin <= 0 ? "" : field.value.prefix + "_" + std::to_string(bin);
}

}  // namespace

std::string BinKey(const EventTable& table, const EventField& field) { return table.name + "." + field.value.column; }

std::optional<double> FieldNumber(const RawPerson& person, const EventField& field, const std::string& cell,
                                  bool faithful) {
  if (cell.empty()) return std::nullopt;
  const std::optional<double> number = ParseTableNumber(cell, faithful);
  TORCH_CHECK_VALUE(number.has_value(), "person ", person.person_id, ": ", field.value.column, " is '", cell,
                    "', expected a number");
  if (field.positive_only && !(*number > 0)) return std::nullopt;
  return number;
}

std::string FieldToken(const Tokenizer& tokenizer, const RawPerson& person, const RawEvent& event, size_t index) {
  const EventTable& table = tokenizer.description.tables[event.table];
  const EventField& field = table.fields[index];
  const std::string& cell = event.fields[index];
  if (field.bin_count == 0) return OneWord(field.value.Token(cell), tokenizer.options.faithful);
  const std::optional<double> number = FieldNumber(person, field, cell, tokenizer.options.faithful);
  return number ? BinToken(field, tokenizer.bin_edges.at(BinKey(table, field)), *number) : "";
}

std::string OneWord(std::string token, bool faithful) {
  if (!faithful) std::replace(token.begin(), token.end(), ' ', '_');
  return token;
}

void CheckEvent(const TableDescription& description, const RawPerson& person, const RawEvent& event) {
  TORCH_CHECK_VALUE(event.table >= 0 && event.table < static_cast<int64_t>(description.tables.size()), "person ",
                    person.person_id, ": event of table ", event.table, ", expected 0 to ",
                    static_cast<int64_t>(description.tables.size()) - 1);
  const EventTable& table = description.tables[event.table];
  TORCH_CHECK_VALUE(event.fields.size() == table.fields.size(), "person ", person.person_id, ": ", event.fields.size(),
                    " fields in an event of ", table.name, ", expected ", table.fields.size());
}

}  // namespace lifescope
