#include "server/intervention/target.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <numeric>

namespace lifescope {
namespace {

std::string DocumentName(int64_t document) { return "documents[" + std::to_string(document) + "]"; }

std::vector<int64_t> CountUp(int64_t first, int64_t count) {
  std::vector<int64_t> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

// Sorts pairs by the edited position, which must not repeat.
PairedPositions SortPairs(const std::vector<int64_t>& edited, const std::vector<int64_t>& donor,
                          const std::string& field) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  for (size_t i = 0; i < edited.size(); ++i) pairs.emplace_back(edited[i], donor[i]);
  std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  PairedPositions sorted;
  for (const auto& [to, from] : pairs) {
    TORCH_CHECK_VALUE(sorted.edited.empty() || sorted.edited.back() != to, field, ".positions: position ", to,
                      " twice, expected each position once when donor.positions are given");
    sorted.edited.push_back(to);
    sorted.donor.push_back(from);
  }
  return sorted;
}

}  // namespace

bool IsOnePerDocument(const HookPoint& point) { return RowKindOf(point.site) == RowKind::kDocument; }

bool ReadsPositions(const ReadKind& kind) {
  if (const auto* activation = std::get_if<ActivationRead>(&kind)) return !IsOnePerDocument(activation->hook_point);
  if (const auto* shift = std::get_if<ShiftRead>(&kind)) return !IsOnePerDocument(shift->hook_point);
  return !std::holds_alternative<SopLogitsRead>(kind) && !std::holds_alternative<ClassProbabilityRead>(kind) &&
         !std::holds_alternative<CrossEntropyRead>(kind);
}

std::vector<int64_t> ResolveRows(const HookPoint& point, const Positions& positions, const Document& document,
                                 const std::string& field) {
  if (IsOnePerDocument(point)) return {0};
  return ResolvePositions(positions, document, field);
}

int64_t WidthAt(const HookPoint& point, const Hyperparameters& hyperparameters) {
  const std::vector<int64_t> shape = ShapeAt(point, hyperparameters);
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

HookPoint EditHookPoint(const Run& run, const EditTarget& target) {
  if (const auto* activation = std::get_if<ActivationTarget>(&target)) return activation->hook_point;
  if (const auto* head = std::get_if<HeadTarget>(&target)) return {Site::kZ, head->layer};
  if (const auto* neurons = std::get_if<NeuronTarget>(&target)) return {Site::kMlpPost, neurons->layer};
  if (const auto* edges = std::get_if<EdgeTarget>(&target)) return {Site::kZ, edges->layer};
  return run.dictionaries[std::get<FeatureTarget>(target).dictionary].hook_point;
}

int64_t LayersBefore(const HookPoint& point, int64_t n_encoders) {
  if (!point.head.empty()) return n_encoders;
  return point.site == Site::kResidPost ? point.layer + 1 : std::max<int64_t>(point.layer, 0);
}

int64_t CleanLayers(const Run& run, const Intervention& intervention, int64_t document, int64_t n_encoders) {
  int64_t layers = n_encoders;
  for (const Edit& edit : intervention.edits) {
    if (!Covers(edit.documents, document)) continue;
    layers = std::min(layers, LayersBefore(EditHookPoint(run, edit.target), n_encoders));
  }
  return layers;
}

std::vector<int64_t> EditedChannels(const EditTarget& target, const Hyperparameters& hyperparameters) {
  if (const auto* activation = std::get_if<ActivationTarget>(&target)) {
    return CountUp(0, WidthAt(activation->hook_point, hyperparameters));
  }
  if (const auto* head = std::get_if<HeadTarget>(&target)) {
    return CountUp(head->head * hyperparameters.head_dim(), hyperparameters.head_dim());
  }
  if (const auto* neurons = std::get_if<NeuronTarget>(&target)) return neurons->neurons;
  if (std::holds_alternative<EdgeTarget>(target)) return {};
  return std::get<FeatureTarget>(target).features;
}

bool Covers(const std::vector<int64_t>& documents, int64_t document) {
  return documents.empty() || std::find(documents.begin(), documents.end(), document) != documents.end();
}

bool Edits(const Intervention& intervention, int64_t document) {
  return std::any_of(intervention.edits.begin(), intervention.edits.end(),
                     [&](const Edit& edit) { return Covers(edit.documents, document); });
}

const Donor* DonorOf(const Edit& edit) {
  const auto* path = std::get_if<PathFrom>(&edit.mode);
  return path == nullptr ? std::get_if<Donor>(&edit.mode) : &path->donor;
}

std::vector<int64_t> DonorDepths(const Run& run) {
  std::vector<int64_t> depths(run.interventions.size(), 0);
  for (size_t i = 0; i < depths.size(); ++i) {
    for (const Edit& edit : run.interventions[i].edits) {
      const Donor* donor = DonorOf(edit);
      if (donor != nullptr && donor->intervention >= 0)
        depths[i] = std::max(depths[i], depths[donor->intervention] + 1);
    }
  }
  return depths;
}

PairedPositions PairPositions(const Run& run, const Edit& edit, const Donor& donor, int64_t document,
                              const std::string& field) {
  if (IsOnePerDocument(EditHookPoint(run, edit.target))) return {{0}, {0}};
  const Document& edited_document = run.documents[document];
  const Document& donor_document = run.documents[donor.document];
  if (!donor.positions.all()) {
    const std::vector<int64_t> edited =
        ListPositions(edit.positions, edited_document, field + ".positions", DocumentName(document));
    const std::vector<int64_t> from =
        ListPositions(donor.positions, donor_document, field + ".donor.positions", DocumentName(donor.document));
    TORCH_CHECK_VALUE(edited.size() == from.size(), field, ".donor.positions: ", from.size(), " positions, expected ",
                      edited.size(), ", as many as the edit has in ", DocumentName(document));
    return SortPairs(edited, from, field);
  }
  if (edit.positions.all()) {
    const std::vector<int64_t> both = CountUp(0, std::min(edited_document.length(), donor_document.length()));
    return {both, both};
  }
  const std::vector<int64_t> same =
      ResolvePositions(edit.positions, edited_document, field + ".positions", DocumentName(document));
  TORCH_CHECK_INDEX(same.empty() || same.back() < donor_document.length(), field,
                    ".donor.document: ", DocumentName(donor.document), " has ", donor_document.length(),
                    " positions, expected one at the edit's position ", same.back());
  return {same, same};
}

}  // namespace lifescope
