// Opening what dictionaries are trained on: models of a home over a corpus, at named sites.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/training/activation_stream.h"

namespace lifescope {

// A site's model, empty for the one that is not named, and its hook point: of "other:blocks.1.hook_resid_post".
struct SiteName {
  std::string model, hook_point;
};
SiteName ParseSite(const std::string& site);

struct OpenedActivations {
  std::shared_ptr<ActivationSource> source;
  // What they are made from: a JSON object of names and digests.
  std::string origin;
};

// Sites are hook points of `model`, "blocks.1.hook_resid_post", or of another model of the home,
// "other:blocks.1.hook_resid_post". They stand in the order in which they are named, models together. Throws
// c10::ValueError: no such model, corpus or hook point; models of other vocabularies than the corpus.
OpenedActivations OpenActivationStream(const std::string& home, const std::string& model, const std::string& corpus,
                                       const std::vector<std::string>& sites, const ActivationStreamOptions& options);

}  // namespace lifescope
