// Lives as a registry holds them, before tokens: what table import and the synthetic world share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/corpus/calendar.h"

namespace lifescope {

// One row of a table of events. Empty text: missing.
struct RawEvent {
  Date date;
  int32_t table = 0;                // index into TableDescription::tables
  std::vector<std::string> fields;  // the cells, as TableDescription::tables[table].fields
  int32_t age = -1;                 // years; -1: not said
};

struct RawPerson {
  int64_t person_id = 0;
  Date birthday;
  std::vector<std::string> background;  // the cells of the kCode tokens of PersonTable::background, in their order
  std::vector<RawEvent> events;         // events of one day in the order of the document
};

// As bytes of a record, and back.
void AppendPerson(const RawPerson& person, std::string* record);
RawPerson ParsePerson(std::string_view record);

}  // namespace lifescope
