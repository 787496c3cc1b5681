#include "server/corpus/raw_life.h"

#include "server/corpus/record_file.h"

namespace lifescope {

void AppendPerson(const RawPerson& person, std::string* record) {
  AppendSigned(person.person_id, record);
  AppendSigned(person.birthday.DayNumber(), record);
  AppendTexts(person.background, record);
  AppendNumber(person.events.size(), 4, record);
  for (const RawEvent& event : person.events) {
    AppendSigned(event.date.DayNumber(), record);
    AppendNumber(static_cast<uint64_t>(event.table), 2, record);
    AppendNumber(static_cast<uint32_t>(event.age), 4, record);
    AppendTexts(event.fields, record);
  }
}

RawPerson ParsePerson(std::string_view record) {
  RecordParser parser(record);
  RawPerson person;
  person.person_id = parser.Signed();
  person.birthday = Date::FromDayNumber(parser.Signed());
  person.background = parser.Texts();
  person.events.resize(parser.Number(4));
  for (RawEvent& event : person.events) {
    event.date = Date::FromDayNumber(parser.Signed());
    event.table = static_cast<int32_t>(parser.Number(2));
    event.age = static_cast<int32_t>(parser.Number(4));
    event.fields = parser.Texts();
  }
  return person;
}

}  // namespace lifescope
