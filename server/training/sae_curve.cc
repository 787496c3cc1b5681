#include "server/training/sae_curve.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>

#include "server/plot/line_plot.h"

namespace lifescope {
namespace {

constexpr int64_t kMostPoints = 500;
constexpr int64_t kColumns = 6;  // fields of a point
const char kPoints[] = "points";

}  // namespace

SaeCurve::SaeCurve(int64_t total_steps) : group_(std::max<int64_t>(1, (total_steps + kMostPoints - 1) / kMostPoints)) {}

void SaeCurve::Add(int64_t step, const SaeStep& figures) {
  if (points_.empty() || points_.back().count >= static_cast<double>(group_)) points_.emplace_back();
  Point& point = points_.back();
  point.step = static_cast<double>(step);
  point.count += 1;
  point.loss += figures.loss;
  point.fvu += figures.fvu;
  point.l0 += figures.l0;
  point.dead = static_cast<double>(figures.dead_feature_count);
}

SaeStep SaeCurve::Recent() const {
  SaeStep mean;
  if (points_.empty()) return mean;
  double count = 0;
  const size_t last = points_.size() - 1;
  const size_t first = points_[last].count < static_cast<double>(group_) && last > 0 ? last - 1 : last;
  for (size_t i = first; i <= last; ++i) {
    mean.loss += points_[i].loss;
    mean.fvu += points_[i].fvu;
    mean.l0 += points_[i].l0;
    count += points_[i].count;
  }
  mean.loss /= count;
  mean.fvu /= count;
  mean.l0 /= count;
  mean.dead_feature_count = static_cast<int64_t>(points_[last].dead);
  return mean;
}

std::string SaeCurve::ToCsv() const {
  std::string text = "step,loss,fvu,l0,dead\n";
  for (const Point& p : points_) {
    char line[160];
    std::snprintf(line, sizeof(line), "%.0f,%.6g,%.6g,%.6g,%.0f\n", p.step, p.loss / p.count, p.fvu / p.count,
                  p.l0 / p.count, p.dead);
    text += line;
  }
  return text;
}

std::string SaeCurve::ToSvg(const std::string& dictionary) const {
  LinePlot plot;
  plot.title = "Training of " + dictionary;
  plot.x_label = "optimiser step";
  plot.y_label = "fraction of variance unexplained";
  PlotLine line;
  for (const Point& p : points_) {
    line.x.push_back(p.step);
    line.y.push_back(p.fvu / p.count);
  }
  plot.lines = {line};
  return lifescope::ToSvg(plot);
}

SavedState SaeCurve::State() const {
  at::Tensor points = at::empty({static_cast<int64_t>(points_.size()), kColumns}, at::kDouble);
  double* values = points.data_ptr<double>();
  for (const Point& p : points_) {
    for (const double value : {p.step, p.count, p.loss, p.fvu, p.l0, p.dead}) *values++ = value;
  }
  return {{kPoints, points}};
}

void SaeCurve::Restore(const SavedState& state) {
  const at::Tensor points = SavedTensor(state, kPoints, at::kDouble).contiguous();
  TORCH_CHECK_VALUE(points.dim() == 2 && points.size(1) == kColumns, "saved state: 'points' has shape ", points.sizes(),
                    ", expected [points, ", kColumns, "]");
  points_.clear();
  const double* v = points.data_ptr<double>();
  for (int64_t i = 0; i < points.size(0); ++i, v += kColumns) points_.push_back({v[0], v[1], v[2], v[3], v[4], v[5]});
}

}  // namespace lifescope
