#include "server/corpus/life_join.h"

#include <algorithm>
#include <utility>

#include "server/corpus/table_fault.h"

namespace lifescope {
namespace {

constexpr uint64_t kNoSplit = 3;

// Of a second since 1970-01-01, which may be negative.
Date DateOf(int64_t second) {
  constexpr int64_t kDaySeconds = 86400;
  const int64_t second_of_day = (second % kDaySeconds + kDaySeconds) % kDaySeconds;
  return Date::FromDayNumber((second - second_of_day) / kDaySeconds);
}

std::string Joined(const std::vector<std::string>& texts) {
  std::string text;
  for (const std::string& part : texts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

}  // namespace

void AppendLife(const std::optional<Split>& split, const RawPerson& person, std::string* record) {
  AppendNumber(split ? static_cast<uint64_t>(*split) : kNoSplit, 1, record);
  AppendPerson(person, record);
}

std::optional<Split> TakeLifeSplit(std::string_view* record) {
  const uint64_t split = RecordParser(*record).Number(1);
  record->remove_prefix(1);
  return split == kNoSplit ? std::nullopt : std::optional(static_cast<Split>(split));
}

LifeJoin::LifeJoin(const TableDescription& description, NameOfFile name_of_file, TableImportReport& report,
                   RecordWriter& lives)
    : description_(description), name_of_file_(std::move(name_of_file)), report_(report), lives_(lives) {}

void LifeJoin::Add(std::string_view record) {
  RecordParser parser(record);
  const RowKey key = RowKey::Take(parser);
  if (key.person != person_.person_id) {
    EndPerson();
    person_.person_id = key.person;
  }
  if (key.table == kPersonTable) {
    AddPerson(key, PersonRow::Take(parser));
  } else if (IsEventTable(description_, key.table)) {
    AddEvent(key, EventRow::Take(parser));
  } else {
    AddSplit(key, TakeSplitRow(parser));
  }
}

void LifeJoin::AddPerson(const RowKey& key, PersonRow row) {
  if (!first_row_) {
    first_row_ = std::move(row);
  } else if (description_.persons.repeated_rows) {
    rows_agree_ = rows_agree_ && row.AgreesWith(*first_row_, description_.persons);
  } else {
    AddBad(key, PersonText(key.person, key.table) + " is there already");
  }
}

void LifeJoin::AddSplit(const RowKey& key, Split split) {
  if (split_) return AddBad(key, PersonText(key.person, key.table) + " is there already");
  split_ = split;
}

void LifeJoin::AddEvent(const RowKey& key, EventRow row) {
  const bool unknown = !first_row_;
  if (unknown ? description_.skip_unknown_persons : !rows_agree_) {
    ++report_.tables[key.table].skipped_row_count;
  } else if (unknown) {
    AddBad(key, PersonText(key.person, key.table) + " is not in " + Joined(description_.persons.source.files));
  } else {
    person_.events.push_back({DateOf(key.second), key.table - 1, std::move(row.fields), row.age});
  }
}

void LifeJoin::AddBad(const RowKey& key, const std::string& fault) {
  report_.tables[key.table].AddBad(name_of_file_(key.table, key.file) + ":" + std::to_string(key.line) + ": " + fault);
}

std::string LifeJoin::PersonText(int64_t person, int32_t table) const {
  return SourceOf(description_, table).person_column + " " + std::to_string(person);
}

bool LifeJoin::Belongs() const {
  const int64_t birthday = person_.birthday.DayNumber();
  if (!rows_agree_) return false;
  if (description_.born_after && birthday <= description_.born_after->DayNumber()) return false;
  if (description_.born_before && birthday >= description_.born_before->DayNumber()) return false;
  if (!description_.required_events) return true;
  const RequiredEvents& required = *description_.required_events;
  const auto counts = [&](const RawEvent& event) {
    const int64_t day = event.date.DayNumber();
    return description_.tables[event.table].name == required.table && day >= required.first.DayNumber() &&
           day <= required.last.DayNumber();
  };
  return std::count_if(person_.events.begin(), person_.events.end(), counts) >= required.count;
}

void LifeJoin::EndPerson() {
  if (first_row_) {
    person_.birthday = first_row_->birthday;
    person_.background = std::move(first_row_->background);
    if (first_row_->split) split_ = first_row_->split;
    if (Belongs()) {
      if (!split_ && description_.split.table) {
        ThrowTableFault(Joined(description_.split.table->files), ": no split for ",
                        PersonText(person_.person_id, kPersonTable), " of ", Joined(description_.persons.source.files));
      }
      std::string record;
      AppendLife(split_, person_, &record);
      lives_.Add(record);
      ++life_count_;
    } else {
      ++report_.left_out_person_count;
      for (const RawEvent& event : person_.events) ++report_.tables[event.table + 1].skipped_row_count;
    }
  }
  person_ = {};
  first_row_.reset();
  split_.reset();
  rows_agree_ = true;
}

void LifeJoin::Finish() { EndPerson(); }

}  // namespace lifescope
