#include "server/command/open_sites.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "absl/strings/str_split.h"
#include "server/command/activation_sources.h"

namespace lifescope {
namespace {

// The model of that name, opened when it is not yet.
const Transformer* ModelNamed(const std::string& home, const std::string& name, OpenedSites& opened) {
  const auto found = std::find_if(opened.models.begin(), opened.models.end(),
                                  [&](const OpenedModel& model) { return model.name == name; });
  if (found != opened.models.end()) return found->transformer.get();
  opened.models.push_back(OpenModel(home, name));
  CheckSameVocabulary(opened.models.back(), opened.corpus);
  return opened.models.back().transformer.get();
}

}  // namespace

OpenedSites OpenSites(const std::string& home, const std::string& dictionary, const std::string& corpus) {
  OpenedSites opened{OpenDictionary(home, dictionary), {}, OpenCorpus(home, corpus), {}};
  const DictionaryInfo& info = opened.dictionary.info;
  const auto sites_at = [&](const std::string& hook_points) {
    std::vector<DictionarySite> sites;
    for (const std::string& name : std::vector<std::string>(absl::StrSplit(hook_points, '+'))) {
      const auto [model, hook_point] = ParseSite(name);
      sites.push_back(
          {name, ModelNamed(home, model.empty() ? info.model : model, opened), HookPoint::Parse(hook_point)});
    }
    return sites;
  };
  ModelNamed(home, info.model, opened);
  opened.sites.reads = sites_at(info.hook_point);
  if (opened.dictionary.is_transcoder()) {
    TORCH_CHECK_VALUE(!info.output_hook_point.empty(), dictionary,
                      ": a transcoder that names no hook point that it predicts; import it with --output-hook");
    opened.sites.predicts = sites_at(info.output_hook_point);
  } else {
    opened.sites.predicts = opened.sites.reads;
  }
  return opened;
}

}  // namespace lifescope
