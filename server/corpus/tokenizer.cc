#include "server/corpus/tokenizer.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "server/corpus/event_tokens.h"

namespace lifescope {
namespace {

// The tokens of a person's background, as the vocabulary names them.
std::vector<std::string> BackgroundNames(const TableDescription& description, const RawPerson& person, bool faithful) {
  const bool raw = faithful && description.published_background_is_raw;
  const std::string month = std::to_string(person.birthday.month), year = std::to_string(person.birthday.year);
  std::vector<std::string> names;
  size_t code = 0;
  for (const BackgroundToken& token : description.persons.background) {
    switch (token.kind) {
      case BackgroundToken::Kind::kCode: {
        TORCH_CHECK_VALUE(code < person.background.size(), "person ", person.person_id, ": ", person.background.size(),
                          " background values, expected more");
        const std::string& cell = person.background[code++];
        names.push_back(raw ? cell : OneWord(token.value.Token(cell), faithful));
        break;
      }
      case BackgroundToken::Kind::kBirthMonth:
        names.push_back(raw ? month : "MONTH_" + month);
        break;
      case BackgroundToken::Kind::kBirthYear:
        names.push_back(raw ? year : "YEAR_" + year);
        break;
    }
  }
  return names;
}

int32_t AgeOf(AgeRule rule, const Date& date, const Date& birthday) {
  const int32_t years = date.year - birthday.year;
  if (rule == AgeRule::kYearDifference) return years;
  // The published code rolls on to the end of the month, and from the last day of a month to the end of the next one.
  const Date tomorrow = Date::FromDayNumber(date.DayNumber() + 1);
  const int32_t year = tomorrow.month == 12 ? tomorrow.year + 1 : tomorrow.year;
  const Date month_end = Date::FromDayNumber(Date{year, tomorrow.month % 12 + 1, 1}.DayNumber() - 1);
  return years - (month_end.DayOfYear() < birthday.DayOfYear() ? 1 : 0);
}

void AddToken(const Vocabulary& vocabulary, std::string_view token, std::vector<int32_t>* ids) {
  ids->push_back(vocabulary.Find(token).value_or(kUnk));
}

// The published code joins the tokens of an event with spaces and splits the text again.
void AddWords(const Vocabulary& vocabulary, std::string_view text, std::vector<int32_t>* ids) {
  for (size_t space = text.find(' '); space != std::string_view::npos; space = text.find(' ')) {
    AddToken(vocabulary, text.substr(0, space), ids);
    text.remove_prefix(space + 1);
  }
  AddToken(vocabulary, text, ids);
}

}  // namespace

EncodedLife Tokenizer::Encode(const RawPerson& person) const {
  std::vector<const RawEvent*> order;
  const int64_t threshold = description.threshold.DayNumber();
  for (const RawEvent& event : person.events) {
    CheckEvent(description, person, event);
    if (event.date.DayNumber() < threshold) order.push_back(&event);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const RawEvent* a, const RawEvent* b) { return a->date.DayNumber() < b->date.DayNumber(); });

  std::vector<int32_t> background;
  for (const std::string& name : BackgroundNames(description, person, options.faithful)) {
    AddToken(vocabulary, name, &background);
  }
  std::vector<Event> events;
  const int64_t reference = description.reference_date.DayNumber();
  for (const RawEvent* raw : order) {
    Event event;
    event.abspos = static_cast<int32_t>(raw->date.DayNumber() - reference + 1);
    event.age = raw->age >= 0 ? raw->age : AgeOf(description.age_rule, raw->date, person.birthday);
    for (size_t f = 0; f < raw->fields.size(); ++f) {
      const std::string token = FieldToken(*this, person, *raw, f);
      if (!token.empty()) AddWords(vocabulary, token, &event.tokens);
    }
    events.push_back(std::move(event));
  }
  return EncodeLife(person.person_id, background, events, options.max_length);
}

}  // namespace lifescope
