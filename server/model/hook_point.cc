#include "server/model/hook_point.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <charconv>

namespace lifescope {
namespace {

// What a site is a part of.
enum class Owner { kModel, kBlock, kHead };

struct SiteInfo {
  Site site;
  const char* name;
  Owner owner;
  RowKind rows;
};

// In the order of the forward pass, which is the order of `Site`.
constexpr SiteInfo kSites[] = {
    {Site::kEmbedToken, "hook_embed_token", Owner::kModel, RowKind::kToken},
    {Site::kEmbedAge, "hook_embed_age", Owner::kModel, RowKind::kToken},
    {Site::kEmbedAbspos, "hook_embed_abspos", Owner::kModel, RowKind::kToken},
    {Site::kEmbedSegment, "hook_embed_segment", Owner::kModel, RowKind::kToken},
    {Site::kEmbed, "hook_embed", Owner::kModel, RowKind::kToken},
    {Site::kResidPre, "hook_resid_pre", Owner::kBlock, RowKind::kToken},
    {Site::kAttnIn, "hook_attn_in", Owner::kBlock, RowKind::kToken},
    {Site::kQ, "attn.hook_q", Owner::kBlock, RowKind::kToken},
    {Site::kK, "attn.hook_k", Owner::kBlock, RowKind::kToken},
    {Site::kV, "attn.hook_v", Owner::kBlock, RowKind::kToken},
    {Site::kPhiQ, "attn.hook_phi_q", Owner::kBlock, RowKind::kToken},
    {Site::kPhiK, "attn.hook_phi_k", Owner::kBlock, RowKind::kToken},
    {Site::kKv, "attn.hook_kv", Owner::kBlock, RowKind::kDocument},
    {Site::kKsum, "attn.hook_ksum", Owner::kBlock, RowKind::kDocument},
    {Site::kPatternLocal, "attn.hook_pattern_local", Owner::kBlock, RowKind::kWindow},
    {Site::kZ, "attn.hook_z", Owner::kBlock, RowKind::kToken},
    {Site::kAttnOut, "hook_attn_out", Owner::kBlock, RowKind::kToken},
    {Site::kAttnContrib, "hook_attn_contrib", Owner::kBlock, RowKind::kToken},
    {Site::kResidMid, "hook_resid_mid", Owner::kBlock, RowKind::kToken},
    {Site::kMlpIn, "hook_mlp_in", Owner::kBlock, RowKind::kToken},
    {Site::kMlpPre, "mlp.hook_pre", Owner::kBlock, RowKind::kToken},
    {Site::kMlpPost, "mlp.hook_post", Owner::kBlock, RowKind::kToken},
    {Site::kMlpOut, "hook_mlp_out", Owner::kBlock, RowKind::kToken},
    {Site::kMlpContrib, "hook_mlp_contrib", Owner::kBlock, RowKind::kToken},
    {Site::kResidPost, "hook_resid_post", Owner::kBlock, RowKind::kToken},
    {Site::kMlmAct, "mlm.hook_act", Owner::kModel, RowKind::kHeadRow},
    {Site::kMlmNormed, "mlm.hook_normed", Owner::kModel, RowKind::kHeadRow},
    {Site::kSopAct, "sop.hook_act", Owner::kModel, RowKind::kDocument},
    {Site::kPoolPattern, "hook_pool_pattern", Owner::kHead, RowKind::kHeadRow},
    {Site::kPersonSummary, "hook_person_summary", Owner::kHead, RowKind::kDocument},
};

constexpr std::string_view kBlocks = "blocks.", kHeads = "heads.";

const SiteInfo& InfoOf(Site site) { return kSites[static_cast<size_t>(site)]; }

const char* Prefix(Owner owner) {
  switch (owner) {
    case Owner::kModel:
      return "";
    case Owner::kBlock:
      return "blocks.<layer>.";
    case Owner::kHead:
      return "heads.<name>.";
  }
  return "";
}

std::string KnownNames() {
  std::string names;
  for (const SiteInfo& info : kSites)
    names += (names.empty() ? "" : ", ") + std::string(Prefix(info.owner)) + info.name;
  return names;
}

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// "3.hook_resid_post" -> 3 and "hook_resid_post"; -1 when the text does not begin with a layer.
int64_t TakeLayer(std::string_view* text) {
  int64_t layer = -1;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), layer);
  const size_t digits = static_cast<size_t>(end - text->data());
  if (error != std::errc() || layer < 0 || digits >= text->size() || (*text)[digits] != '.') return -1;
  text->remove_prefix(digits + 1);
  return layer;
}

// "mortality.hook_person_summary" -> "mortality" and "hook_person_summary"; empty when there is no name. A head's name
// may hold dots, its sites do not.
std::string TakeHead(std::string_view* text) {
  const size_t dot = text->rfind('.');
  if (dot == std::string_view::npos) return "";
  const std::string name(text->substr(0, dot));
  text->remove_prefix(dot + 1);
  return name;
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
  if (info.owner == Owner::kBlock) return std::string(kBlocks) + std::to_string(layer) + "." + info.name;
  if (info.owner == Owner::kHead) return std::string(kHeads) + head + "." + info.name;
  return info.name;
}

HookPoint HookPoint::Parse(std::string_view name) {
  std::string_view rest = name;
  HookPoint point;
  Owner owner = Owner::kModel;
  bool names_owner = true;
  if (StartsWith(rest, kBlocks)) {
    owner = Owner::kBlock;
    rest.remove_prefix(kBlocks.size());
    point.layer = TakeLayer(&rest);
    names_owner = point.layer >= 0;
  } else if (StartsWith(rest, kHeads)) {
    owner = Owner::kHead;
    rest.remove_prefix(kHeads.size());
    point.head = TakeHead(&rest);
    names_owner = !point.head.empty();
  }
  for (const SiteInfo& info : kSites) {
    if (!names_owner || rest != info.name || info.owner != owner) continue;
    point.site = info.site;
    return point;
  }
  TORCH_CHECK_VALUE(false, "unknown hook point '", std::string(name.substr(0, 80)), "', expected one of ",
                    KnownNames());
}

void HookPoint::CheckLayer(const Hyperparameters& hyperparameters) const {
  const SiteInfo& info = InfoOf(site);
  if (info.owner == Owner::kBlock) {
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
    case Site::kPoolPattern:
      TORCH_CHECK_VALUE(false, "the shape at '", point.ToString(), "' is the head's, not the model's");
    default:
      return {h.hidden_size};
  }
}

std::vector<HookPoint> AllHookPoints(const Hyperparameters& hyperparameters) {
  std::vector<HookPoint> points;
  const auto add = [&](Owner owner, int64_t layer, Site first, Site last) {
    for (const SiteInfo& info : kSites) {
      if (info.owner == owner && info.site >= first && info.site <= last && Exists(info, hyperparameters)) {
        points.push_back({info.site, layer});
      }
    }
  };
  add(Owner::kModel, -1, Site::kEmbedToken, Site::kEmbed);
  for (int64_t layer = 0; layer < hyperparameters.n_encoders; ++layer) {
    add(Owner::kBlock, layer, Site::kResidPre, Site::kResidPost);
  }
  add(Owner::kModel, -1, Site::kMlmAct, Site::kSopAct);
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
