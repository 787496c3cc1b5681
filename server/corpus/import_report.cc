#include "server/corpus/import_report.h"

#include <nlohmann/json.hpp>

#include "server/artifact/json_object.h"

namespace lifescope {
namespace {

using Json = nlohmann::json;

}  // namespace

std::string TableImportReport::ToJson() const {
  Json json = {{"person_count", person_count},
               {"event_count", event_count},
               {"unknown_token_count", unknown_token_count},
               {"clipped_person_count", clipped_person_count},
               {"left_out_person_count", left_out_person_count},
               {"eventless_person_count", eventless_person_count},
               {"tables", Json::array()}};
  for (const RowCounts& table : tables) {
    json["tables"].push_back({{"table", table.source},
                              {"row_count", table.row_count},
                              {"skipped_row_count", table.skipped_row_count},
                              {"bad_row_count", table.bad_row_count},
                              {"bad_row_samples", table.bad_row_samples}});
  }
  // A sample cut within a character of UTF-8 must not stop the report.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

TableImportReport TableImportReport::Parse(const std::string& text) {
  return ParseJson("import report", text, [](const Json& json) {
    TableImportReport report;
    report.person_count = json.at("person_count").get<int64_t>();
    report.event_count = json.at("event_count").get<int64_t>();
    report.unknown_token_count = json.at("unknown_token_count").get<int64_t>();
    report.clipped_person_count = json.at("clipped_person_count").get<int64_t>();
    report.left_out_person_count = json.at("left_out_person_count").get<int64_t>();
    report.eventless_person_count = json.at("eventless_person_count").get<int64_t>();
    for (const Json& table : json.at("tables")) {
      report.tables.push_back({table.at("table").get<std::string>(), table.at("row_count").get<int64_t>(),
                               table.at("skipped_row_count").get<int64_t>(), table.at("bad_row_count").get<int64_t>(),
                               table.at("bad_row_samples").get<std::vector<std::string>>()});
    }
    return report;
  });
}

}  // namespace lifescope
