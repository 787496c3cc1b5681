// A fine-tuned head: what a whole life says about a person, as class probabilities. An artefact of its own, bound to
// the model whose final residual stream it reads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/model/decoder.h"

namespace lifescope {

// From logits to probabilities. The published pooling and CLS heads use softmax, the personality heads SigSoftmax.
enum class Link { kSoftmax, kSigSoftmax };

// Something about a person that is predicted: one class of several.
struct PredictedTarget {
  std::string name;                  // what it was trained on: "trait:illness=cardiac"
  std::vector<std::string> classes;  // "not cardiac", "cardiac"
};

// What head.json says beside the decoder's kind.
struct HeadDescription {
  std::string model_digest;  // "sha256:...": whose final residual stream it reads
  int64_t n_slots = 0;       // slots per document in training: part of the model's function
  Link link = Link::kSoftmax;
  double epsilon = 1e-6;                 // of ScaleNorm
  std::vector<PredictedTarget> targets;  // at least one; all have equally many classes, at least two
  std::string training;                  // how it was trained, as a JSON object; empty: it does not say
};

// Immutable and thread-safe. Gradients flow through to the final residual stream and to the decoder's tensors.
class ClassifierHead {
 public:
  // Throws c10::ValueError naming a tensor whose shape does not fit, or a fault of the description.
  ClassifierHead(HeadDescription description, Decoder decoder);

  // Rows offsets[d] .. offsets[d + 1) of `final` [tokens, hidden] are document d: -> [documents, targets, classes].
  at::Tensor Logits(const at::Tensor& final, const std::vector<int64_t>& offsets,
                    const DecoderOptions& options = {}) const;
  // The link of the logits, of the same shape; sums to 1 over the classes.
  at::Tensor Probabilities(const at::Tensor& logits) const;

  const HeadDescription& description() const { return description_; }
  const Decoder& decoder() const { return decoder_; }
  const DecoderShape& shape() const { return shape_; }
  int64_t target_count() const { return static_cast<int64_t>(description_.targets.size()); }
  int64_t class_count() const { return static_cast<int64_t>(description_.targets.front().classes.size()); }
  at::ScalarType dtype() const;
  at::Device device() const;

 private:
  HeadDescription description_;
  Decoder decoder_;
  DecoderShape shape_;
};

// A head folder {head.safetensors, head.json}, read strictly: an unknown key, a missing tensor, a wrong shape, NaN or
// infinity is refused by file and name. Tensors are named as in the original state dict ("decoder.ff.weight"). `digest`
// is the SHA-256 of the sorted list of file digests.
struct LoadedHead {
  std::shared_ptr<const ClassifierHead> head;
  std::string digest;
};
LoadedHead LoadHead(const std::string& folder, at::ScalarType dtype, at::Device device);

// Makes the folder in one step. Throws c10::ValueError when it exists or cannot be made.
void WriteHead(const std::string& folder, const ClassifierHead& head);

}  // namespace lifescope
