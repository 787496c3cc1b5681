// Feature absorption on the code hierarchies of a vocabulary: does a feature that stands for a group of codes ("a
// diagnosis of chapter I") stay silent on some of its codes, because a more special feature stands for these? The
// recipe is SAEBench's for first letters of words (absorption.h; Chanin et al. 2024, arXiv:2409.14507), with the
// field's tokens in lives as words and groups as letters:
// - validation persons: a logistic regression on activations tells the group from the other codes of the field; its
//   direction is the probe. Main features: probes on the k = 1, 2, ... features of largest mean in the group minus mean
//   outside (sparse_probing.h); those of the last k that raised F1 by more than `split_gain` (a group may be split over
//   several features).
// - test persons: absorption over the tokens of the group that the probe gets right.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/evaluation/absorption.h"
#include "server/evaluation/bootstrap.h"
#include "server/evaluation/corpus_rows.h"

namespace lifescope {

struct HierarchyAbsorptionOptions {
  CorpusScanOptions scan;
  std::string field = "DIAG_";
  int64_t characters = 1;  // of a code that make its group
  CorpusRowOptions rows;   // of the field, of each split
  // Groups with fewer tokens, in group or out, in either split are left out.
  int64_t min_rows = 20;
  int64_t max_main_features = 10;
  double split_gain = 0.03;
  AbsorptionOptions absorption;
  BootstrapOptions bootstrap;
};

struct GroupAbsorption {
  std::string group;
  int64_t code_count = 0;
  int64_t row_count = 0;               // of the group that the probe gets right, of test persons
  double probe_f1 = 0;                 // on test persons
  std::vector<int64_t> main_features;  // ascending
  double main_f1 = 0;                  // of the k-sparse probe over them, on test persons
  double mean_fraction = 0;            // NaN without rows
  double full_rate = 0;
};

struct HierarchyAbsorption {
  std::vector<GroupAbsorption> groups;  // by name
  // Means over the groups that have rows, with intervals over test persons.
  Measurement mean_fraction, full_rate;
};

// `on_progress` in documents of either split. Throws c10::ValueError when the field has no group with enough tokens, or
// naming what does not fit as CheckScan.
HierarchyAbsorption MeasureHierarchyAbsorption(const Transformer& model, const Dictionary& dictionary,
                                               const Corpus& corpus, const HierarchyAbsorptionOptions& options,
                                               const std::function<bool(int64_t done)>& on_progress = {});

}  // namespace lifescope
