#include "server/artifact/json_object.h"

#include <cmath>
#include <utility>

#include "server/artifact/artifact.h"

namespace lifescope {

using Json = nlohmann::json;

Json ReadJsonFile(const std::string& path) {
  Json value = Json::parse(ReadFile(path), nullptr, /*allow_exceptions=*/false);
  TORCH_CHECK_VALUE(!value.is_discarded(), path, " is not JSON");
  return value;
}

std::string ShowJson(const Json& value) {
  if (value.is_structured()) return std::string("an ") + value.type_name();
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 80) + "...";
}

std::string Join(const JsonKeys& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

JsonObject::JsonObject(const Json& value, std::string where) : value_(value), where_(std::move(where)) {
  TORCH_CHECK_VALUE(value_.is_object(), where_, " is ", ShowJson(value_), ", expected an object");
}

const Json& JsonObject::At(const std::string& key) const {
  TORCH_CHECK_VALUE(Has(key), where_, ": key '", key, "' is missing");
  return value_.at(key);
}

bool JsonObject::Bool(const std::string& key) const {
  return Checked(key, "true or false", [](const Json& v) { return v.is_boolean(); });
}

int64_t JsonObject::PositiveInteger(const std::string& key) const {
  return Checked(key, "a positive integer",
                 [](const Json& v) { return v.is_number_integer() && v > 0 && v <= INT32_MAX; });
}

double JsonObject::PositiveNumber(const std::string& key) const {
  return Checked(key, "a positive number",
                 [](const Json& v) { return v.is_number() && v > 0 && std::isfinite(v.get<double>()); });
}

std::string JsonObject::Text(const std::string& key) const {
  return Checked(key, "a non-empty string",
                 [](const Json& v) { return v.is_string() && !v.get<std::string>().empty(); });
}

std::string JsonObject::OneOf(const std::string& key, const JsonKeys& values) const {
  return Checked(key, "one of: " + Join(values),
                 [&](const Json& v) { return v.is_string() && values.count(v.get<std::string>()) > 0; });
}

void JsonObject::OnlyKeys(const JsonKeys& known) const {
  for (const auto& item : value_.items()) {
    TORCH_CHECK_VALUE(known.count(item.key()) > 0, where_, ": unknown key '", item.key(),
                      "', expected only: ", Join(known));
  }
}

}  // namespace lifescope
