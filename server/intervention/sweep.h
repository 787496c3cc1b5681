// Sweeps: one question asked of many places of a model, as a table of interventions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/intervention/alignment.h"
#include "server/intervention/run.h"
#include "server/model/hyperparameters.h"

namespace lifescope {

enum class SweepGrid {
  kLayerByEvent,     // the vectors of an event at a site of every layer
  kLayerByPosition,  // the vector of a position at a site of every layer
  kLayerByHead,      // a head's output at all positions
  kHeadByPosition,   // a head's output at a position, of one layer
  kNeurons,          // an MLP neuron at all positions, of one layer; one row
  kFeatures,         // a feature at all positions; one row
};

struct SweepOptions {
  SweepGrid grid = SweepGrid::kLayerByEvent;
  // Of the grids by event and position: one with a row of the residual stream's width per position.
  Site site = Site::kResidPost;
  // Of the grids by layer; empty: all.
  std::vector<int64_t> layers;
  // Of kHeadByPosition and kNeurons.
  int64_t layer = 0;
  // Of kFeatures: index into Run::dictionaries, and the features that are swept.
  int64_t dictionary = 0;
  std::vector<int64_t> features;
  // Which of the run's documents is edited, and whose values it gets; -1: places are set to 0.
  int64_t base = 0;
  int64_t donor = -1;
  AlignmentRule alignment = AlignmentRule::kSlot;
};

struct SweepCell {
  int64_t row = 0;
  int64_t column = 0;
  Intervention intervention;
};

struct Sweep {
  std::vector<std::string> rows;     // "blocks.0.hook_resid_post", "blocks.1.head 3"
  std::vector<std::string> columns;  // "event 3", "position 17", "neuron 5"
  // Row by row; a place that the donor has no value for is left out.
  std::vector<SweepCell> cells;
  // Positions of the base and of the donor without a partner.
  std::vector<int64_t> base_only, donor_only;
};

// Throws c10::ValueError or c10::IndexError naming the option: a layer that the model does not have, a site of another
// width, no features.
Sweep MakeSweep(const SweepOptions& options, const std::vector<Document>& documents,
                const Hyperparameters& hyperparameters);

}  // namespace lifescope
