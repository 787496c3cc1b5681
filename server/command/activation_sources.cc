#include "server/command/activation_sources.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/command/home.h"

namespace lifescope {
SiteName ParseSite(const std::string& site) {
  const size_t colon = site.find(':');
  if (colon == std::string::npos) return {"", site};
  return {site.substr(0, colon), site.substr(colon + 1)};
}

OpenedActivations OpenActivationStream(const std::string& home, const std::string& model, const std::string& corpus,
                                       const std::vector<std::string>& sites, const ActivationStreamOptions& options) {
  std::vector<std::pair<std::string, std::vector<HookPoint>>> by_model;
  for (const std::string& site : sites) {
    const auto [name, hook_point] = ParseSite(site);
    const auto found = std::find_if(by_model.begin(), by_model.end(),
                                    [&name = name](const auto& entry) { return entry.first == name; });
    if (found == by_model.end()) {
      by_model.emplace_back(name, std::vector<HookPoint>{HookPoint::Parse(hook_point)});
    } else {
      found->second.push_back(HookPoint::Parse(hook_point));
    }
  }
  const OpenedCorpus opened_corpus = OpenCorpus(home, corpus);
  nlohmann::json origin{{"corpus", corpus}, {"corpus_digest", opened_corpus.corpus->digest()}};
  std::vector<StreamedModel> models;
  for (auto& [name, hook_points] : by_model) {
    const OpenedModel opened = OpenModel(home, name.empty() ? model : name);
    CheckSameVocabulary(opened, opened_corpus);
    models.push_back({opened.transformer, std::move(hook_points), name.empty() ? "" : name + ":"});
    origin["models"].push_back({{"name", opened.name}, {"digest", opened.digest}});
  }
  return {std::make_shared<ActivationStream>(std::move(models), opened_corpus.corpus, options), origin.dump()};
}

}  // namespace lifescope
