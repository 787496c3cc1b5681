#include "server/model/hook_point.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <charconv>

namespace lifescope {
namespace {

struct SiteInfo {
  Site site;
  const char* name;
  bool in_block;
  RowKind rows;
};

// In the order of the forward pass, which is the order of `Site`.
constexpr SiteInfo kSites[] = {
    {Site::kEmbedToken, "hook_embed_token", false, RowKind::kToken},
    {Site::kEmbedAge, "hook_embed_age", false, RowKind::kToken},
    {Site::kEmbedAbspos, "hook_embed_abspos", false, RowKind::kToken},
    {Site::kEmbedSegment, "hook_embed_segment", false, RowKind::kToken},
    {Site::kEmbed, "hook_embed", false, RowKind::kToken},
    {Site::kResidPre, "hook_resid_pre", true, RowKind::kToken},
    {Site::kQ, "attn.hook_q", true, RowKind::kToken},
    {Site::kK, "attn.hook_k", true, RowKind::kToken},
    {Site::kV, "attn.hook_v", true, RowKind::kToken},
    {Site::kPhiQ, "attn.hook_phi_q", true, RowKind::kToken},
    {Site::kPhiK, "attn.hook_phi_k", true, RowKind::kToken},
    {Site::kKv, "attn.hook_kv", true, RowKind::kDocument},
    {Site::kKsum, "attn.hook_ksum", true, RowKind::kDocument},
    {Site::kPatternLocal, "attn.hook_pattern_local", true, RowKind::kWindow},
    {Site::kZ, "attn.hook_z", true, RowKind::kToken},
    {Site::kAttnOut, "hook_attn_out", true, RowKind::kToken},
    {Site::kAttnContrib, "hook_attn_contrib", true, RowKind::kToken},
    {Site::kResidMid, "hook_resid_mid", true, RowKind::kToken},
    {Site::kMlpPre, "mlp.hook_pre", true, RowKind::kToken},
    {Site::kMlpPost, "mlp.hook_post", true, RowKind::kToken},
    {Site::kMlpOut, "hook_mlp_out", true, RowKind::kToken},
    {Site::kMlpContrib, "hook_mlp_contrib", true, RowKind::kToken},
    {Site::kResidPost, "hook_resid_post", true, RowKind::kToken},
    {Site::kMlmAct, "mlm.hook_act", false, RowKind::kHeadRow},
    {Site::kMlmNormed, "mlm.hook_normed", false, RowKind::kHeadRow},
    {Site::kSopAct, "sop.hook_act", false, RowKind::kDocument},
};

constexpr std::string_view kBlocks = "blocks.";

const SiteInfo& InfoOf(Site site) { return kSites[static_cast<size_t>(site)]; }

std::string KnownNames() {
  std::string names;
  for (const SiteInfo& info : kSites) {
    names += std::string(names.empty() ? "" : ", ") + (info.in_block ? "blocks.<layer>." : "") + info.name;
  }
  return names;
}

// "3.hook_resid_post" -> 3 and "hook_resid_post"; -1 when the text does not begin with a layer.
int64_t TakeLayer(std::string_view* text) {
  int64_t layer = -1;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), layer);
  const size_t digits = static_cast<size_t>(end - text->data());
  if (error != std::errc() || layer < 0 || digits >= text->size() || (*text)[digits] != '.') return -1;
  text->remove_prefix(digits + 1);
  return layer;
}

bool NeedsGlobalHeads(Site site) {
  return site == Site::kPhiQ || site == Site::kPhiK || site == Site::kKv || site == Site::kKsum;
}

bool NeedsHeads(Site site) { return site == Site::kMlmAct || site == Site::kMlmNormed || site == Site::kSopAct; }

bool Exists(const SiteInfo& info, const Hyperparameters& hyperparameters) {
  if (NeedsHeads(info.site)) return hyperparameters.pretraining_heads;
  if (NeedsGlobalHeads(info.site)) return hyperparameters.n_global() > 0;
  if (info.site == Site::kPatternLocal) return hyperparameters.n_local > 0;
  return true;
}

}  // namespace

std::string HookPoint::ToString() const {
  const SiteInfo& info = InfoOf(site);
  return info.in_block ? std::string(kBlocks) + std::to_string(layer) + "." + info.name : info.name;
}

