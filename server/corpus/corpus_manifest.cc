#include "server/corpus/corpus_manifest.h"

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "server/artifact/json_object.h"

namespace lifescope {
namespace {

using Json = nlohmann::json;

constexpr char kFormat[] = "lifescope.corpus";
constexpr int64_t kVersion = 1;
constexpr const char* kSplitNames[] = {"train", "validation", "test"};

Json TraitsToJson(const std::vector<Trait>& traits) {
  Json array = Json::array();
  for (const Trait& trait : traits) array.push_back({{"name", trait.name}, {"values", trait.values}});
  return array;
}

std::vector<Trait> TraitsFromJson(const Json& array) {
  std::vector<Trait> traits;
  for (const Json& item : array) {
    traits.push_back({item.at("name").get<std::string>(), item.at("values").get<std::vector<std::string>>()});
  }
  return traits;
}

CorpusListing ListingFromJson(const Json& json) {
  TORCH_CHECK_VALUE(json.at("format") == kFormat && json.at("version") == kVersion, "format ", json.at("format").dump(),
                    " version ", json.at("version").dump(), ", expected \"", kFormat, "\" version ", kVersion);
  CorpusListing listing;
  CorpusManifest& manifest = listing.manifest;
  manifest.person_count = json.at("person_count").get<int64_t>();
  manifest.token_count = json.at("token_count").get<int64_t>();
  manifest.event_count = json.at("event_count").get<int64_t>();
  manifest.max_length = json.at("max_length").get<int64_t>();
  manifest.clipped_person_count = json.at("clipped_person_count").get<int64_t>();
  manifest.origin = json.at("origin").get<std::string>();
  const std::string reference = json.at("reference_date").get<std::string>();
  const std::optional<Date> date = Date::Parse(reference);
  TORCH_CHECK_VALUE(date.has_value(), "reference_date is '", reference, "', expected YYYY-MM-DD");
  manifest.reference_date = *date;
  for (int i = 0; i < 3; ++i) {
    manifest.split_person_counts[i] = json.at("split_person_counts").at(kSplitNames[i]).get<int64_t>();
  }
  for (const auto& [name, file] : json.at("files").items()) {
    listing.files[name] = {file.at("bytes").get<int64_t>(), file.at("sha256").get<std::string>()};
  }
  return listing;
}

}  // namespace

std::string ToJson(const CorpusListing& listing) {
  const CorpusManifest& manifest = listing.manifest;
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"person_count", manifest.person_count},
               {"token_count", manifest.token_count},
               {"event_count", manifest.event_count},
               {"max_length", manifest.max_length},
               {"clipped_person_count", manifest.clipped_person_count},
               {"origin", manifest.origin},
               {"reference_date", manifest.reference_date.ToString()}};
  for (int i = 0; i < 3; ++i) json["split_person_counts"][kSplitNames[i]] = manifest.split_person_counts[i];
  for (const auto& [name, file] : listing.files) {
    json["files"][name] = {{"bytes", file.bytes}, {"sha256", file.sha256}};
  }
  return json.dump(2) + "\n";
}

std::string ToJson(const TraitListing& traits) {
  const Json json = {{"person", TraitsToJson(traits.person)}, {"event", TraitsToJson(traits.event)}};
  return json.dump(2) + "\n";
}

CorpusListing ParseCorpusListing(const std::string& path, const std::string& text) {
  return ParseJson(path, text, ListingFromJson);
}

TraitListing ParseTraitListing(const std::string& path, const std::string& text) {
  return ParseJson(path, text, [](const Json& json) {
    return TraitListing{TraitsFromJson(json.at("person")), TraitsFromJson(json.at("event"))};
  });
}

}  // namespace lifescope
