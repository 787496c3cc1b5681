// PostgreSQL URLs.
#pragma once

#include <string>

namespace lifescope {

// `url` with the parameters that bound how long a lost server can go unnoticed, where it does not set them itself.
std::string WithConnectionDefaults(const std::string& url);

}  // namespace lifescope
