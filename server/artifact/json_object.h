// Reading JSON that somebody else wrote: every error names the file, the key, what was found and what was expected.
#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace lifescope {

// parse(json); throws c10::ValueError that names `path` when the text is no JSON or `parse` throws about its content.
template <typename Parse>
auto ParseJson(const std::string& path, const std::string& text, const Parse& parse) {
  std::string fault;
  try {
    return parse(nlohmann::json::parse(text));
  } catch (const nlohmann::json::exception& e) {
    fault = e.what();
  } catch (const c10::ValueError& e) {
    fault = e.msg();
  }
  TORCH_CHECK_VALUE(false, path, ": ", fault);
}

// The JSON of a file. Throws c10::ValueError when it cannot be read or is no JSON.
nlohmann::json ReadJsonFile(const std::string& path);

// A value for an error message, of bounded length and depth.
std::string ShowJson(const nlohmann::json& value);

using JsonKeys = std::set<std::string>;
std::string Join(const JsonKeys& names);

// One JSON object; every access says what it expects and throws c10::ValueError starting with `where` when that is not
// there. Refers to the value, which must outlive it.
class JsonObject {
 public:
  JsonObject(const nlohmann::json& value, std::string where);

  bool Has(const std::string& key) const { return value_.contains(key); }
  const nlohmann::json& At(const std::string& key) const;
  template <typename Predicate>
  const nlohmann::json& Checked(const std::string& key, const std::string& expected, Predicate holds) const {
    const nlohmann::json& value = At(key);
    TORCH_CHECK_VALUE(holds(value), where_, ": key '", key, "' is ", ShowJson(value), ", expected ", expected);
    return value;
  }

  bool Bool(const std::string& key) const;
  int64_t PositiveInteger(const std::string& key) const;
  // Finite.
  double PositiveNumber(const std::string& key) const;
  std::string Text(const std::string& key) const;  // not empty
  std::string OneOf(const std::string& key, const JsonKeys& values) const;
  void OnlyKeys(const JsonKeys& known) const;

 private:
  const nlohmann::json& value_;
  const std::string where_;
};

}  // namespace lifescope
