// Descriptions of label tables as people write them: textprotos of lifescope.v1.LabelDescription.
#pragma once

#include <string>
#include <vector>

#include "server/corpus/label_description.h"

namespace lifescope {

// `path` names the text in errors; files of CSV columns are looked for from its folder. Throws c10::ValueError naming
// line and column on text that is no LabelDescription, or the field on a value that cannot be.
std::vector<LabelColumnDescription> ParseLabelDescription(const std::string& path, const std::string& text);

}  // namespace lifescope
