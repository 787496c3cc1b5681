#include "server/intervention/path_patch.h"

#include <ATen/ATen.h>

#include <utility>

#include "server/intervention/edit.h"
#include "server/intervention/feature_edit.h"

namespace lifescope {
namespace {

// What a change [rows, channels] of the activation at the hook point adds to the residual stream, [rows, hidden].
at::Tensor Write(const HookPoint& point, const at::Tensor& change, const Transformer& model) {
  if (point.layer < 0) return change;
  const BlockWeights& w = model.weights().blocks[static_cast<size_t>(point.layer)];
  switch (point.site) {
    case Site::kZ:
      return w.gate_attention * at::linear(change, w.w_o);
    case Site::kAttnOut:
      return w.gate_attention * change;
    case Site::kMlpPost:
      return w.gate_mlp * at::linear(change, w.w_out);
    case Site::kMlpOut:
      return w.gate_mlp * change;
    default:
      return change;
  }
}

bool IsWrite(Site site) {
  switch (site) {
    case Site::kEmbedToken:
    case Site::kEmbedAge:
    case Site::kEmbedAbspos:
    case Site::kEmbedSegment:
    case Site::kEmbed:
    case Site::kZ:
    case Site::kAttnOut:
    case Site::kAttnContrib:
    case Site::kMlpPost:
    case Site::kMlpOut:
    case Site::kMlpContrib:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool IsStream(const HookPoint& point) {
  switch (point.site) {
    case Site::kEmbed:
    case Site::kResidPre:
    case Site::kAttnIn:
    case Site::kResidMid:
    case Site::kMlpIn:
    case Site::kResidPost:
      return true;
    default:
      return false;
  }
}

bool WritesToStream(const Run& run, const EditTarget& target) {
  const HookPoint point = EditHookPoint(run, target);
  if (std::holds_alternative<FeatureTarget>(target)) {
    const bool reads_apart = point.site == Site::kAttnIn || point.site == Site::kMlpIn;
    return IsWrite(point.site) || (IsStream(point) && !reads_apart);
  }
  const bool is_part = std::holds_alternative<ActivationTarget>(target) || std::holds_alternative<HeadTarget>(target) ||
                       std::holds_alternative<NeuronTarget>(target);
  return is_part && IsWrite(point.site);
}

bool ComesBefore(const HookPoint& sender, const HookPoint& receiver) {
  return std::pair(sender.layer, sender.site) < std::pair(receiver.layer, receiver.site);
}

at::Tensor WriteDifference(const Run& run, const PathFrom& path, int64_t document, const PairedPositions& pairs,
                           const Transformer& model, const CleanValues& clean) {
  const HookPoint point = EditHookPoint(run, path.sender);
  const auto rows = [&](const at::Tensor& all, const std::vector<int64_t>& positions) {
    return all.index_select(0, IndexTensor(positions, all.device()));
  };
  const at::Tensor base = rows(clean.Rows(document, point), pairs.edited);
  const at::Tensor donor = rows(clean.Rows(path.donor.document, point, path.donor.intervention), pairs.donor);
  const std::vector<int64_t> channels = EditedChannels(run, path.sender, model.hyperparameters());
  if (const auto* features = std::get_if<FeatureTarget>(&path.sender)) {
    const Dictionary& dictionary = *run.dictionaries[features->dictionary].dictionary;
    const at::Tensor change = EncodeFeatures(dictionary, donor, channels) - EncodeFeatures(dictionary, base, channels);
    return Write(point, dictionary.DecodeChange(change, channels, base), model);
  }
  const at::Tensor index = IndexTensor(channels, base.device());
  const at::Tensor change = at::zeros_like(base).index_copy_(1, index, (donor - base).index_select(1, index));
  return Write(point, change, model);
}

}  // namespace lifescope
