#include "server/intervention/clean_values.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/intervention/feature_edit.h"
#include "server/intervention/target.h"

namespace lifescope {

CleanValues::CleanValues(const Run& run)
    : run_(run),
      points_(run.documents.size()),
      rows_(run.documents.size()),
      wants_final_(run.documents.size(), false),
      final_(run.documents.size()) {
  for (const Intervention& intervention : run.interventions) {
    for (const Edit& edit : intervention.edits) {
      const HookPoint point = EditHookPoint(run, edit.target);
      if (const auto* donor = std::get_if<Donor>(&edit.mode)) Want(donor->document, point);
      if (const auto* mean = std::get_if<lifescope::Mean>(&edit.mode)) {
        for (const int64_t document : mean->documents) Want(document, point);
      }
    }
  }
  for (const Read& read : run.reads) {
    if (!std::holds_alternative<KlToCleanRead>(read.kind)) continue;
    for (size_t d = 0; d < run.documents.size(); ++d) {
      const int64_t document = static_cast<int64_t>(d);
      if (!Covers(read.documents, document)) continue;
      for (const Intervention& intervention : run.interventions) {
        if (Edits(intervention, document)) wants_final_[d] = true;
      }
    }
  }
}

bool CleanValues::Wants(int64_t document, const HookPoint& point) const {
  const std::vector<HookPoint>& points = points_[document];
  return std::find(points.begin(), points.end(), point) != points.end();
}

void CleanValues::Want(int64_t document, const HookPoint& point) {
  if (Wants(document, point)) return;
  points_[document].push_back(point);
  rows_[document].emplace_back();
}

void CleanValues::PutRows(int64_t document, const HookPoint& point, at::Tensor rows) {
  const std::vector<HookPoint>& points = points_[document];
  rows_[document][std::find(points.begin(), points.end(), point) - points.begin()] = std::move(rows);
}

const at::Tensor& CleanValues::Rows(int64_t document, const HookPoint& point) const {
  const std::vector<HookPoint>& points = points_[document];
  return rows_[document][std::find(points.begin(), points.end(), point) - points.begin()];
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
