#include "server/training/activation_stream.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "server/model/packed_batch.h"

namespace lifescope {
ActivationStream::ActivationStream(std::shared_ptr<const Transformer> model, std::shared_ptr<const Corpus> corpus,
                                   const ActivationStreamOptions& options)
    : model_(std::move(model)), corpus_(std::move(corpus)), options_(options), random_(options.seed) {
  options_.hook_point.CheckLayer(model_->hyperparameters());
  TORCH_CHECK_VALUE(RowKindOf(options_.hook_point.site) == RowKind::kToken, options_.hook_point.ToString(),
                    ": its rows are not tokens, expected a hook point of the residual stream or of a sublayer");
  TORCH_CHECK_VALUE(options_.buffer_rows > 0 && options_.batch_tokens > 0, "buffer_rows ", options_.buffer_rows,
                    ", batch_tokens ", options_.batch_tokens, ": expected at least 1 of each");
  if (options_.n_slots == 0) options_.n_slots = model_->hyperparameters().max_length;
  for (int64_t i = 0; i < corpus_->size(); ++i) {
    if (options_.training_split_only && corpus_->split(i) != Split::kTrain) continue;
    documents_.push_back(i);
    const Document document = corpus_->DocumentAt(i);
    for (int64_t position = 0; position < document.length(); ++position) epoch_rows_ += IsServed(document, position);
  }
  TORCH_CHECK_VALUE(epoch_rows_ > 0, "the corpus has no position to serve", documents_.empty() ? ": no document" : "");
  random_.Shuffle(documents_);
}

bool ActivationStream::IsServed(const Document& document, int64_t position) const {
  if (document.event[position] == 0) return !options_.skip_prefix;
  return !options_.skip_separators || document.token[position] != kSep;
}

at::Tensor ActivationStream::Next(int64_t rows) {
  TORCH_CHECK_VALUE(rows > 0 && rows <= options_.buffer_rows, "rows: ", rows, ", expected 1 to buffer_rows (",
                    options_.buffer_rows, ")");
  if (unread_ < std::max(rows, options_.buffer_rows / 2)) Refill();
  unread_ -= rows;
  rows_served_ += rows;
  return buffer_.narrow(0, unread_, rows);
}

double ActivationStream::MeanSquaredNorm(int64_t rows) {
  TORCH_CHECK_VALUE(rows > 0, "rows: ", rows, ", expected at least 1");
  if (unread_ < std::min(rows, options_.buffer_rows)) Refill();
  const int64_t count = std::min(rows, unread_);
  return buffer_.narrow(0, unread_ - count, count).to(at::kDouble).square().sum(1).mean().item<double>();
}

void ActivationStream::Refill() {
  std::vector<at::Tensor> parts;
  int64_t count = unread_;
  if (unread_ > 0) parts.push_back(buffer_.narrow(0, 0, unread_));
  while (count < options_.buffer_rows) {
    parts.push_back(NextDocumentRows());
    count += parts.back().size(0);
  }
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), int64_t{0});
  random_.Shuffle(order);
  buffer_ = at::cat(parts).index_select(0, Int64Tensor(order).to(model_->device()));
  unread_ = count;
}

at::Tensor ActivationStream::NextDocumentRows() {
  std::vector<Document> documents;
  std::vector<int64_t> rows;
  int64_t tokens = 0;
  while (tokens < options_.batch_tokens) {
    documents.push_back(corpus_->DocumentAt(NextDocument()));
    const Document& document = documents.back();
    for (int64_t position = 0; position < document.length(); ++position) {
      if (IsServed(document, position)) rows.push_back(tokens + position);
    }
    tokens += document.length();
  }
  std::vector<DocumentRows> inputs;
  for (const Document& document : documents) {
    inputs.push_back({document.token.data(), document.abspos.data(), document.age.data(), document.segment.data(),
                      document.length(), options_.n_slots});
  }
  c10::NoGradGuard no_grad;
  at::Tensor activation;
  Hooks hooks;
  hooks.Capture(options_.hook_point, &activation);
  ForwardOptions forward;
  forward.hooks = &hooks;
  forward.layer_count = options_.hook_point.layer + 1;
  model_->Forward(MakePackedBatch(inputs, model_->device()), forward);
  return activation.flatten(1).index_select(0, Int64Tensor(rows).to(model_->device()));
}

int64_t ActivationStream::NextDocument() {
  if (next_document_ == documents_.size()) {
    random_.Shuffle(documents_);
    next_document_ = 0;
  }
  return documents_[next_document_++];
}

SavedState ActivationStream::State() const {
  SavedState state;
  state["random"] = ToTensor(random_);
  state["documents"] = Int64Tensor(documents_);
  state["counts"] = Int64Tensor({static_cast<int64_t>(next_document_), rows_served_});
  state["buffer"] = unread_ > 0 ? buffer_.narrow(0, 0, unread_).to(at::kCPU).contiguous()
                                : at::empty({0, 0}, at::dtype(model_->dtype()));
  return state;
}

void ActivationStream::Restore(const SavedState& state) {
  const Random::State random = RandomStateOf(state, "random");
  const std::vector<int64_t> documents = OrderOf(state, "documents", documents_);
  const std::vector<int64_t> counts = Int64Values(state, "counts", 2);
  TORCH_CHECK_VALUE(counts[0] >= 0 && counts[0] <= static_cast<int64_t>(documents.size()),
                    "activation stream state: the next document is ", counts[0], ", expected at most ",
                    documents.size());
  const at::Tensor& buffer = SavedTensor(state, "buffer", model_->dtype());
  TORCH_CHECK_VALUE(buffer.dim() == 2, "activation stream state: 'buffer' has ", buffer.dim(),
                    " dimensions, expected 2");
  random_.set_state(random);
  documents_ = documents;
  next_document_ = static_cast<size_t>(counts[0]);
  rows_served_ = counts[1];
  buffer_ = buffer.to(model_->device());
  unread_ = buffer.size(0);
}

}  // namespace lifescope
