// A dictionary whose features stand for tokens, at the token embedding of the struct_small model.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "server/intervention/engine.h"
#include "tests/evaluation/tiny_corpus.h"
#include "tests/support/relu_dictionary.h"

namespace lifescope {

// Feature j is values[i][j] where the token is tokens[i], else 0.
class TokenDictionary : public ReluDictionary {
 public:
  TokenDictionary(const Transformer& model, const std::vector<int32_t>& tokens, const at::Tensor& values)
      : ReluDictionary(64, values.size(1), model.dtype(), 1), values_(values.to(model.dtype())) {
    lifescope::Run run;
    run.documents = {TinyLife(1, {tokens})};
    run.reads = {{"", ActivationRead{{Site::kEmbedToken, -1}}, {}, {}}};
    const at::Tensor embedded = std::get<at::Tensor>(Execute(run, model).clean[0].values[0].value);
    embedding_ = embedded.narrow(0, 4, static_cast<int64_t>(tokens.size()));
  }
  // Feature j is 1 where the token is tokens[j].
  TokenDictionary(const Transformer& model, const std::vector<int32_t>& tokens)
      : TokenDictionary(model, tokens, at::eye(static_cast<int64_t>(tokens.size()))) {}

  at::Tensor Encode(const at::Tensor& x) const override {
    return (x.unsqueeze(1) - embedding_.unsqueeze(0)).abs().sum(2).lt(1e-4).to(dtype()).matmul(values_);
  }

 protected:
  const at::Tensor& embedding() const { return embedding_; }  // [tokens, width]

 private:
  at::Tensor values_;
  at::Tensor embedding_;
};

}  // namespace lifescope
