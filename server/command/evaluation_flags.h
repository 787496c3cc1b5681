// What the verbs that judge dictionaries have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "server/command/dictionary_card.h"

namespace lifescope {

struct EvaluationFlags {
  std::string home, corpus, labels, split = "validation", groups;
  bool skip_separators = false;
  double match_l0 = 0;  // 0: dictionaries as they are; else the L0 that they are cut down to
  DictionaryEvaluationOptions options;
  int32_t threads = 0;
};

void AddEvaluationOptions(CLI::App& verb, EvaluationFlags& flags);

// Opens a dictionary of the home with its model and evaluates it, with a progress bar. Call PrepareCompute first.
DictionaryCard EvaluateByName(const EvaluationFlags& flags, const std::string& dictionary);

}  // namespace lifescope
