// Edits of attention edges, compiled for one document.
#pragma once

#include <cstdint>
#include <vector>

#include "server/intervention/run.h"
#include "server/model/transformer.h"

namespace lifescope {

// What an intervention does to a document's attention edges, for row `row` of a batch. The factors of edits that meet
// at an edge multiply. `variant`: the document as its document edits leave it, or null.
std::vector<AttentionEdges> CompileEdges(const Run& run, const Intervention& intervention, int64_t document,
                                         const DocumentVariant* variant, int64_t row, const Transformer& model);

}  // namespace lifescope
