#include "server/intervention/clean_values.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/intervention/feature_edit.h"
#include "server/intervention/read_needs.h"
#include "server/intervention/target.h"

namespace lifescope {

CleanValues::CleanValues(const Run& run, const Hyperparameters& hyperparameters)
    : run_(run), wants_final_(run.documents.size(), false), final_(run.documents.size()) {
  for (const Intervention& intervention : run.interventions) {
    for (const Edit& edit : intervention.edits) {
      const HookPoint point = EditHookPoint(run, edit.target);
      if (const auto* donor = std::get_if<Donor>(&edit.mode)) Want(donor->document, point, donor->intervention);
      if (const auto* path = std::get_if<PathFrom>(&edit.mode)) {
        const HookPoint sender = EditHookPoint(run, path->sender);
        Want(path->donor.document, sender, path->donor.intervention);
        for (size_t d = 0; d < run.documents.size(); ++d) {
          if (Covers(edit.documents, static_cast<int64_t>(d))) Want(static_cast<int64_t>(d), sender);
        }
      }
      if (const auto* mean = std::get_if<lifescope::Mean>(&edit.mode)) {
        for (const int64_t document : mean->documents) Want(document, point);
      }
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

void CleanValues::PutRows(int64_t document, const HookPoint& point, at::Tensor rows, int64_t intervention) {
  Kept& kept = kept_.at({intervention, document});
  kept.rows[std::find(kept.points.begin(), kept.points.end(), point) - kept.points.begin()] = std::move(rows);
}

const at::Tensor& CleanValues::Rows(int64_t document, const HookPoint& point, int64_t intervention) const {
  const Kept& kept = kept_.at({intervention, document});
  return kept.rows[std::find(kept.points.begin(), kept.points.end(), point) - kept.points.begin()];
}

const at::Tensor& CleanValues::Mean(const HookPoint& point, const std::vector<int64_t>& documents) {
  at::Tensor& mean = means_[{-1, point.ToString(), documents}];
  if (mean.defined()) return mean;
  at::Tensor sum;
  int64_t count = 0;
  for (const int64_t document : documents) {
    const at::Tensor rows = Rows(document, point);
    const at::Tensor part = rows.to(at::kDouble).sum(0);
    sum = sum.defined() ? sum + part : part;
    count += rows.size(0);
  }
  mean = sum / static_cast<double>(count);
  return mean;
}

const at::Tensor& CleanValues::FeatureMean(int64_t dictionary, const std::vector<int64_t>& documents) {
  const Dictionary& encoder = *run_.dictionaries[dictionary].dictionary;
  const HookPoint& point = run_.dictionaries[dictionary].hook_point;
  at::Tensor& mean = means_[{dictionary, point.ToString(), documents}];
  if (mean.defined()) return mean;
  at::Tensor sum;
  int64_t count = 0;
  for (const int64_t document : documents) {
    const at::Tensor rows = Rows(document, point);
    ForEachChunk(rows.size(0), encoder.feature_count(), [&](int64_t begin, int64_t size) {
      const at::Tensor part = encoder.Encode(rows.narrow(0, begin, size)).to(at::kDouble).sum(0);
      sum = sum.defined() ? sum + part : part;
    });
    count += rows.size(0);
  }
  mean = sum / static_cast<double>(count);
  return mean;
}

}  // namespace lifescope