HookPoint HookPoint::Parse(std::string_view name) {
  std::string_view rest = name;
  int64_t layer = -1;
  if (rest.substr(0, kBlocks.size()) == kBlocks) {
    rest.remove_prefix(kBlocks.size());
    layer = TakeLayer(&rest);
  }
  for (const SiteInfo& info : kSites) {
    if (rest == info.name && info.in_block == (layer >= 0)) return {info.site, layer};
  }
  TORCH_CHECK_VALUE(false, "unknown hook point '", std::string(name.substr(0, 80)), "', expected one of ",
                    KnownNames());
}

void HookPoint::CheckLayer(const Hyperparameters& hyperparameters) const {
  const SiteInfo& info = InfoOf(site);
  if (info.in_block) {
    TORCH_CHECK_VALUE(layer >= 0 && layer < hyperparameters.n_encoders, "hook point '", ToString(), "': layer ", layer,
                      " is not in the model, which has layers 0 to ", hyperparameters.n_encoders - 1);
  } else {
    TORCH_CHECK_VALUE(layer == -1, "hook point '", ToString(), "' is outside the layers, but layer ", layer,
                      " is given");
  }
  if (NeedsHeads(site)) hyperparameters.CheckPretrainingHeads("hook point '" + ToString() + "'");
  TORCH_CHECK_VALUE(Exists(info, hyperparameters), "hook point '", ToString(), "': the model has ",
                    hyperparameters.n_global(), " global and ", hyperparameters.n_local, " local heads");
}

RowKind RowKindOf(Site site) { return InfoOf(site).rows; }

std::vector<int64_t> ShapeAt(const HookPoint& point, const Hyperparameters& h) {
  switch (point.site) {
    case Site::kQ:
    case Site::kK:
    case Site::kV:
    case Site::kZ:
      return {h.n_heads, h.head_dim()};
    case Site::kPhiQ:
    case Site::kPhiK:
    case Site::kKsum:
      return {h.n_global(), h.num_random_features};
    case Site::kKv:
      return {h.n_global(), h.num_random_features, h.head_dim()};
    case Site::kPatternLocal:
      return {h.n_local, h.local_window_size, 3 * h.local_window_size};
    case Site::kMlpPre:
    case Site::kMlpPost:
      return {h.hidden_ff};
    default:
      return {h.hidden_size};
  }
}

std::vector<HookPoint> AllHookPoints(const Hyperparameters& hyperparameters) {
  std::vector<HookPoint> points;
  const auto add = [&](bool in_block, int64_t layer, Site first, Site last) {
    for (const SiteInfo& info : kSites) {
      if (info.in_block == in_block && info.site >= first && info.site <= last && Exists(info, hyperparameters)) {
        points.push_back({info.site, layer});
      }
    }
  };
  add(false, -1, Site::kEmbedToken, Site::kEmbed);
  for (int64_t layer = 0; layer < hyperparameters.n_encoders; ++layer) {
    add(true, layer, Site::kResidPre, Site::kResidPost);
  }
  add(false, -1, Site::kMlmAct, Site::kSopAct);
  return points;
}

void Hooks::Add(const HookPoint& point, Hook hook) { hooks_.emplace_back(point, std::move(hook)); }

void Hooks::Capture(const HookPoint& point, at::Tensor* destination) {
  Add(point, [destination](const at::Tensor& activation) {
    *destination = activation;
    return activation;
  });
}

at::Tensor Hooks::Apply(const HookPoint& point, at::Tensor activation) const {
  for (const auto& [at, hook] : hooks_) {
    if (!(at == point)) continue;
    at::Tensor replaced = hook(activation);
    TORCH_CHECK_VALUE(replaced.defined() && replaced.sizes() == activation.sizes(), "the hook at '", point.ToString(),
                      "' returned ", replaced.defined() ? replaced.sizes() : at::IntArrayRef(), ", expected ",
                      activation.sizes());
    activation = std::move(replaced);
  }
  return activation;
}

bool Hooks::Has(const HookPoint& point) const {
  for (const auto& [at, hook] : hooks_) {
    if (at == point) return true;
  }
  return false;
}

}  // namespace lifescope
