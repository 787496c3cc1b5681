// A run as data: documents, interventions (sets of edits), reads; and its result. The engine's own types; the wire
// form is proto/lifescope/v1/run.proto, whose comments give every meaning.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/corpus/document.h"
#include "server/dictionary/dictionary.h"
#include "server/intervention/document_edit.h"
#include "server/intervention/positions.h"
#include "server/intervention/read_kind.h"
#include "server/model/classifier_head.h"
#include "server/model/hook_point.h"

namespace lifescope {

// A dictionary of a run: the engine neither knows nor cares about names.
struct RunDictionary {
  std::shared_ptr<const Dictionary> dictionary;
  HookPoint hook_point;
  // It predicts another place than hook_point: its features can be read there, not edited.
  bool is_transcoder = false;
};

// A fine-tuned head of a run. Hook points call it by this name.
struct RunHead {
  std::string name;
  std::shared_ptr<const ClassifierHead> head;
};

struct ActivationTarget {
  HookPoint hook_point;
};
struct HeadTarget {
  int64_t layer = 0;
  int64_t head = 0;  // global heads first
  // kZ, what it gives before the output projection; or what it reads: kQ, kK, kV.
  Site site = Site::kZ;
};
struct NeuronTarget {
  int64_t layer = 0;
  std::vector<int64_t> neurons;
};
struct FeatureTarget {
  int64_t dictionary = 0;  // index into Run::dictionaries
  std::vector<int64_t> features;
};
// Attention of the edit's positions (the queries) to the keys in one head. Zero cuts it: the keys are as if not there
// for these queries, and what is left of the weights is as much as before; Scale multiplies a key's weight before that.
// In a global head padding keeps its weight. A query of a local head sees keys of three windows: others are no edge.
struct EdgeTarget {
  int64_t layer = 0;
  int64_t head = 0;
  Positions keys;
};
// One channel, the activation's projection x . v / |v| on a direction v; what is orthogonal to v stays. Zero projects
// the direction out, Add moves along it by a length, SetTo, Cap and Floor set or bound the projection.
struct DirectionTarget {
  HookPoint hook_point;
  std::vector<double> vector;  // of the hook point's width, not zero
};
// What a dictionary does not explain, x - decode(encode(x)), as a node beside its features (sparse feature circuits,
// Marks et al. 2024): one channel per channel of its hook point; the features stay.
struct ErrorTarget {
  int64_t dictionary = 0;  // index into Run::dictionaries
};
using EditTarget =
    std::variant<ActivationTarget, HeadTarget, NeuronTarget, FeatureTarget, EdgeTarget, DirectionTarget, ErrorTarget>;

// Every mode gives each channel of the target, at each position of the edit, a new value. `values` are one for all
// channels or one per channel.
struct Zero {};
// The mean over all positions of the clean runs of these documents.
struct Mean {
  std::vector<int64_t> documents;
};
struct SetTo {
  std::vector<double> values;
};
struct Scale {
  double factor = 1;
};
struct Add {
  std::vector<double> values;
};
struct Donor {
  int64_t document = 0;
  Positions positions;  // paired with the edit's, both in the order given
  // An earlier intervention, which edits the document: the value that its run gives, after its edits. -1: the clean
  // run.
  int64_t intervention = -1;
};
// Path patching: the edited hook point, which reads or is the residual stream, gets what the sender writes to the
// stream in the donor's run less what it writes in the edited document's clean run; everything between stays. The
// sender is a head, neurons, features of a dictionary, or a hook point whose value goes to the stream (of attention, of
// an MLP, of the embedding), and comes before the edited point. To follow a path into one head or neuron, take its
// value from this intervention as a donor in a second one.
struct PathFrom {
  EditTarget sender;
  Donor donor;
};
// The value at a position drawn at random, each with the same chance, from all positions of the clean runs of these
// documents. The draw depends on the seed, the list and the edited person and position alone: edits with the same seed
// and list draw the same places, whatever else they edit.
struct Resample {
  std::vector<int64_t> documents;
  uint64_t seed = 0;
};
// The present value, or the bound where it is above (Cap) or below (Floor).
struct Cap {
  std::vector<double> values;
};
struct Floor {
  std::vector<double> values;
};
using EditMode = std::variant<Zero, Mean, SetTo, Scale, Add, Donor, PathFrom, Resample, Cap, Floor>;

// What a feature edit does with the reconstruction error of its positions. Features are chosen (top-k) once, before the
// edit; the others stay as they were.
enum class ErrorMode {
  kDelta,        // x + decode(f') - decode(f): the error of the present activation stays
  kReplace,      // decode(f'): no error
  kFrozenError,  // decode(f') plus the error of the document's clean run: earlier edits do not pass around the features
};

// What the values of SetTo, Add, Cap and Floor count: times a statistic of each channel over all positions of the clean
// runs of these documents. A channel whose statistic is 0 is refused.
struct Unit {
  enum class Kind {
    kAbsolute,           // 1
    kMaximum,            // the largest value
    kQuantile,           // the quantile, interpolated linearly; of a feature, over the positions where it is active
    kStandardDeviation,  // around the mean, divided by the number of positions
  };
  Kind kind = Kind::kAbsolute;
  double quantile = 0;  // in [0, 1]
  std::vector<int64_t> documents = {};
};

// Only positions where a feature is above a value in the document's clean run.
struct Condition {
  int64_t dictionary = 0;  // index into Run::dictionaries; it may be a transcoder
  int64_t feature = 0;
  double above = 0;
};

struct Edit {
  EditTarget target;
  Positions positions;
  EditMode mode;
  ErrorMode error_mode = ErrorMode::kDelta;  // for feature targets
  std::vector<int64_t> documents;            // empty: all
  Unit unit = {};
  std::optional<Condition> condition = {};
};

// What follows the edits of an intervention. The rest is as in the document's clean run, but for edits made within it:
// they come after what is frozen. With DeleteEvent or PadEvent only kPropagate: without their positions no attention is
// as in the clean run.
enum class Scope {
  kPropagate,        // everything
  kFreezePatterns,   // not the attention patterns: q and k of every head, and so phi_q, phi_k and the local patterns
  kFreezeAttention,  // not attention: it reads the clean stream, and so hook_attn_out of unedited sublayers is as clean
  kDirect,           // neither attention nor MLPs: both read the clean stream, which alone carries the edit on
};

// The document edits are made first; positions of edits and reads remain those of the document in the run. An edit
// passes over positions that are gone. A read has NaN there, and a read of features leaves them out of its positions.
struct Intervention {
  std::string name;
  std::vector<Edit> edits;
  Scope scope = Scope::kPropagate;
  std::vector<DocumentEdit> document_edits = {};
};

struct Read {
  std::string name;
  ReadKind kind;
  Positions positions;
  std::vector<int64_t> documents;  // empty: all
};

struct Run {
  std::vector<Document> documents;
  std::vector<RunDictionary> dictionaries;
  std::vector<RunHead> heads;
  std::vector<Intervention> interventions;
  std::vector<Read> reads;
  int64_t n_slots = 0;  // 0: the model's max_length
  bool deterministic = false;
};

struct DocumentResult {
  int64_t document = 0;
  std::vector<ReadValue> values;
};

struct InterventionResult {
  std::string name;
  std::vector<DocumentResult> documents;
};

struct RunResult {
  int64_t n_slots = 0;
  std::vector<DocumentResult> clean;
  std::vector<InterventionResult> interventions;
  // Layers, summed over all forwards: computed, and taken from clean runs instead.
  int64_t layer_passes = 0;
  int64_t shared_layer_passes = 0;
};

}  // namespace lifescope
