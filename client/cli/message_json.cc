#include "client/cli/message_json.h"

#include <array>
#include <fstream>
#include <iostream>
#include <optional>
#include <ostream>
#include <regex>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"

namespace lifescope {
namespace {

std::string ReadAll(std::istream& stream) {
  std::string text;
  std::array<char, 1 << 16> block;
  do {
    stream.read(block.data(), block.size());
    text.append(block.data(), stream.gcount());
  } while (stream.good());
  return text;
}

// Fields of the message at `path` ("reads[1].activation") below `descriptor`.
std::string KnownFields(const google::protobuf::Descriptor* descriptor, const std::string& path) {
  const std::vector<std::string> steps = absl::StrSplit(path, '.', absl::SkipEmpty());
  for (const std::string& step : steps) {
    const auto* field = descriptor->FindFieldByName(step.substr(0, step.find('[')));
    if (field == nullptr || field->message_type() == nullptr) return "";
    descriptor = field->message_type();
  }
  std::vector<std::string> names;
  for (int index = 0; index < descriptor->field_count(); ++index) names.push_back(descriptor->field(index)->name());
  return absl::StrJoin(names, ", ");
}

// Protobuf says "(reads[1].activation) hook_pont: Cannot find field." or "(n_slots): invalid value ...".
std::string Reworded(const std::string& problem, const google::protobuf::Descriptor* descriptor) {
  static const std::regex kUnknown(R"((?:\(([^)]*)\) )?(\S+): Cannot find field\.)");
  static const std::regex kInvalid(R"(\(([^)]*)\): (.*))");
  std::smatch match;
  if (std::regex_match(problem, match, kUnknown)) {
    const std::string path = match[1];
    return absl::StrCat(path, path.empty() ? "" : ": ", "unknown field '", match[2].str(),
                        "' (known: ", KnownFields(descriptor, path), ")");
  }
  if (std::regex_match(problem, match, kInvalid)) return absl::StrCat(match[1].str(), ": ", match[2].str());
  return problem;
}

}  // namespace

absl::StatusOr<std::string> ReadInput(const std::string& path) {
  if (path == "-") return ReadAll(std::cin);
  std::ifstream file(path, std::ios::binary);
  std::string text = ReadAll(file);
  // A folder can be opened, but not read.
  if (!file.is_open() || file.bad()) return absl::InvalidArgumentError(absl::StrCat("cannot read '", path, "'"));
  return text;
}

absl::StatusOr<nlohmann::json> ParseJson(const std::string& source, const std::string& text) {
  std::vector<std::set<std::string>> open_objects;
  std::optional<std::string> twice;
  const auto watch_keys = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end) open_objects.pop_back();
    if (event == Event::key && !open_objects.back().insert(value.get<std::string>()).second) twice = value;
    return true;
  };
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text, watch_keys);
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 3, column 5: ..."
    const std::string what = error.what();
    const size_t id_end = what.find("] ");
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": not JSON: ", id_end == std::string::npos ? what : what.substr(id_end + 2)));
  }
  if (twice) return absl::InvalidArgumentError(absl::StrCat(source, ": key '", *twice, "' occurs twice in one object"));
  return json;
}

absl::Status FromJson(const std::string& source, const nlohmann::json& json, google::protobuf::Message& message) {
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": expected an object {...}, found ", json.type_name()));
  }
  const auto status = google::protobuf::util::JsonStringToMessage(json.dump(), &message);
  if (status.ok()) return absl::OkStatus();
  const std::string problem(status.message().data(), status.message().size());
  return absl::InvalidArgumentError(absl::StrCat(source, ": ", Reworded(problem, message.GetDescriptor())));
}

absl::Status PrintJson(const google::protobuf::Message& message, Terminal& terminal) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) return absl::InternalError(std::string(status.message().data(), status.message().size()));
  terminal.out << json;
  return absl::OkStatus();
}

}  // namespace lifescope
