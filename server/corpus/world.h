// A synthetic world: people with latent traits that drive dated events, in life2vec's own sentence layout, with the
// truth kept beside the corpus. Nothing in it is from real data.
#pragma once

#include <cstdint>
#include <string>

#include "server/corpus/progress.h"

namespace lifescope {

struct WorldOptions {
  int64_t person_count = 2000;
  uint64_t seed = 7;
  int64_t max_length = 256;
};

// Traits of persons: sector, skill, region, income_path, illness, family; of events: sector, region, rung, in_shock
// (entries of the labour register), retired, illness_active, family_state (all entries), chronic_visit and
// chronic_phase (visits for a chronic illness). See docs/world.md for the generative story. Writes a corpus folder.
// Deterministic in the options, on every platform. Throws c10::ValueError on a person_count below 10 or a max_length
// below 16.
// Memory does not grow with the persons but for nine bytes each.
void SynthesizeWorld(const std::string& corpus_folder, const WorldOptions& options, const Progress& progress = {});

// The same world as raw tables: users.csv, synth_labor.csv, synth_health.csv, synth_family.csv in a new folder, as
// world::Description() describes them. Imported with the world's max_length and its seed as the split's they give the
// documents of SynthesizeWorld. Throws c10::ValueError when the folder exists; a killed call leaves a hidden folder
// beside it.
void SynthesizeTables(const std::string& tables_folder, const WorldOptions& options, const Progress& progress = {});

}  // namespace lifescope
