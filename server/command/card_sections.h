// The sections of a card that are not of its evaluation: what the dictionary knows of labels and traits, absorption on
// code hierarchies, and the geometry of its weights.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "server/command/evaluation_flags.h"
#include "server/evaluation/dictionary_geometry.h"

namespace lifescope {

struct CardSectionFlags {
  int64_t concept_rows = 5000;                       // tokens of each split behind probes and absorption; 0: neither
  std::vector<std::string> fields{"DIAG_", "OCC_"};  // of codes that begin alike when they mean related things
  std::string pairs;                                 // a CSV file: relation,first,second
};

void AddCardSectionOptions(CLI::App& verb, CardSectionFlags& flags);

// The pairs of --pairs, none without it: to be read before a long evaluation. Throws c10::ValueError naming the file
// and what is wrong: a feature that the dictionary does not have, or fewer than two relations, or as many as pairs;
// and naming a dictionary that is a crosscoder.
FeaturePairs PairsOf(const CardSectionFlags& flags, const std::string& home, const std::string& dictionary);

// Adds them to the card of that evaluation, with figures of these pairs. A section that the corpus has no labels, codes
// or persons for says so.
void AddCardSections(const CardSectionFlags& flags, const EvaluationFlags& evaluation, const FeaturePairs& pairs,
                     DictionaryCard* card);

}  // namespace lifescope
