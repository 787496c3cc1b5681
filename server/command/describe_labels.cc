#include "server/command/describe_labels.h"

#include <c10/util/Exception.h>
#include <google/protobuf/text_format.h>

#include <filesystem>
#include <optional>

#include "absl/strings/str_cat.h"
#include "lifescope/v1/label_description.pb.h"
#include "server/command/text_message.h"

namespace lifescope {
namespace {

int64_t ReadDay(const std::string& field, const std::string& text) {
  const std::optional<Date> date = Date::Parse(text);
  TORCH_CHECK_VALUE(date.has_value() && text.size() == 10, field, " is '", text, "', expected YYYY-MM-DD");
  return date->DayNumber();
}

LabelCondition FromProto(const std::string& at, const v1::LabelCondition& proto);

std::vector<LabelCondition> FromProto(const std::string& at, const v1::LabelConditions& proto) {
  std::vector<LabelCondition> parts;
  for (int i = 0; i < proto.conditions_size(); ++i) {
    parts.push_back(FromProto(absl::StrCat(at, ".conditions[", i, "]"), proto.conditions(i)));
  }
  return parts;
}

void ReadTokenSet(const v1::TokenSet& proto, LabelCondition* condition) {
  condition->names = {proto.names().begin(), proto.names().end()};
  condition->category = proto.category();
  condition->prefix = proto.prefix();
}

void ReadAgeRange(const std::string& at, const v1::AgeRange& proto, LabelCondition* condition) {
  TORCH_CHECK_VALUE(proto.has_from() || proto.has_below(), at, " is empty, expected from or below");
  if (proto.has_from()) condition->from = proto.from();
  if (proto.has_below()) condition->below = proto.below();
}

void ReadDateRange(const std::string& at, const v1::DateRange& proto, LabelCondition* condition) {
  TORCH_CHECK_VALUE(!proto.from().empty() || !proto.before().empty(), at, " is empty, expected from or before");
  if (!proto.from().empty()) condition->from = ReadDay(at + ".from", proto.from());
  if (!proto.before().empty()) condition->below = ReadDay(at + ".before", proto.before());
}

LabelCondition FromProto(const std::string& at, const v1::LabelCondition& proto) {
  using Kind = LabelCondition::Kind;
  LabelCondition condition;
  switch (proto.condition_case()) {
    case v1::LabelCondition::kAll:
      condition.kind = Kind::kAll;
      condition.parts = FromProto(at + ".all", proto.all());
      break;
    case v1::LabelCondition::kAny:
      condition.kind = Kind::kAny;
      condition.parts = FromProto(at + ".any", proto.any());
      break;
    case v1::LabelCondition::kNot:
      condition.kind = Kind::kNot;
      condition.parts = {FromProto(at + ".not", proto.not_())};
      break;
    case v1::LabelCondition::kHas:
      condition.kind = Kind::kHas;
      ReadTokenSet(proto.has(), &condition);
      break;
    case v1::LabelCondition::kAge:
      condition.kind = Kind::kAge;
      ReadAgeRange(at + ".age", proto.age(), &condition);
      break;
    case v1::LabelCondition::kDate:
      condition.kind = Kind::kDate;
      ReadDateRange(at + ".date", proto.date(), &condition);
      break;
    case v1::LabelCondition::kInEvent:
      condition.kind = Kind::kInEvent;
      condition.parts = {FromProto(at + ".in_event", proto.in_event())};
      break;
    case v1::LabelCondition::CONDITION_NOT_SET:
      TORCH_CHECK_VALUE(false, at, " is empty, expected all, any, not, has, age, date or in_event");
  }
  return condition;
}

LabelNumber FromProto(const std::string& at, const v1::LabelNumber& proto) {
  switch (proto.number_case()) {
    case v1::LabelNumber::kAge:
      return {LabelNumber::Kind::kAge, ""};
    case v1::LabelNumber::kDay:
      return {LabelNumber::Kind::kDay, ""};
    case v1::LabelNumber::kTokenPrefix:
      return {LabelNumber::Kind::kToken, proto.token_prefix()};
    case v1::LabelNumber::NUMBER_NOT_SET:
      break;
  }
  TORCH_CHECK_VALUE(false, at, " is empty, expected age, day or token_prefix");
}

PersonLabel FromProto(const std::string& at, const v1::PersonLabel& proto) {
  using Value = PersonLabel::Value;
  PersonLabel label;
  if (proto.has_events()) label.events = FromProto(at + ".events", proto.events());
  label.background = proto.background();
  switch (proto.value_case()) {
    case v1::PersonLabel::kExists:
      label.value = Value::kExists;
      break;
    case v1::PersonLabel::kCount:
      label.value = Value::kCount;
      break;
    case v1::PersonLabel::kFirst:
      label.value = Value::kFirst;
      label.number = FromProto(at + ".first", proto.first());
      break;
    case v1::PersonLabel::kLast:
      label.value = Value::kLast;
      label.number = FromProto(at + ".last", proto.last());
      break;
    case v1::PersonLabel::kMean:
      label.value = Value::kMean;
      label.number = FromProto(at + ".mean", proto.mean());
      break;
    case v1::PersonLabel::VALUE_NOT_SET:
      TORCH_CHECK_VALUE(false, at, " has no value, expected exists, count, first, last or mean");
  }
  return label;
}

CsvLabel FromProto(const std::string& at, const std::filesystem::path& folder, const v1::LabelCsv& proto) {
  for (const auto& [name, value] :
       {std::pair("file", &proto.file()), std::pair("person_column", &proto.person_column()),
        std::pair("value_column", &proto.value_column())}) {
    TORCH_CHECK_VALUE(!value->empty(), at, ".", name, " is missing");
  }
  CsvLabel label;
  label.file = folder / proto.file();
  label.person_column = proto.person_column();
  label.event_column = proto.event_column();
  label.date_column = proto.date_column();
  label.position_column = proto.position_column();
  label.value_column = proto.value_column();
  label.values = {proto.values().begin(), proto.values().end()};
  switch (proto.kind()) {
    case v1::LabelCsv::KIND_BOOLEAN:
      label.kind = LabelKind::kBoolean;
      break;
    case v1::LabelCsv::KIND_CATEGORY:
      label.kind = LabelKind::kCategory;
      break;
    case v1::LabelCsv::KIND_NUMBER:
      label.kind = LabelKind::kNumber;
      break;
    default:
      TORCH_CHECK_VALUE(false, at, ".kind is missing, expected KIND_BOOLEAN, KIND_CATEGORY or KIND_NUMBER");
  }
  TORCH_CHECK_VALUE(label.values.empty() || label.kind == LabelKind::kCategory, at,
                    ".values are given, expected them with KIND_CATEGORY alone");
  return label;
}

LabelColumnDescription FromProto(const std::string& at, const std::filesystem::path& folder,
                                 const v1::LabelColumn& proto) {
  LabelColumnDescription column;
  column.name = proto.name();
  switch (proto.source_case()) {
    case v1::LabelColumn::kCsv:
      column.source = FromProto(at + ".csv", folder, proto.csv());
      break;
    case v1::LabelColumn::kPersonTrait:
      column.source = PersonTraitLabel{proto.person_trait()};
      break;
    case v1::LabelColumn::kEventTrait:
      column.source = EventTraitLabel{proto.event_trait()};
      break;
    case v1::LabelColumn::kToken:
      column.source = TokenLabel{FromProto(at + ".token", proto.token())};
      break;
    case v1::LabelColumn::kEvent:
      column.source = EventLabel{FromProto(at + ".event", proto.event())};
      break;
    case v1::LabelColumn::kEventNumber:
      column.source = EventNumberLabel{FromProto(at + ".event_number", proto.event_number())};
      break;
    case v1::LabelColumn::kPerson:
      column.source = FromProto(at + ".person", proto.person());
      break;
    case v1::LabelColumn::SOURCE_NOT_SET:
      TORCH_CHECK_VALUE(false, at, " has no source, expected csv, a trait, token, event, event_number or person");
  }
  google::protobuf::TextFormat::PrintToString(proto, &column.definition);
  return column;
}

}  // namespace

std::vector<LabelColumnDescription> ParseLabelDescription(const std::string& path, const std::string& text) {
  v1::LabelDescription proto;
  ParseTextMessage(path, text, &proto);
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::vector<LabelColumnDescription> columns;
  for (int i = 0; i < proto.columns_size(); ++i) {
    columns.push_back(FromProto(absl::StrCat(path, ": columns[", i, "]"), folder, proto.columns(i)));
  }
  TORCH_CHECK_VALUE(!columns.empty(), path, ": no columns, expected at least one");
  return columns;
}

}  // namespace lifescope
