// life2vec the way its publication runs it: padded [documents, slots] tensors and explicit masks. Written from the
// description of the model alone; it shares no code with the rest of the folder, which it checks.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "server/model/hyperparameters.h"
#include "server/model/packed_batch.h"

namespace lifescope {

// Documents padded to one length, holes included. `input_ids` INT64 [documents, 4, slots]: token, abspos, age, segment;
// 0 in padding.
struct PaddedBatch {
  at::Tensor input_ids;
  at::Tensor mask;  // BOOL [documents, slots]
};

// All documents of `batch` must have the same n_slots.
PaddedBatch PadBatch(const PackedBatch& batch);

// Rows of real tokens of a [documents, slots, ...] tensor, packed: [tokens, ...].
at::Tensor RealRows(const at::Tensor& padded, const at::Tensor& mask);

// A model by its state dict (original names, `sop_decoder`). Const after construction.
class PaddedReference {
 public:
  PaddedReference(std::map<std::string, at::Tensor> state, const Hyperparameters& hyperparameters)
      : state_(std::move(state)), h_(hyperparameters) {}

  // The residual stream after the last layer, [documents, slots, hidden]; rows of padding hold no meaning.
  at::Tensor Forward(const PaddedBatch& batch) const;
  at::Tensor MlmLogits(const at::Tensor& rows) const;
  at::Tensor SopLogits(const at::Tensor& cls) const;

 private:
  const at::Tensor& W(const std::string& name) const { return state_.at(name); }
  at::Tensor TokenMatrix(const std::string& owner) const;
  at::Tensor TimeVector(const std::string& name, const at::Tensor& time, bool cosine) const;
  at::Tensor Embed(const at::Tensor& input_ids) const;
  at::Tensor Favor(const at::Tensor& x, const at::Tensor& projection, bool is_query) const;
  at::Tensor LookAround(const at::Tensor& windows, double outside) const;
  at::Tensor LocalAttention(at::Tensor q, at::Tensor k, at::Tensor v, at::Tensor mask) const;
  at::Tensor Attention(const std::string& layer, const at::Tensor& x, const at::Tensor& mask) const;

  std::map<std::string, at::Tensor> state_;
  Hyperparameters h_;
};

}  // namespace lifescope
