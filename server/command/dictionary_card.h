// What is known of a dictionary's quality, on one page: for a terminal, as JSON, as a plot.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/evaluation/dictionary_evaluation.h"
#include "server/plot/line_plot.h"

namespace lifescope {

// Metrics that belong together. Each has a definition in metric_definition.h.
struct CardSection {
  std::string title;
  std::vector<Measurement> metrics;
  std::string note = {};  // what they are of, or why there are none
  // Of a crosscoder: where these are figures of one of its hook points, that one.
  std::string hook_point = {};
};

struct DictionaryCard {
  struct Artifact {
    std::string name, digest;
  };
  Artifact dictionary, model, corpus;
  // Of a crosscoder that reads several.
  std::vector<Artifact> other_models;
  // `kind` as dictionary_origin.h has it.
  std::string kind, architecture;
  // What it reads; of a crosscoder its hook points joined by '+'.
  std::string hook_point;
  // Of a transcoder, what it predicts; else empty.
  std::string output_hook_point;
  int64_t feature_count = 0;
  // Of a ThresholdedDictionary; 0: the dictionary as it is.
  double threshold = 0;
  DictionaryEvaluationOptions options;
  DictionaryEvaluation evaluation;
  // As they are shown; SectionsOf(evaluation), and whatever else was measured.
  std::vector<CardSection> sections;
  // Of the covariance of the decoder directions that fire, largest first; empty: not measured.
  std::vector<double> spectrum = {};
};

std::vector<CardSection> SectionsOf(const DictionaryEvaluation& evaluation);

// A crosscoder's card as one card for each of its hook points, with the figures there as its own; the others as they
// are.
std::vector<DictionaryCard> ByHookPoint(const std::vector<DictionaryCard>& cards);

// The first metric of that name; a value of NaN, with a note, where the card has none. Not those of single hook points
// of a crosscoder.
Measurement MetricOf(const DictionaryCard& card, const std::string& name);

// Every figure with version, formula and reference of its definition.
nlohmann::json ToJson(const DictionaryCard& card);
// Tables, and the densities as a sparkline.
std::string ToText(const DictionaryCard& card);

// One letter cell per count, as high as its share of the largest; a space for none.
std::string Sparkline(const std::vector<int64_t>& counts);

// Share of the features by log10 density, one staircase for each card.
LinePlot DensityPlot(const std::vector<DictionaryCard>& cards);

// Eigenvalues of the spectrum by rank, both as log10; those that are 0 to rounding are left out.
LinePlot SpectrumPlot(const DictionaryCard& card);

// L0 against a metric: a colour for each kind, named in the legend, and each card named beside its point. Points of one
// kind are joined, by L0, when they are of the same model, hook point and number of features, and not cut down by a
// threshold.
LinePlot ParetoPlot(const std::vector<DictionaryCard>& cards, const std::string& metric, const std::string& label);

}  // namespace lifescope
