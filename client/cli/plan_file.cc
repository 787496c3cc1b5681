#include "client/cli/plan_file.h"

#include "client/cli/message_json.h"

namespace lifescope {

absl::StatusOr<v1::RunRequest> ReadPlanFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadInput(path);
  if (!text.ok()) return text.status();
  const absl::StatusOr<nlohmann::json> json = ParseJson(path, *text);
  if (!json.ok()) return json.status();
  v1::RunRequest request;
  const bool is_request = json->is_object() && json->contains("run");
  const absl::Status status =
      is_request ? FromJson(path, *json, request) : FromJson(path, *json, *request.mutable_run());
  if (!status.ok()) return status;
  return request;
}

}  // namespace lifescope
