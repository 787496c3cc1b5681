// Settings of codebook trainings (taufeeque9/codebook-features, Tamkin et al. 2023). There the codebook stands in the
// model and learns from its loss; here it learns to reconstruct rows as they are. The optimiser is our own choice:
// Adam, 1e-3. Dead codes are not replaced.
#pragma once

#include <cstdint>

#include "server/dictionary/training/codebook_objective.h"
#include "server/dictionary/training/sae_trainer.h"

namespace lifescope {

struct CodebookRecipe {
  CodebookOptions objective;
  SaeTrainerOptions loop;
};

// The reference's losses by their names. "base": codes by inner product learn from the output.
CodebookRecipe CodebookBase(int64_t width, int64_t code_count);
// "aeloss": from the distance to the rows that chose them too; with a commitment coefficient "fullaeloss".
CodebookRecipe CodebookAeLoss(int64_t width, int64_t code_count);
// "vqvae-0.25": one code per row by Euclidean distance, which learns from that distance alone.
CodebookRecipe CodebookVqVae(int64_t width, int64_t code_count);

}  // namespace lifescope
