#include "server/intervention/target.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

std::string DocumentName(int64_t document) { return "documents[" + std::to_string(document) + "]"; }

std::vector<int64_t> CountUp(int64_t first, int64_t count) {
  std::vector<int64_t> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

// Rows of a document at a hook point.
int64_t RowCount(const Run& run, const HookPoint& point, int64_t document) {
  return IsOnePerDocument(point) ? 1 : run.documents[document].length();
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
  if (const auto* head = std::get_if<HeadTarget>(&target)) return {head->site, head->layer};
  if (const auto* neurons = std::get_if<NeuronTarget>(&target)) return {Site::kMlpPost, neurons->layer};
  if (const auto* edges = std::get_if<EdgeTarget>(&target)) return {Site::kZ, edges->layer};
  if (const auto* direction = std::get_if<DirectionTarget>(&target)) return direction->hook_point;
  return run.dictionaries[EditedDictionary(target)].hook_point;
}

int64_t LayersBefore(const HookPoint& point, int64_t n_encoders) {
  if (!point.head.empty()) return n_encoders;
  return point.site == Site::kResidPost ? point.layer + 1 : std::max<int64_t>(point.layer, 0);
}

int64_t CleanLayers(const Run& run, const Intervention& intervention, int64_t document, int64_t n_encoders) {
  if (EditsDocument(intervention.document_edits, document)) return 0;
  int64_t layers = n_encoders;
  for (const Edit& edit : intervention.edits) {
    if (!Covers(edit.documents, document)) continue;
    layers = std::min(layers, LayersBefore(EditHookPoint(run, edit.target), n_encoders));
  }
  return layers;
}

int64_t EditedDictionary(const EditTarget& target) {
  if (const auto* features = std::get_if<FeatureTarget>(&target)) return features->dictionary;
  if (const auto* error = std::get_if<ErrorTarget>(&target)) return error->dictionary;
  return -1;
}

std::vector<int64_t> EditedChannels(const Run& run, const EditTarget& target, const Hyperparameters& hyperparameters) {
  if (const auto* head = std::get_if<HeadTarget>(&target)) {
    return CountUp(head->head * hyperparameters.head_dim(), hyperparameters.head_dim());
  }
  if (const auto* neurons = std::get_if<NeuronTarget>(&target)) return neurons->neurons;
  if (std::holds_alternative<EdgeTarget>(target)) return {};
  if (const auto* features = std::get_if<FeatureTarget>(&target)) return features->features;
  if (std::holds_alternative<DirectionTarget>(target)) return {0};
  return CountUp(0, WidthAt(EditHookPoint(run, target), hyperparameters));
}

bool Covers(const std::vector<int64_t>& documents, int64_t document) {
  return documents.empty() || std::find(documents.begin(), documents.end(), document) != documents.end();
}

bool Edits(const Intervention& intervention, int64_t document) {
  return EditsDocument(intervention.document_edits, document) ||
         std::any_of(intervention.edits.begin(), intervention.edits.end(),
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

std::vector<SourceRow> DrawSources(const Run& run, const Resample& mode, const HookPoint& point, int64_t document) {
  std::vector<SourceRow> pool;
  for (const int64_t source : mode.documents) {
    for (int64_t row = 0; row < RowCount(run, point, source); ++row) pool.push_back({source, row});
  }
  Random person(static_cast<uint64_t>(run.documents[document].person_id));
  Random random(mode.seed ^ person.NextBits());
  std::vector<SourceRow> drawn;
  for (int64_t row = 0; row < RowCount(run, point, document); ++row) {
    drawn.push_back(pool[random.Below(static_cast<int64_t>(pool.size()))]);
  }
  return drawn;
}

std::vector<WantedRows> RowsWanted(const Run& run, const Edit& edit) {
  std::vector<WantedRows> wanted;
  const HookPoint point = EditHookPoint(run, edit.target);
  const auto add = [&](const std::vector<int64_t>& documents) {
    for (const int64_t document : documents) wanted.push_back({document, point});
  };
  const auto add_own = [&](const HookPoint& at) {
    for (int64_t d = 0; d < static_cast<int64_t>(run.documents.size()); ++d) {
      if (Covers(edit.documents, d)) wanted.push_back({d, at});
    }
  };
  if (const auto* donor = std::get_if<Donor>(&edit.mode)) {
    wanted.push_back({donor->document, point, donor->intervention});
  }
  if (const auto* path = std::get_if<PathFrom>(&edit.mode)) {
    const HookPoint sender = EditHookPoint(run, path->sender);
    wanted.push_back({path->donor.document, sender, path->donor.intervention});
    add_own(sender);
  }
  if (const auto* mean = std::get_if<Mean>(&edit.mode)) add(mean->documents);
  if (const auto* resample = std::get_if<Resample>(&edit.mode)) add(resample->documents);
  add(edit.unit.documents);
  if (edit.error_mode == ErrorMode::kFrozenError) add_own(point);
  if (edit.condition.has_value()) add_own(run.dictionaries[edit.condition->dictionary].hook_point);
  return wanted;
}

}  // namespace lifescope
