#include "server/evaluation/code_groups.h"

#include <map>

namespace lifescope {

std::vector<int32_t> TokensOfField(const Vocabulary& vocabulary, const std::string& field) {
  std::vector<int32_t> tokens;
  for (int32_t id = kFirstContentToken; id < vocabulary.size(); ++id) {
    const std::string& token = vocabulary.token(id);
    if (token.size() > field.size() && token.compare(0, field.size(), field) == 0) tokens.push_back(id);
  }
  return tokens;
}

std::vector<CodeGroup> GroupCodes(const Vocabulary& vocabulary, const std::string& field, int64_t characters) {
  std::map<std::string, std::vector<int32_t>> by_name;
  for (const int32_t id : TokensOfField(vocabulary, field)) {
    by_name[vocabulary.token(id).substr(0, field.size() + static_cast<size_t>(characters))].push_back(id);
  }
  std::vector<CodeGroup> groups;
  for (auto& [name, tokens] : by_name) {
    if (tokens.size() > 1) groups.push_back({name, std::move(tokens)});
  }
  return groups;
}

}  // namespace lifescope
