// The last words of a batch verb: what was written, what it is, its digest, how long it took.
#pragma once

#include <string>

#include "server/corpus/corpus.h"

namespace lifescope {

// One line on standard output: "wrote home/corpora/world: 2000 persons, ... (3.1 s)\n  sha256:...".
void PrintEndLine(const std::string& what, const std::string& summary, const std::string& digest, double seconds);

// "2000 persons (1400 train, 300 validation, 300 test), 66851 events, 301223 tokens, vocabulary 244".
std::string CorpusSummary(const Corpus& corpus);

}  // namespace lifescope
