// Prefix hierarchies of a vocabulary: codes of one field that begin alike mean related things (diagnoses of one ICD
// chapter, occupations of one major group).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/corpus/vocabulary.h"

namespace lifescope {

struct CodeGroup {
  std::string name;             // "DIAG_I"
  std::vector<int32_t> tokens;  // ascending, at least two
};

// Ids of the tokens that begin with `field` ("DIAG_") and go on, ascending.
std::vector<int32_t> TokensOfField(const Vocabulary& vocabulary, const std::string& field);

// Tokens of the field by the first `characters` of their code, by name; groups of one token are left out.
std::vector<CodeGroup> GroupCodes(const Vocabulary& vocabulary, const std::string& field, int64_t characters);

}  // namespace lifescope
