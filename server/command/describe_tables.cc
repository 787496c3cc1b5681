#include "server/command/describe_tables.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lifescope/v1/table_description.pb.h"
#include "server/artifact/artifact.h"
#include "server/command/text_message.h"

namespace lifescope {
namespace {

template <typename Texts>
std::vector<std::string> Strings(const Texts& texts) {
  return {texts.begin(), texts.end()};
}

Date ReadDate(const std::string& field, const std::string& text) {
  const std::optional<Date> date = Date::Parse(text);
  TORCH_CHECK_VALUE(date.has_value() && text.size() == 10, field, " is '", text, "', expected YYYY-MM-DD");
  return *date;
}

std::optional<Date> ReadOptionalDate(const std::string& field, const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(ReadDate(field, text));
}

TableSource FromProto(const std::string& field, const v1::TableSource& proto) {
  TORCH_CHECK_VALUE(proto.delimiter().size() <= 1 && proto.delimiter() != "\"" && proto.delimiter() != "\n", field,
                    ".delimiter is '", proto.delimiter(), "', expected one character");
  TableSource source;
  source.files = Strings(proto.files());
  if (!proto.delimiter().empty()) source.format.delimiter = proto.delimiter()[0];
  source.format.latin1 = proto.encoding() == v1::ENCODING_LATIN_1;
  source.person_column = proto.person_column();
  for (const v1::RowCondition& condition : proto.keep()) {
    source.keep.push_back({condition.column(), Strings(condition.any_of()), Strings(condition.none_of())});
  }
  return source;
}

CodedValue FromProto(const v1::Code& proto) {
  CodedValue value;
  value.column = proto.column();
  value.prefix = proto.prefix();
  value.upper_case = proto.upper_case();
  value.skip_characters = proto.skip_characters();
  value.max_characters = proto.max_characters();
  value.replacements = {proto.replacements().begin(), proto.replacements().end()};
  value.otherwise = proto.otherwise();
  return value;
}

BackgroundToken FromProto(const std::string& field, const v1::BackgroundToken& proto) {
  BackgroundToken token;
  token.must_agree = proto.must_agree();
  switch (proto.kind_case()) {
    case v1::BackgroundToken::kCode:
      token.value = FromProto(proto.code());
      break;
    case v1::BackgroundToken::kBirthMonth:
      token.kind = BackgroundToken::Kind::kBirthMonth;
      break;
    case v1::BackgroundToken::kBirthYear:
      token.kind = BackgroundToken::Kind::kBirthYear;
      break;
    case v1::BackgroundToken::KIND_NOT_SET:
      TORCH_CHECK_VALUE(false, field, " is empty, expected code, birth_month or birth_year");
  }
  return token;
}

EventField FromProto(const std::string& at, const v1::Field& proto) {
  EventField field;
  switch (proto.kind_case()) {
    case v1::Field::kCode:
      field.value = FromProto(proto.code());
      break;
    case v1::Field::kNumber:
      TORCH_CHECK_VALUE(proto.number().bin_count() >= 3, at, ".number.bin_count is ", proto.number().bin_count(),
                        ", expected at least 3");
      field.value.column = proto.number().column();
      field.value.prefix = proto.number().prefix();
      field.bin_count = proto.number().bin_count();
      field.positive_only = !proto.number().with_nonpositive();
      break;
    case v1::Field::KIND_NOT_SET:
      TORCH_CHECK_VALUE(false, at, " is empty, expected code or number");
  }
  field.category = proto.category().empty() ? field.value.column : proto.category();
  field.min_persons = proto.min_persons();
  return field;
}

EventTable FromProto(const std::string& at, const v1::EventTable& proto) {
  EventTable table;
  table.name = proto.name();
  table.source = FromProto(at + ".source", proto.source());
  table.date_column = proto.date_column();
  table.date_formats = Strings(proto.date_formats());
  table.first_date = ReadOptionalDate(at + ".first_date", proto.first_date());
  table.age_column = proto.age_column();
  for (int i = 0; i < proto.fields_size(); ++i) {
    table.fields.push_back(FromProto(absl::StrCat(at, ".fields[", i, "]"), proto.fields(i)));
  }
  return table;
}

PersonTable FromProto(const v1::PersonTable& proto) {
  PersonTable persons;
  persons.source = FromProto("persons.source", proto.source());
  persons.birthday_column = proto.birthday_column();
  persons.birthday_formats = Strings(proto.birthday_formats());
  persons.repeated_rows = proto.repeated_rows();
  persons.split_column = proto.split().column();
  for (int i = 0; i < proto.background_size(); ++i) {
    persons.background.push_back(FromProto(absl::StrCat("persons.background[", i, "]"), proto.background(i)));
  }
  return persons;
}

SplitRule FromProto(const v1::Split& proto) {
  SplitRule rule;
  if (proto.has_shares()) {
    rule.train_share = proto.shares().train();
    rule.validation_share = proto.shares().validation();
    rule.seed = proto.shares().seed();
  }
  if (proto.has_table()) {
    rule.table = FromProto("persons.split.table.source", proto.table().source());
    if (!proto.table().column().empty()) rule.column = proto.table().column();
  }
  return rule;
}

AgeRule FromProto(v1::AgeRule rule) {
  TORCH_CHECK_VALUE(rule == v1::AGE_RULE_YEAR_DIFFERENCE || rule == v1::AGE_RULE_MONTH_END, "age_rule is ",
                    v1::AgeRule_Name(rule), ", expected AGE_RULE_YEAR_DIFFERENCE or AGE_RULE_MONTH_END");
  return rule == v1::AGE_RULE_YEAR_DIFFERENCE ? AgeRule::kYearDifference : AgeRule::kMonthEnd;
}

TableDescription FromProto(const v1::TableDescription& proto) {
  TableDescription description;
  description.persons = FromProto(proto.persons());
  description.split = FromProto(proto.persons().split());
  description.born_after = ReadOptionalDate("persons.born_after", proto.persons().born_after());
  description.born_before = ReadOptionalDate("persons.born_before", proto.persons().born_before());
  for (int i = 0; i < proto.tables_size(); ++i) {
    description.tables.push_back(FromProto(absl::StrCat("tables[", i, "]"), proto.tables(i)));
  }
  description.reference_date = ReadDate("reference_date", proto.reference_date());
  description.threshold = ReadDate("threshold_date", proto.threshold_date());
  description.min_persons = proto.min_persons() == 0 ? 1 : proto.min_persons();
  description.first_birth_year = proto.first_birth_year();
  description.last_birth_year = proto.last_birth_year();
  description.background_tokens = Strings(proto.background_tokens());
  description.age_rule = FromProto(proto.age_rule());
  if (proto.missing_size() > 0) description.missing = Strings(proto.missing());
  description.skip_unknown_persons = proto.skip_unknown_persons();
  description.published_background_is_raw = proto.published_background_is_raw();
  if (proto.has_required_events()) {
    const v1::RequiredEvents& required = proto.required_events();
    description.required_events = {required.table(), ReadDate("required_events.first_date", required.first_date()),
                                   ReadDate("required_events.last_date", required.last_date()), required.count()};
  }
  CheckTableDescription(description);
  return description;
}

}  // namespace

TableDescription ParseTableDescription(const std::string& name, const std::string& text) {
  v1::TableDescription proto;
  ParseTextMessage(name, text, &proto);
  try {
    return FromProto(proto);
  } catch (const c10::ValueError& fault) {
    TORCH_CHECK_VALUE(false, name, ": ", fault.msg());
  }
}

std::string FindTableDescription(const std::string& name_or_file) {
  const auto& texts = TableDescriptionTexts();
  const auto found = texts.find(name_or_file);
  if (found != texts.end()) return found->second;
  std::string names;
  for (const auto& [name, text] : texts) absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  TORCH_CHECK_VALUE(std::filesystem::is_regular_file(name_or_file), "description '", name_or_file,
                    "' is no file, and none that comes with lifescoped: ", names);
  return ReadFile(name_or_file);
}

}  // namespace lifescope
