#include "server/evaluation/dictionary_sites.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>

#include "server/intervention/target.h"

namespace lifescope {
namespace {

std::string NamesOf(const std::vector<DictionarySite>& sites) {
  std::string names;
  for (const DictionarySite& site : sites) names += (names.empty() ? "" : ", ") + site.name;
  return names;
}

std::vector<DictionarySite> AllOf(const DictionarySites& sites) {
  std::vector<DictionarySite> all = sites.reads;
  all.insert(all.end(), sites.predicts.begin(), sites.predicts.end());
  return all;
}

void CheckWidth(const char* does, int64_t found, const std::vector<DictionarySite>& sites) {
  const std::vector<int64_t> widths = WidthsOf(sites);
  const int64_t expected = std::accumulate(widths.begin(), widths.end(), int64_t{0});
  TORCH_CHECK_VALUE(found == expected, "dictionary: ", does, " vectors of ", found, ", expected ", expected,
                    ", the width of ", NamesOf(sites));
}

}  // namespace

DictionarySites SitesOfAutoencoder(const Transformer& model, const HookPoint& hook_point) {
  const DictionarySite site{hook_point.ToString(), &model, hook_point};
  return {{site}, {site}};
}

std::vector<int64_t> WidthsOf(const std::vector<DictionarySite>& sites) {
  std::vector<int64_t> widths;
  for (const DictionarySite& site : sites) widths.push_back(WidthAt(site.hook_point, site.model->hyperparameters()));
  return widths;
}

void CheckSites(const DictionarySites& sites, const Dictionary& dictionary, const Corpus& corpus,
                const CorpusScanOptions& options) {
  const Transformer* checked = nullptr;
  for (const DictionarySite& site : AllOf(sites)) {
    CheckHookPoint(*site.model, site.hook_point);
    if (site.model != checked) CheckRun(*site.model, dictionary, corpus, options);
    checked = site.model;
  }
  CheckWidth("reads", dictionary.activation_dim(), sites.reads);
  CheckWidth("writes", dictionary.output_dim(), sites.predicts);
}

SiteActivations RunModels(const DictionarySites& sites, const PackedBatch& batch, bool to_the_end) {
  const std::vector<DictionarySite> all = AllOf(sites);
  std::vector<at::Tensor> activations(all.size()), residual(all.size());
  for (size_t first = 0; first < all.size(); ++first) {
    if (activations[first].defined()) continue;
    const Transformer* model = all[first].model;
    Hooks hooks;
    ForwardOptions forward;
    forward.hooks = &hooks;
    int64_t layers = 0;
    for (size_t i = first; i < all.size(); ++i) {
      if (all[i].model != model) continue;
      hooks.Capture(all[i].hook_point, &activations[i]);
      layers = std::max(layers, all[i].hook_point.layer + 1);
    }
    if (!to_the_end) forward.layer_count = layers;
    const at::Tensor last = model->Forward(batch, forward);
    for (size_t i = first; i < all.size(); ++i) {
      if (all[i].model == model) residual[i] = last;
    }
  }
  for (at::Tensor& activation : activations) activation = activation.flatten(1);
  const auto predicted = static_cast<std::ptrdiff_t>(sites.reads.size());
  const std::vector<at::Tensor> read(activations.begin(), activations.begin() + predicted);
  SiteActivations result{
      read.size() == 1 ? read[0] : at::cat(read, 1), {activations.begin() + predicted, activations.end()}, {}};
  if (to_the_end) result.residual.assign(residual.begin() + predicted, residual.end());
  return result;
}

}  // namespace lifescope
