#include "client/cli/answers.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lifescope {

void PrintRunLine(Session& session, const std::string& run_id, const v1::Provenance& provenance) {
  Text line("run ", Style::kDim);
  line.Append(run_id);
  const std::string time = absl::StrFormat("  ·  %.1f ms", provenance.duration_ms());
  line.Append(provenance.device().empty() ? time : absl::StrCat(time, " on ", provenance.device()), Style::kDim);
  PrintLine(session.terminal);
  PrintLine(session.terminal, line);
}

void PrintTitle(Session& session, const std::string& title, const std::string& detail) {
  Text line(title, Style::kBold);
  if (!detail.empty()) line.Append(absl::StrCat("  ", detail), Style::kDim);
  PrintLine(session.terminal, line);
}

}  // namespace lifescope
