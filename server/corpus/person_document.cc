#include "server/corpus/person_document.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace lifescope {
namespace {

using Json = nlohmann::json;

constexpr size_t kShownCharacters = 100;
constexpr int64_t kInt32Min = std::numeric_limits<int32_t>::min(), kInt32Max = std::numeric_limits<int32_t>::max();
constexpr int64_t kInt16Min = std::numeric_limits<int16_t>::min(), kInt16Max = std::numeric_limits<int16_t>::max();

// A value as an error shows it. What is nested stays out: the text of a deep value is made by recursion.
std::string Shown(const Json& value) {
  if (value.is_structured() && !value.empty()) return value.is_array() ? "a list" : "an object";
  return value.dump().substr(0, kShownCharacters);
}

const Json& Field(const Json& object, const char* name) {
  const auto found = object.find(name);
  TORCH_CHECK_VALUE(found != object.end(), "no field ", name);
  return *found;
}

bool IsNull(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null();
}

// pandas writes whole numbers as floats where a column had a missing value.
int64_t WholeNumber(const Json& value, const char* name, int64_t least, int64_t most) {
  int64_t number = 0;
  bool whole = value.is_number_integer();
  if (whole)
    number = value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX ? INT64_MAX : value.get<int64_t>();
  if (value.is_number_float() && std::abs(value.get<double>()) < 1e15) {
    number = static_cast<int64_t>(value.get<double>());
    whole = static_cast<double>(number) == value.get<double>();
  }
  TORCH_CHECK_VALUE(whole && number >= least && number <= most, name, " is ", Shown(value),
                    ", expected a whole number from ", least, " to ", most);
  return number;
}

std::vector<int32_t> WholeNumbers(const Json& list, const char* name, size_t count, int64_t least, int64_t most) {
  TORCH_CHECK_VALUE(list.is_array(), name, " is a ", list.type_name(), ", expected a list");
  TORCH_CHECK_VALUE(list.size() == count, name, " has ", list.size(), " entries, sentences has ", count,
                    ": expected as many");
  std::vector<int32_t> numbers;
  numbers.reserve(count);
  for (const Json& value : list) numbers.push_back(static_cast<int32_t>(WholeNumber(value, name, least, most)));
  return numbers;
}

std::vector<std::vector<std::string>> Sentences(const Json& list) {
  TORCH_CHECK_VALUE(list.is_array(), "sentences is a ", list.type_name(), ", expected a list of lists of token names");
  std::vector<std::vector<std::string>> sentences;
  sentences.reserve(list.size());
  for (const Json& item : list) {
    TORCH_CHECK_VALUE(item.is_array() && !item.empty(), "sentence ", sentences.size(), " is ", Shown(item),
                      ", expected a list of token names");
    std::vector<std::string>& tokens = sentences.emplace_back();
    tokens.reserve(item.size());
    for (const Json& token : item) {
      TORCH_CHECK_VALUE(token.is_string(), "sentence ", sentences.size() - 1, " has the token ", Shown(token),
                        ", expected a name");
      tokens.push_back(token.get<std::string>());
    }
  }
  return sentences;
}

std::string Text(const Json& object, const char* name) {
  const Json& value = Field(object, name);
  TORCH_CHECK_VALUE(value.is_string() || value.is_null(), "background: ", name, " is ", Shown(value),
                    ", expected text");
  return value.is_null() ? "" : value.get<std::string>();
}

PersonDocument::Background BackgroundOf(const Json& object) {
  TORCH_CHECK_VALUE(object.is_object(), "background is a ", object.type_name(), ", expected an object");
  PersonDocument::Background background;
  background.has_origin = object.contains("origin");
  if (background.has_origin) background.origin = Text(object, "origin");
  background.gender = Text(object, "gender");
  background.birth_month = static_cast<int32_t>(WholeNumber(Field(object, "birth_month"), "birth_month", 1, 12));
  background.birth_year = static_cast<int32_t>(WholeNumber(Field(object, "birth_year"), "birth_year", 0, 9999));
  return background;
}

PersonDocument FromJson(const Json& json) {
  TORCH_CHECK_VALUE(json.is_object(), "a ", json.type_name(), ", expected an object");
  PersonDocument document;
  document.person_id = WholeNumber(Field(json, "person_id"), "person_id", INT64_MIN, INT64_MAX);
  document.sentences = Sentences(Field(json, "sentences"));
  const size_t count = document.sentences.size();
  document.abspos = WholeNumbers(Field(json, "abspos"), "abspos", count, kInt32Min, kInt32Max);
  document.age = WholeNumbers(Field(json, "age"), "age", count, kInt16Min, kInt16Max);
  if (!IsNull(json, "segment")) document.segment = WholeNumbers(json["segment"], "segment", count, 0, 3);
  if (!IsNull(json, "timecut_pos")) {
    document.timecut_pos = WholeNumber(json["timecut_pos"], "timecut_pos", 0, static_cast<int64_t>(count));
  }
  if (!IsNull(json, "background")) document.background = BackgroundOf(json["background"]);
  return document;
}

}  // namespace

PersonDocument ParsePersonDocument(std::string_view json) {
  std::string fault;
  try {
    return FromJson(Json::parse(json));
  } catch (const nlohmann::json::exception& e) {
    fault = e.what();
    fault.resize(std::min(fault.size(), fault.find("; last read")));  // a life, which no error should quote
  }
  TORCH_CHECK_VALUE(false, fault);
}

}  // namespace lifescope
