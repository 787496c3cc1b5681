// A life as the published pipeline stores it: one JSON object per person, in the words of its PersonDocument.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lifescope {

struct PersonDocument {
  // Empty text: missing.
  struct Background {
    bool has_origin = false;  // life2vec has it, life2vec-light does not
    std::string origin, gender;
    int32_t birth_month = 0, birth_year = 0;
  };

  int64_t person_id = 0;
  std::vector<std::vector<std::string>> sentences;  // token names; no sentence is empty
  std::vector<int32_t> abspos, age;                 // by sentence
  std::optional<std::vector<int32_t>> segment;      // by sentence; usually not stored
  std::optional<int64_t> timecut_pos;               // sentences before the threshold
  std::optional<Background> background;             // none: hidden
};

// Pure. Throws c10::ValueError saying what is wrong: text that is not JSON, a field that is missing or of another type,
// lists of unequal length, an age that is not in whole years. Fields that are not in PersonDocument are ignored.
PersonDocument ParsePersonDocument(std::string_view json);

}  // namespace lifescope
