#include "server/training/sae_curve.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>

#include "server/plot/line_plot.h"

namespace lifescope {
namespace {

constexpr int64_t kMostPoints = 500;
constexpr int64_t kColumns = 7;  // fields of a point, without terms
const char kPoints[] = "points";
const char kTerm[] = "term.";

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
  point.resampled += static_cast<double>(figures.resampled_feature_count);
  for (const auto& [name, value] : figures.terms) point.terms[name] += value;
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
    for (const auto& [name, sum] : points_[i].terms) mean.terms[name] += sum;
  }
  mean.loss /= count;
  mean.fvu /= count;
  mean.l0 /= count;
  for (auto& [name, value] : mean.terms) value /= count;
  mean.dead_feature_count = static_cast<int64_t>(points_[last].dead);
  for (const Point& p : points_) mean.resampled_feature_count += static_cast<int64_t>(p.resampled);
  return mean;
}

std::string SaeCurve::ToCsv() const {
  std::string text = "step,loss";
  if (!points_.empty()) {
    for (const auto& [name, sum] : points_.front().terms) text.append(",term_").append(name);
  }
  text += ",fvu,l0,dead,resampled\n";
  const auto add = [&text](const char* format, double value) {
    char field[40];
    std::snprintf(field, sizeof(field), format, value);
    text += field;
  };
  for (const Point& p : points_) {
    add("%.0f", p.step);
    add(",%.6g", p.loss / p.count);
    for (const auto& [name, sum] : p.terms) add(",%.6g", sum / p.count);
    add(",%.6g", p.fvu / p.count);
    add(",%.6g", p.l0 / p.count);
    add(",%.0f", p.dead);
    add(",%.0f\n", p.resampled);
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
  const auto size = static_cast<int64_t>(points_.size());
  SavedState state{{kPoints, at::empty({size, kColumns}, at::kDouble)}};
  double* values = state[kPoints].data_ptr<double>();
  for (const Point& p : points_) {
    for (const double value : {p.step, p.count, p.loss, p.fvu, p.l0, p.dead, p.resampled}) *values++ = value;
  }
  for (int64_t i = 0; i < size; ++i) {
    for (const auto& [name, sum] : points_[i].terms) {
      at::Tensor& sums = state[kTerm + name];
      if (!sums.defined()) sums = at::empty({size}, at::kDouble);
      sums.data_ptr<double>()[i] = sum;
    }
  }
  return state;
}

void SaeCurve::Restore(const SavedState& state) {
  const at::Tensor points = SavedTensor(state, kPoints, at::kDouble).contiguous();
  TORCH_CHECK_VALUE(points.dim() == 2 && points.size(1) == kColumns, "saved state: 'points' has shape ", points.sizes(),
                    ", expected [points, ", kColumns, "]");
  points_.clear();
  const double* v = points.data_ptr<double>();
  for (int64_t i = 0; i < points.size(0); ++i, v += kColumns) {
    points_.push_back({v[0], v[1], v[2], v[3], v[4], v[5], v[6], {}});
  }
  const SavedState terms = Under(kTerm, state);
  for (const auto& [name, unused] : terms) {
    const at::Tensor sums = SavedTensor(terms, name, at::kDouble).contiguous();
    TORCH_CHECK_VALUE(sums.dim() == 1 && sums.size(0) == points.size(0), "saved state: term '", name, "' has shape ",
                      sums.sizes(), ", expected [", points.size(0), "]");
    for (int64_t i = 0; i < sums.size(0); ++i) points_[i].terms[name] = sums.data_ptr<double>()[i];
  }
}

}  // namespace lifescope
