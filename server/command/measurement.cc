#include "server/command/measurement.h"

#include <cmath>

#include "absl/strings/str_format.h"
#include "server/evaluation/metric_definition.h"

namespace lifescope {

std::string NumberText(double value, int decimals) {
  return std::isnan(value) ? "-" : absl::StrFormat("%.*f", decimals, value);
}

std::string IntervalText(const Measurement& figure, bool is_signed) {
  if (std::isnan(figure.value)) return "-";
  const auto text = [is_signed](double value) {
    return is_signed ? absl::StrFormat("%+.3f", value) : absl::StrFormat("%.3f", value);
  };
  if (std::isnan(figure.low)) return text(figure.value);
  return absl::StrFormat("%s [%s, %s]", text(figure.value), text(figure.low), text(figure.high));
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
