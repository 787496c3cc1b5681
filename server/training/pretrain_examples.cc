#include "server/training/pretrain_examples.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "server/training/masking.h"

namespace lifescope {
namespace {

// Documents of one validation forward.
constexpr size_t kValidationBatch = 16;

}  // namespace

ExampleStream::ExampleStream(const Corpus& corpus, const PretrainOptions& options)
    : corpus_(corpus), options_(options), random_(options.seed), documents_(corpus.DocumentsOf(Split::kTrain)) {
  TORCH_CHECK_VALUE(!documents_.empty(), "the corpus's training split is empty");
  random_.Shuffle(documents_);
}

std::vector<PretrainExample> ExampleStream::Next() {
  std::vector<PretrainExample> examples;
  for (int64_t i = 0; i < options_.batch_documents; ++i) examples.push_back(NextExample());
  return examples;
}

PretrainExample ExampleStream::NextExample() {
  if (next_document_ == documents_.size()) {
    random_.Shuffle(documents_);
    next_document_ = 0;
    ++epoch_;
  }
  PretrainExample example{corpus_.DocumentAt(documents_[next_document_++]), {}, SentenceOrder::kOriginal};
  if (options_.augmentation.any()) Augment(options_.augmentation, example.document, random_);
  Clip(options_.n_slots, example.document);
  example.order = DrawSentenceOrder(random_);
  ReorderSentences(example.order, example.document, random_);
  example.targets = MaskTokens(options_.mask_ratio, corpus_.vocabulary().size(), example.document, random_);
  return example;
}

SavedState ExampleStream::State() const {
  SavedState state;
  state["random"] = ToTensor(random_);
  state["documents"] = Int64Tensor(documents_);
  state["counts"] = Int64Tensor({static_cast<int64_t>(next_document_), epoch_});
  return state;
}

void ExampleStream::Restore(const SavedState& state) {
  const Random::State random = RandomStateOf(state, "random");
  const std::vector<int64_t> documents = OrderOf(state, "documents", documents_);
  const std::vector<int64_t> counts = Int64Values(state, "counts", 2);
  TORCH_CHECK_VALUE(counts[0] >= 0 && counts[0] <= static_cast<int64_t>(documents.size()),
                    "saved state: the next document is ", counts[0], ", expected at most ", documents.size());
  random_.set_state(random);
  documents_ = documents;
  next_document_ = static_cast<size_t>(counts[0]);
  epoch_ = counts[1];
}

std::vector<PretrainBatch> ValidationBatches(const Corpus& corpus, const PretrainOptions& options) {
  std::vector<int64_t> documents = corpus.DocumentsOf(Split::kValidation);
  if (documents.empty()) documents = corpus.DocumentsOf(Split::kTrain);
  documents.resize(std::min(documents.size(), static_cast<size_t>(options.validation_documents)));
  Random random(options.seed + 2);
  std::vector<PretrainBatch> batches;
  std::vector<PretrainExample> examples;
  for (size_t i = 0; i < documents.size(); ++i) {
    PretrainExample example{corpus.DocumentAt(documents[i]), {}, SentenceOrder::kOriginal};
    if (options.augmentation.shuffle_within_events) ShuffleWithinEvents(example.document, random);
    Clip(options.n_slots, example.document);
    example.targets = MaskTokens(options.mask_ratio, corpus.vocabulary().size(), example.document, random);
    examples.push_back(std::move(example));
    if (examples.size() == kValidationBatch || i + 1 == documents.size()) {
      batches.push_back(PackExamples(examples, options.n_slots, at::kCPU));
      examples.clear();
    }
  }
  return batches;
}

double UnigramLoss(const Corpus& corpus, const PretrainOptions& options, const std::vector<PretrainBatch>& batches) {
  std::vector<double> counts(corpus.vocabulary().size(), 1);
  for (const int64_t index : corpus.DocumentsOf(Split::kTrain)) {
    Document document = corpus.DocumentAt(index);
    Clip(options.n_slots, document);
    for (int64_t i = 0; i < document.length(); ++i) {
      if (IsMaskable(document, i)) counts[document.token[i]] += 1;
    }
  }
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  double sum = 0;
  int64_t targets = 0;
  for (const PretrainBatch& batch : batches) {
    const int64_t* tokens = batch.target_tokens.data_ptr<int64_t>();
    for (int64_t i = 0; i < batch.target_tokens.size(0); ++i, ++targets) sum -= std::log(counts[tokens[i]] / total);
  }
  return sum / static_cast<double>(targets);
}

}  // namespace lifescope
