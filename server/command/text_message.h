// Messages as people write them: textprotos.
#pragma once

#include <string>

#include "google/protobuf/message.h"

namespace lifescope {

// Throws c10::ValueError "<name>:<line>:<column>: <fault>" on text that is no such message; a field that is not known
// is an error.
void ParseTextMessage(const std::string& name, const std::string& text, google::protobuf::Message* message);

}  // namespace lifescope
