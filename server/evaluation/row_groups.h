// Subgroups of the positions of a corpus, for figures of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/evaluation/corpus_concepts.h"

namespace lifescope {

struct RowGroups {
  std::vector<std::string> names;
  // Appends the groups of a position of the corpus' document of that index: any number of them.
  std::function<void(int64_t index, const Document& document, int64_t position, std::vector<int64_t>* groups)> append =
      {};
};

// One group for each category of the vocabulary, of which a token's own is one. `corpus` must outlive it.
RowGroups GroupByTokenCategory(const Corpus& corpus);
// One group for each value of a trait or label, "person.sector = transport"; positions of events alone.
RowGroups GroupByConcept(CorpusConcepts concepts);

}  // namespace lifescope
