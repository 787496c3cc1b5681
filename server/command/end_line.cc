#include "server/command/end_line.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "server/command/progress_bar.h"

namespace lifescope {

void PrintEndLine(const std::string& what, const std::string& summary, const std::string& digest, double seconds) {
  const std::string line =
      absl::StrCat("wrote ", what, ": ", summary, " (", DurationText(seconds), ")\n  ", digest, "\n");
  std::fputs(line.c_str(), stdout);
  std::fflush(stdout);
}

std::string CorpusSummary(const Corpus& corpus) {
  const CorpusManifest& manifest = corpus.manifest();
  const int64_t* split = manifest.split_person_counts;
  std::string text = absl::StrCat(manifest.person_count, " persons (", split[0], " train, ", split[1], " validation, ",
                                  split[2], " test), ", manifest.event_count, " events, ", manifest.token_count,
                                  " tokens, vocabulary ", corpus.vocabulary().size());
  if (manifest.clipped_person_count > 0)
    absl::StrAppend(&text, ", ", manifest.clipped_person_count, " persons clipped");
  return text;
}

}  // namespace lifescope
