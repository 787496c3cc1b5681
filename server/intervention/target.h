// What an edit or a read refers to in a model: its hook point, its channels, its documents, its pairs of positions.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/intervention/run.h"
#include "server/model/hyperparameters.h"

namespace lifescope {

// Whether a document has one row at the hook point, and not one per position.
bool IsOnePerDocument(const HookPoint& point);

// Whether a read of that kind is taken at positions; the others give one value per document.
bool ReadsPositions(const ReadKind& kind);

// Rows of the document's activation at the hook point that the positions choose: themselves, ascending and without
// repeats, or the only one. Throws as ResolvePositions.
std::vector<int64_t> ResolveRows(const HookPoint& point, const Positions& positions, const Document& document,
                                 const std::string& field);

// Values per row at a hook point: the product of its shape.
int64_t WidthAt(const HookPoint& point, const Hyperparameters& hyperparameters);

// Where the edit happens; of attention edges, where it shows first.
HookPoint EditHookPoint(const Run& run, const EditTarget& target);

// Layers that need not run for the hook point to be passed when the residual stream after them is known, as
// hook_resid_post of the last of them receives it.
int64_t LayersBefore(const HookPoint& point, int64_t n_encoders);

// Layers at the beginning in which the document runs as it does clean: those before the intervention's first edit; none
// where the document itself is edited.
int64_t CleanLayers(const Run& run, const Intervention& intervention, int64_t document, int64_t n_encoders);

// The dictionary that the edit works with; -1: none.
int64_t EditedDictionary(const EditTarget& target);

// The edited channels: columns of the flattened activation, features of the dictionary, columns of its error, or the
// only one of a direction; edges have none.
std::vector<int64_t> EditedChannels(const Run& run, const EditTarget& target, const Hyperparameters& hyperparameters);

// Whether a list of documents, where empty means all, has this one.
bool Covers(const std::vector<int64_t>& documents, int64_t document);

// Whether an edit of the intervention covers the document.
bool Edits(const Intervention& intervention, int64_t document);

// Where the edit takes its value from; null: it needs no donor.
const Donor* DonorOf(const Edit& edit);

// How many interventions must have run before each, as the longest chain of donors.
std::vector<int64_t> DonorDepths(const Run& run);

// Positions of the edited document, ascending, and the donor's position for each.
struct PairedPositions {
  std::vector<int64_t> edited;
  std::vector<int64_t> donor;
};

// Pairs a donor edit's positions (or the two documents' only rows) as run.proto says. Throws c10::IndexError or
// c10::ValueError with a message that starts with `field`, the path of the edit: a position outside a document, a donor
// that is too short, lists of unequal length, an edited position that is named twice.
PairedPositions PairPositions(const Run& run, const Edit& edit, const Donor& donor, int64_t document,
                              const std::string& field);

// A row of a document's clean run.
struct SourceRow {
  int64_t document = 0;
  int64_t row = 0;  // position, or 0 at a hook point with one row per document
};

// What Resample draws for every row of the document at the hook point.
std::vector<SourceRow> DrawSources(const Run& run, const Resample& mode, const HookPoint& point, int64_t document);

// Rows that an edit takes values from: of the clean run (-1) or of an intervention's. Repeats are possible.
struct WantedRows {
  int64_t document = 0;
  HookPoint hook_point;
  int64_t intervention = -1;
};
std::vector<WantedRows> RowsWanted(const Run& run, const Edit& edit);

}  // namespace lifescope
