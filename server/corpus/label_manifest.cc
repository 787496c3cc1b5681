#include "server/corpus/label_manifest.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "server/artifact/json_object.h"

namespace lifescope {
namespace {

using Json = nlohmann::json;

constexpr char kFormat[] = "lifescope.labels";
constexpr int64_t kVersion = 1;
constexpr LabelScope kScopes[] = {LabelScope::kPerson, LabelScope::kEvent, LabelScope::kToken};
constexpr LabelKind kKinds[] = {LabelKind::kBoolean, LabelKind::kCategory, LabelKind::kNumber};

bool IsNameCharacter(unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-'; }

template <typename Enum, size_t N>
Enum EnumFromJson(const Json& column, const char* key, const Enum (&values)[N]) {
  const std::string text = column.at(key).get<std::string>();
  for (const Enum value : values) {
    if (text == ToString(value)) return value;
  }
  TORCH_CHECK_VALUE(false, key, " of column ", column.at("name").dump(), " is '", text, "'");
}

LabelListing ListingFromJson(const Json& json) {
  TORCH_CHECK_VALUE(json.at("format") == kFormat && json.at("version") == kVersion, "format ", json.at("format").dump(),
                    " version ", json.at("version").dump(), ", expected \"", kFormat, "\" version ", kVersion);
  LabelListing listing;
  listing.corpus_digest = json.at("corpus").get<std::string>();
  for (const Json& item : json.at("columns")) {
    listing.columns.push_back({item.at("name").get<std::string>(), EnumFromJson(item, "scope", kScopes),
                               EnumFromJson(item, "kind", kKinds), item.at("values").get<std::vector<std::string>>(),
                               item.at("definition").get<std::string>()});
    listing.files.push_back({item.at("bytes").get<int64_t>(), item.at("sha256").get<std::string>()});
  }
  CheckLabelColumns(listing.columns);
  return listing;
}

}  // namespace

std::string ToJson(const LabelListing& listing) {
  Json columns = Json::array();
  for (size_t c = 0; c < listing.columns.size(); ++c) {
    const LabelColumn& column = listing.columns[c];
    columns.push_back({{"name", column.name},
                       {"scope", ToString(column.scope)},
                       {"kind", ToString(column.kind)},
                       {"values", column.values},
                       {"definition", column.definition},
                       {"bytes", listing.files[c].bytes},
                       {"sha256", listing.files[c].sha256}});
  }
  const Json json = {
      {"format", kFormat}, {"version", kVersion}, {"corpus", listing.corpus_digest}, {"columns", columns}};
  return json.dump(2) + "\n";
}

LabelListing ParseLabelListing(const std::string& path, const std::string& text) {
  return ParseJson(path, text, ListingFromJson);
}

void CheckLabelColumns(const std::vector<LabelColumn>& columns) {
  TORCH_CHECK_VALUE(!columns.empty(), "no columns, expected at least one");
  std::set<std::string> names;
  for (const LabelColumn& column : columns) {
    const std::string& name = column.name;
    TORCH_CHECK_VALUE(!name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), IsNameCharacter),
                      "column name '", name, "', expected letters, digits, '_', '.' and '-', not starting with '.'");
    TORCH_CHECK_VALUE(names.insert(name).second, "column ", name, " is there twice");
    const std::set<std::string> values(column.values.begin(), column.values.end());
    TORCH_CHECK_VALUE(values.size() == column.values.size(), "column ", name, ": a value is there twice");
    TORCH_CHECK_VALUE((column.kind == LabelKind::kCategory) != values.empty(), "column ", name, ": ", values.size(),
                      " named values, expected some for a category and none for a ", ToString(column.kind));
  }
}

std::string LabelFileName(const LabelColumn& column) {
  const char* ending = column.kind == LabelKind::kBoolean    ? ".i8"
                       : column.kind == LabelKind::kCategory ? ".i32"
                                                             : ".f64";
  return column.name + ending;
}

size_t LabelValueSize(LabelKind kind) {
  switch (kind) {
    case LabelKind::kBoolean:
      return sizeof(int8_t);
    case LabelKind::kCategory:
      return sizeof(int32_t);
    case LabelKind::kNumber:
      break;
  }
  return sizeof(double);
}

int64_t LabelRowCount(LabelScope scope, const CorpusManifest& corpus) {
  switch (scope) {
    case LabelScope::kPerson:
      return corpus.person_count;
    case LabelScope::kEvent:
      return corpus.event_count;
    case LabelScope::kToken:
      break;
  }
  return corpus.token_count;
}

std::vector<int64_t> LabelOffsets(LabelScope scope, const Corpus& corpus) {
  std::vector<int64_t> offsets = {0};
  offsets.reserve(static_cast<size_t>(corpus.size()) + 1);
  for (int64_t i = 0; i < corpus.size(); ++i) {
    const int64_t events = corpus.event_count(i);
    const int64_t rows = scope == LabelScope::kPerson ? 1 : scope == LabelScope::kEvent ? events : corpus.length(i);
    offsets.push_back(offsets.back() + rows);
  }
  return offsets;
}

std::string LabelValueFault(const LabelColumn& column, double value) {
  if (std::isnan(value)) return "";
  if (column.kind == LabelKind::kNumber) return std::isfinite(value) ? "" : "is infinite, expected a finite number";
  const double last = column.kind == LabelKind::kBoolean ? 1 : static_cast<double>(column.values.size()) - 1;
  if (value >= 0 && value <= last && value == std::floor(value)) return "";
  return "is " + std::to_string(value) + ", expected a whole number from 0 to " +
         std::to_string(static_cast<int64_t>(last));
}

}  // namespace lifescope
