#include "server/intervention/clean_values.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/intervention/feature_edit.h"
#include "server/intervention/read_needs.h"
#include "server/intervention/target.h"
#include "server/intervention/target_values.h"

namespace lifescope {

CleanValues::CleanValues(const Run& run, const Hyperparameters& hyperparameters)
    : run_(run), wants_final_(run.documents.size(), false), final_(run.documents.size()) {
  for (const Intervention& intervention : run.interventions) {
    for (const Edit& edit : intervention.edits) {
      for (const WantedRows& rows : RowsWanted(run, edit)) Want(rows.document, rows.hook_point, rows.intervention);
    }
  }
  for (const Read& read : run.reads) {
    const ReadNeeds needs = NeedsOf(run, read.kind, hyperparameters);
    if (!needs.clean) continue;
    for (size_t d = 0; d < run.documents.size(); ++d) {
      const int64_t document = static_cast<int64_t>(d);
      if (!Covers(read.documents, document)) continue;
      if (std::none_of(run.interventions.begin(), run.interventions.end(),
                       [&](const Intervention& intervention) { return Edits(intervention, document); })) {
        continue;
      }
      if (needs.final) wants_final_[d] = true;
      for (const HookPoint& point : needs.points) Want(document, point);
    }
  }
}

const std::vector<HookPoint>& CleanValues::WantedPoints(int64_t document, int64_t intervention) const {
  static const std::vector<HookPoint> none;
  const auto found = kept_.find({intervention, document});
  return found == kept_.end() ? none : found->second.points;
}

bool CleanValues::Wants(int64_t document, const HookPoint& point, int64_t intervention) const {
  const std::vector<HookPoint>& points = WantedPoints(document, intervention);
  return std::find(points.begin(), points.end(), point) != points.end();
}

void CleanValues::Want(int64_t document, const HookPoint& point, int64_t intervention) {
  if (Wants(document, point, intervention)) return;
  Kept& kept = kept_[{intervention, document}];
  kept.points.push_back(point);
  kept.rows.emplace_back();
}

int64_t CleanValues::WantedBytes(const Hyperparameters& hyperparameters, int64_t element_size) const {
  int64_t values = 0;
  for (const auto& [run, kept] : kept_) {
    const int64_t length = run_.documents[run.second].length();
    for (const HookPoint& point : kept.points) {
      values += (IsOnePerDocument(point) ? 1 : length) * WidthAt(point, hyperparameters);
    }
  }
  for (size_t d = 0; d < wants_final_.size(); ++d) {
    if (wants_final_[d]) values += run_.documents[d].length() * hyperparameters.hidden_size;
  }
  return values * element_size;
}

void CleanValues::PutRows(int64_t document, const HookPoint& point, at::Tensor rows, int64_t intervention) {
  Kept& kept = kept_.at({intervention, document});
  kept.rows[std::find(kept.points.begin(), kept.points.end(), point) - kept.points.begin()] = std::move(rows);
}

const at::Tensor& CleanValues::Rows(int64_t document, const HookPoint& point, int64_t intervention) const {
  const Kept& kept = kept_.at({intervention, document});
  return kept.rows[std::find(kept.points.begin(), kept.points.end(), point) - kept.points.begin()];
}

const at::Tensor& CleanValues::Mean(const HookPoint& point, const std::vector<int64_t>& documents) {
  return MeanOf({point.ToString(), -1, documents}, point, 1, [](const at::Tensor& rows) { return rows; });
}

const at::Tensor& CleanValues::FeatureMean(int64_t dictionary, const std::vector<int64_t>& documents) {
  const auto& [encoder, point, is_transcoder] = run_.dictionaries[dictionary];
  return MeanOf({"features", dictionary, documents}, point, encoder->feature_count(),
                [&encoder = *encoder](const at::Tensor& rows) { return encoder.Encode(rows); });
}

const at::Tensor& CleanValues::ErrorMean(int64_t dictionary, const std::vector<int64_t>& documents) {
  const auto& [encoder, point, is_transcoder] = run_.dictionaries[dictionary];
  return MeanOf({"error", dictionary, documents}, point, encoder->feature_count(),
                [&encoder = *encoder](const at::Tensor& rows) { return ReconstructionError(encoder, rows); });
}

const at::Tensor& CleanValues::MeanOf(const MeanKey& key, const HookPoint& point, int64_t width,
                                      const std::function<at::Tensor(const at::Tensor& rows)>& values) {
  at::Tensor& mean = means_[key];
  if (mean.defined()) return mean;
  at::Tensor sum;
  int64_t count = 0;
  for (const int64_t document : std::get<2>(key)) {
    const at::Tensor rows = Rows(document, point);
    ForEachChunk(rows.size(0), width, [&](int64_t begin, int64_t size) {
      const at::Tensor part = values(rows.narrow(0, begin, size)).to(at::kDouble).sum(0);
      sum = sum.defined() ? sum + part : part;
    });
    count += rows.size(0);
  }
  mean = sum / static_cast<double>(count);
  return mean;
}

const SparseActivations& CleanValues::Features(int64_t dictionary, const std::vector<int64_t>& documents) {
  const auto [entry, is_new] = features_.try_emplace({dictionary, documents});
  if (!is_new) return entry->second;
  const RunDictionary& source = run_.dictionaries[dictionary];
  std::vector<at::Tensor> rows;
  for (const int64_t document : documents) rows.push_back(Rows(document, source.hook_point));
  entry->second = EncodeSparse(*source.dictionary, at::cat(rows));
  return entry->second;
}

const at::Tensor& CleanValues::UnitSizes(const Edit& edit, const Hyperparameters& hyperparameters) {
  at::Tensor& sizes = unit_sizes_[&edit];
  if (sizes.defined()) return sizes;
  const auto* features = std::get_if<FeatureTarget>(&edit.target);
  std::vector<at::Tensor> parts;
  if (features == nullptr) {
    for (const int64_t document : edit.unit.documents) {
      const at::Tensor& rows = Rows(document, EditHookPoint(run_, edit.target));
      parts.push_back(TargetValues(run_, edit.target, hyperparameters, rows).to(at::kDouble));
    }
    sizes = UnitSize(edit.unit, at::cat(parts));
    return sizes;
  }
  const SparseActivations& all = Features(features->dictionary, edit.unit.documents);
  for (const int64_t feature : features->features) {
    const at::Tensor active = all.values.masked_select(all.features.eq(feature)).to(at::kDouble);
    const bool with_zeros = edit.unit.kind != Unit::Kind::kQuantile;
    const at::Tensor zeros = at::zeros({with_zeros ? all.rows() - active.size(0) : 0}, active.options());
    parts.push_back(UnitSize(edit.unit, at::cat({active, zeros}).unsqueeze(1)));
  }
  sizes = at::cat(parts);
  return sizes;
}

}  // namespace lifescope
