// Descriptions of raw tables as people write them: textprotos of lifescope.v1.TableDescription.
#pragma once

#include <map>
#include <string>

#include "server/corpus/table_description.h"

namespace lifescope {

// Throws c10::ValueError naming `name`, line and column on text that is no TableDescription (a field that is not known
// is an error), or the field on a value that cannot be.
TableDescription ParseTableDescription(const std::string& name, const std::string& text);

// Those that come with lifescoped, by name: deploy/descriptions.
const std::map<std::string, std::string>& TableDescriptionTexts();

// The text of a description that comes with lifescoped, or of a file. Throws c10::ValueError naming those there are.
std::string FindTableDescription(const std::string& name_or_file);

}  // namespace lifescope
