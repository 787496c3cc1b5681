// The sections of a card that are not of its evaluation: what the dictionary knows of labels and traits, absorption on
// code hierarchies, and the geometry of its weights.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "server/command/evaluation_flags.h"

namespace lifescope {

struct CardSectionFlags {
  int64_t concept_rows = 5000;                       // tokens of each split behind probes and absorption; 0: neither
  std::vector<std::string> fields{"DIAG_", "OCC_"};  // of codes that begin alike when they mean related things
  std::string pairs;                                 // a CSV file: relation,first,second
};

void AddCardSectionOptions(CLI::App& verb, CardSectionFlags& flags);

// Adds them to the card of that evaluation. A section that the corpus has no labels, codes or persons for says so.
void AddCardSections(const CardSectionFlags& flags, const EvaluationFlags& evaluation, DictionaryCard* card);

}  // namespace lifescope
