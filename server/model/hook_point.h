// Named places in the forward pass where an activation can be read or replaced.
//
// Names follow TransformerLens where a meaning exists. Documents run packed: a "token" row is one real
// position of one document, and the documents of a batch follow each other.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/model/hyperparameters.h"

namespace lifescope {

enum class Site {
  kEmbedToken,     // hook_embed_token          [tokens, hidden]  after centring
  kEmbedAge,       // hook_embed_age            [tokens, hidden]  times its gate
  kEmbedAbspos,    // hook_embed_abspos         [tokens, hidden]  times its gate
  kEmbedSegment,   // hook_embed_segment        [tokens, hidden]  times its gate
  kEmbed,          // hook_embed                [tokens, hidden]  sum of the four
  kResidPre,       // blocks.i.hook_resid_pre   [tokens, hidden]
  kAttnIn,         // blocks.i.hook_attn_in     [tokens, hidden]  what attention reads; the stream keeps its value
  kQ,              // blocks.i.attn.hook_q      [tokens, heads, head_dim]  global heads first
  kK,              // blocks.i.attn.hook_k
  kV,              // blocks.i.attn.hook_v
  kPhiQ,           // blocks.i.attn.hook_phi_q  [tokens, global heads, random features]
  kPhiK,           // blocks.i.attn.hook_phi_k
  kKv,             // blocks.i.attn.hook_kv     [documents, global heads, random features, head_dim]
  kKsum,           // blocks.i.attn.hook_ksum   [documents, global heads, random features], padding included
  kPatternLocal,   // blocks.i.attn.hook_pattern_local  [windows, local heads, w, 3w]; w is at most the longest
                   // document's slots
  kZ,              // blocks.i.attn.hook_z      [tokens, heads, head_dim]  before the output projection
  kAttnOut,        // blocks.i.hook_attn_out    [tokens, hidden]  before the ReZero gate
  kAttnContrib,    // blocks.i.hook_attn_contrib  times the gate
  kResidMid,       // blocks.i.hook_resid_mid
  kMlpIn,          // blocks.i.hook_mlp_in      [tokens, hidden]  what the MLP reads; the stream keeps its value
  kMlpPre,         // blocks.i.mlp.hook_pre     [tokens, hidden_ff]
  kMlpPost,        // blocks.i.mlp.hook_post    [tokens, hidden_ff]
  kMlpOut,         // blocks.i.hook_mlp_out     [tokens, hidden]  before the gate
  kMlpContrib,     // blocks.i.hook_mlp_contrib
  kResidPost,      // blocks.i.hook_resid_post
  kMlmAct,         // mlm.hook_act              [rows, hidden]  tanh(V x)
  kMlmNormed,      // mlm.hook_normed           [rows, hidden]
  kSopAct,         // sop.hook_act              [documents, hidden]  swish(in_layer x)
  kPoolPattern,    // heads.<name>.hook_pool_pattern    [tokens, contexts]  weights of the pooling: sum 1 per document
  kPersonSummary,  // heads.<name>.hook_person_summary  [documents, hidden]  what the head's output layer reads
};

// What a row of an activation is.
enum class RowKind { kToken, kDocument, kWindow, kHeadRow };

struct HookPoint {
  Site site = Site::kEmbed;
  // Layer, or -1 for sites outside the blocks.
  int64_t layer = -1;
  // Name of the fine-tuned head that it is in; empty for sites of the model itself.
  std::string head = "";

  friend bool operator==(const HookPoint& a, const HookPoint& b) {
    return a.site == b.site && a.layer == b.layer && a.head == b.head;
  }

  // "blocks.3.hook_resid_post".
  std::string ToString() const;
  // Throws c10::ValueError that names the text and lists the known names. Whether a model has the layer is for
  // CheckLayer.
  static HookPoint Parse(std::string_view name);
  // Throws c10::ValueError naming the hook point and the model's layers.
  void CheckLayer(const Hyperparameters& hyperparameters) const;
};

RowKind RowKindOf(Site site);
// Sizes after the row: {hidden}, {heads, head_dim}, {hidden_ff}... Throws c10::ValueError at kPoolPattern, whose width
// is the head's number of contexts.
std::vector<int64_t> ShapeAt(const HookPoint& point, const Hyperparameters& hyperparameters);
// Every hook point of a model, in the order of the forward pass; those of fine-tuned heads are no part of it.
std::vector<HookPoint> AllHookPoints(const Hyperparameters& hyperparameters);

// Functions to call at hook points during one forward pass: an argument of the call, never state of the model.
// Not thread-safe; one per call.
class Hooks {
 public:
  // Receives the activation, returns what the forward goes on with: the same tensor to leave it unchanged.
  // It must not write into its argument.
  using Hook = std::function<at::Tensor(const at::Tensor& activation)>;

  // Hooks at one point run in the order in which they were added.
  void Add(const HookPoint& point, Hook hook);
  // A hook that keeps the activation in `*destination`.
  void Capture(const HookPoint& point, at::Tensor* destination);

  // Used by the forward.
  at::Tensor Apply(const HookPoint& point, at::Tensor activation) const;
  bool Has(const HookPoint& point) const;

 private:
  std::vector<std::pair<HookPoint, Hook>> hooks_;
};

}  // namespace lifescope
