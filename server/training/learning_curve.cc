#include "server/training/learning_curve.h"

#include <algorithm>
#include <cstdio>

#include "server/plot/line_plot.h"

namespace lifescope {
namespace {

// Points of the batches' curve: more cannot be told apart.
constexpr size_t kMostPoints = 500;
// Steps of the running mean: a fiftieth of the run.
constexpr size_t kSmoothingShare = 50;

// Means of the masked-token loss over consecutive groups of `width` lines, at the middle of each.
PlotLine Means(const std::vector<LossLine>& lines, size_t width) {
  PlotLine line;
  for (size_t begin = 0; begin < lines.size(); begin += width) {
    const size_t end = std::min(begin + width, lines.size());
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += lines[i].mlm_loss;
    line.x.push_back(static_cast<double>(lines[begin].step + lines[end - 1].step) / 2);
    line.y.push_back(sum / static_cast<double>(end - begin));
  }
  return line;
}

std::string Labelled(const char* name, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), "%s %.3f", name, value);
  return text;
}

}  // namespace

std::string LearningCurve(const std::string& model, const std::vector<LossLine>& lines, double unigram_loss) {
  LinePlot plot;
  plot.title = "Pre-training of " + model;
  plot.x_label = "optimiser step";
  plot.y_label = "masked-token loss, nats";

  PlotLine batches = Means(lines, (lines.size() + kMostPoints - 1) / kMostPoints);
  batches.style = PlotStyle::kFaint;
  PlotLine smooth = Means(lines, std::max<size_t>(1, lines.size() / kSmoothingShare));
  smooth.name = "training";
  PlotLine validation;
  for (const LossLine& line : lines) {
    if (!line.validation_mlm_loss) continue;
    validation.x.push_back(static_cast<double>(line.step));
    validation.y.push_back(*line.validation_mlm_loss);
  }
  if (!validation.y.empty()) validation.name = Labelled("validation", validation.y.back());
  validation.style = PlotStyle::kMarked;
  validation.colour = 1;
  PlotLine unigram;
  unigram.name = Labelled("token frequencies alone", unigram_loss);
  unigram.x = {0, static_cast<double>(lines.empty() ? 1 : lines.back().step)};
  unigram.y = {unigram_loss, unigram_loss};
  unigram.style = PlotStyle::kDashed;
  unigram.colour = 2;
  plot.lines = {batches, smooth, unigram, validation};
  return ToSvg(plot);
}

}  // namespace lifescope
