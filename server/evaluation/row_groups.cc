#include "server/evaluation/row_groups.h"

#include <memory>
#include <unordered_map>
#include <utility>

namespace lifescope {

RowGroups GroupByTokenCategory(const Corpus& corpus) {
  RowGroups groups;
  std::unordered_map<std::string, int64_t> numbers;
  std::vector<int64_t> of_token;
  const Vocabulary& vocabulary = corpus.vocabulary();
  for (int32_t token = 0; token < vocabulary.size(); ++token) {
    const auto [entry, is_new] = numbers.emplace(vocabulary.category(token), static_cast<int64_t>(groups.names.size()));
    if (is_new) groups.names.push_back(entry->first);
    of_token.push_back(entry->second);
  }
  groups.append = [of_token](int64_t, const Document& document, int64_t position, std::vector<int64_t>* out) {
    out->push_back(of_token[static_cast<size_t>(document.token[static_cast<size_t>(position)])]);
  };
  return groups;
}

RowGroups GroupByConcept(CorpusConcepts concepts) {
  RowGroups groups;
  for (int64_t c = 0; c < concepts.size(); ++c) {
    std::string name = concepts.name(c).trait;
    name += " = ";
    groups.names.push_back(name + concepts.name(c).value);
  }
  groups.append = [concepts = std::move(concepts)](int64_t index, const Document& document, int64_t position,
                                                   std::vector<int64_t>* out) {
    const int32_t event = document.event[static_cast<size_t>(position)];
    if (event == 0) return;
    std::vector<int32_t> held;
    concepts.AppendHeldAt(index, event, position, &held);
    out->insert(out->end(), held.begin(), held.end());
  };
  return groups;
}

}  // namespace lifescope
