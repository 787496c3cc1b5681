// The option that says which positions of two lives are partners.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "lifescope/v1/analysis_service.pb.h"

namespace lifescope {

inline void AddAlignmentRule(CLI::App& verb, v1::AlignmentRule& rule) {
  const std::vector<std::pair<std::string, v1::AlignmentRule>> rules = {{"slot", v1::ALIGNMENT_RULE_SLOT},
                                                                        {"event", v1::ALIGNMENT_RULE_EVENT_NUMBER},
                                                                        {"date", v1::ALIGNMENT_RULE_EVENT_DATE}};
  verb.add_option("--align", rule, "Partners: same position, event k with event k, or events of the same day")
      ->transform(CLI::CheckedTransformer(rules))
      ->option_text("slot|event|date");
}

}  // namespace lifescope
