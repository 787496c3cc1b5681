#include "server/command/measurement.h"

#include <cmath>

#include "absl/strings/str_format.h"
#include "server/evaluation/metric_definition.h"

namespace lifescope {

std::string IntervalText(const Measurement& figure, bool is_signed) {
  return is_signed ? absl::StrFormat("%+.3f [%+.3f, %+.3f]", figure.value, figure.low, figure.high)
                   : absl::StrFormat("%.3f [%.3f, %.3f]", figure.value, figure.low, figure.high);
}

nlohmann::json ToJson(const Measurement& figure) {
  const MetricDefinition& definition = DefinitionOf(figure.metric);
  nlohmann::json json = {{"name", figure.metric},         {"version", definition.version},
                         {"value", figure.value},         {"formula", definition.formula},
                         {"caution", definition.caution}, {"reference", definition.reference}};
  if (!std::isnan(figure.low)) json["interval_95"] = {figure.low, figure.high};
  if (!figure.note.empty()) json["note"] = figure.note;
  return json;
}

}  // namespace lifescope
