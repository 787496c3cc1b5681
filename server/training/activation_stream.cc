#include "server/training/activation_stream.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <utility>

#include "server/corpus/position_choice.h"
#include "server/model/packed_batch.h"

namespace lifescope {
namespace {

int64_t WidthAt(const HookPoint& hook_point, const Hyperparameters& hyperparameters) {
  int64_t width = 1;
  for (const int64_t size : ShapeAt(hook_point, hyperparameters)) width *= size;
  return width;
}

}  // namespace

ActivationStream::ActivationStream(std::vector<StreamedModel> models, std::shared_ptr<const Corpus> corpus,
                                   const ActivationStreamOptions& options)
    : models_(std::move(models)),
      corpus_(std::move(corpus)),
      options_(options),
      random_(options.seed),
      buffer_(options.buffer_rows) {
  TORCH_CHECK_VALUE(options_.batch_tokens > 0, "batch_tokens is ", options_.batch_tokens, ", expected at least 1");
  for (const StreamedModel& streamed : models_) {
    const Transformer& model = *streamed.model;
    TORCH_CHECK_VALUE(model.dtype() == models_[0].model->dtype() && model.device() == models_[0].model->device(),
                      streamed.prefix, " is ", model.dtype(), " on ", model.device(), ", the first model ",
                      models_[0].model->dtype(), " on ", models_[0].model->device(), "; expected the same");
    for (const HookPoint& hook_point : streamed.hook_points) {
      hook_point.CheckLayer(model.hyperparameters());
      TORCH_CHECK_VALUE(RowKindOf(hook_point.site) == RowKind::kToken, hook_point.ToString(),
                        ": its rows are not tokens, expected a hook point of the residual stream or of a sublayer");
      sites_.push_back({streamed.prefix + hook_point.ToString(), WidthAt(hook_point, model.hyperparameters())});
    }
  }
  TORCH_CHECK_VALUE(!sites_.empty(), "no hook point, expected at least one");
  if (options_.n_slots == 0) options_.n_slots = models_[0].model->hyperparameters().max_length;
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
  return PositionChoice{!options_.skip_prefix, !options_.skip_separators}.Has(document, position);
}

at::Tensor ActivationStream::Next(int64_t rows) {
  return buffer_.Next(rows, random_, [this] { return NextDocumentRows(); });
}

at::Tensor ActivationStream::Peek(int64_t rows) {
  return buffer_.Peek(rows, random_, [this] { return NextDocumentRows(); });
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
  const c10::NoGradGuard no_grad;
  const at::Device device = models_[0].model->device();
  const PackedBatch batch = MakePackedBatch(inputs, device);
  const at::Tensor chosen = Int64Tensor(rows).to(device);
  std::vector<at::Tensor> columns;
  for (const StreamedModel& streamed : models_) {
    std::vector<at::Tensor> activations(streamed.hook_points.size());
    Hooks hooks;
    ForwardOptions forward;
    forward.hooks = &hooks;
    forward.layer_count = 0;
    for (size_t i = 0; i < activations.size(); ++i) {
      hooks.Capture(streamed.hook_points[i], &activations[i]);
      forward.layer_count = std::max(forward.layer_count, streamed.hook_points[i].layer + 1);
    }
    streamed.model->Forward(batch, forward);
    for (const at::Tensor& activation : activations) {
      columns.push_back(activation.flatten(1).index_select(0, chosen));
    }
  }
  return columns.size() == 1 ? columns[0] : at::cat(columns, 1);
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
  state["next_document"] = Int64Tensor({static_cast<int64_t>(next_document_)});
  buffer_.Save(state);
  return state;
}

void ActivationStream::Restore(const SavedState& state) {
  const Random::State random = RandomStateOf(state, "random");
  const std::vector<int64_t> documents = OrderOf(state, "documents", documents_);
  const int64_t next = Int64Values(state, "next_document", 1)[0];
  TORCH_CHECK_VALUE(next >= 0 && next <= static_cast<int64_t>(documents.size()),
                    "activation stream state: the next document is ", next, ", expected at most ", documents.size());
  buffer_.Load(state, TotalWidth(sites_), models_[0].model->dtype(), models_[0].model->device());
  random_.set_state(random);
  documents_ = documents;
  next_document_ = static_cast<size_t>(next);
}

}  // namespace lifescope
