// Any bytes as the JSON of one person: its lists are as long as its sentences are many.
#include <c10/util/Exception.h>

#include "server/corpus/person_document.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto person = lifescope::ParsePersonDocument({reinterpret_cast<const char*>(data), size});
    const size_t count = person.sentences.size();
    const bool fits = person.abspos.size() == count && person.age.size() == count &&
                      (!person.segment.has_value() || person.segment->size() == count);
    if (!fits) __builtin_trap();
  } catch (const c10::ValueError&) {
  }
  return 0;
}
