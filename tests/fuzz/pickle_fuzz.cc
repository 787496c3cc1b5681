// Any bytes as a pickle: read, or refused with std::invalid_argument.
#include <stdexcept>

#include "server/artifact/pickle.h"

namespace {

using lifescope::PickleValue;

void Touch(const PickleValue& value) {
  value.Describe();
  value.GlobalName();
  value.Entries();
  value.State();
  for (const auto kind : {PickleValue::Kind::kList, PickleValue::Kind::kTuple, PickleValue::Kind::kSet}) {
    if (value.Is(kind)) value.Items();
  }
  if (value.Is(PickleValue::Kind::kRecord)) Touch(value.Arguments());
  if (value.Is(PickleValue::Kind::kPersistentId)) value.Id().Describe();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto pickle = lifescope::Pickle::Parse(std::string(reinterpret_cast<const char*>(data), size));
    Touch(pickle.root());
    for (const auto& [key, value] : pickle.root().Entries()) {
      Touch(key);
      Touch(value);
    }
    pickle.root().Find("state_dict");
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
