#include "server/evaluation/corpus_scan.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "server/intervention/engine.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

int64_t SlotsOf(const Transformer& model, const CorpusScanOptions& options) {
  return options.n_slots == 0 ? model.hyperparameters().max_length : options.n_slots;
}

// Rows [begin, end) as activations of their own.
SparseActivations SliceRows(const SparseActivations& all, int64_t begin, int64_t end) {
  const at::Tensor offsets = all.row_offsets.narrow(0, begin, end - begin + 1);
  const int64_t first = offsets[0].item<int64_t>();
  const int64_t count = offsets[end - begin].item<int64_t>() - first;
  return {offsets - first, all.features.narrow(0, first, count), all.values.narrow(0, first, count), all.feature_count};
}

// Documents that run together.
struct DocumentBatch {
  std::vector<int64_t> indices;
  std::vector<Document> documents;
  std::vector<int64_t> offsets;  // of their rows
  at::Tensor activations;        // [rows, width]
};
using BatchVisitor = std::function<void(const DocumentBatch& batch)>;

class Scan {
 public:
  Scan(const Transformer& model, const CorpusScanOptions& options, const BatchVisitor& visit)
      : model_(model), options_(options), visit_(visit) {}

  bool Fits(const Document& document) const {
    return batch_.documents.empty() || tokens_ + document.length() <= options_.batch_tokens;
  }

  void Add(int64_t index, Document document) {
    tokens_ += document.length();
    batch_.indices.push_back(index);
    batch_.documents.push_back(std::move(document));
  }

  void RunBatch() {
    std::vector<DocumentRows> rows;
    for (const Document& d : batch_.documents) {
      rows.push_back(
          {d.token.data(), d.abspos.data(), d.age.data(), d.segment.data(), d.length(), SlotsOf(model_, options_)});
    }
    const PackedBatch packed = MakePackedBatch(rows, model_.device());
    at::Tensor activation;
    Hooks hooks;
    hooks.Capture(options_.hook_point, &activation);
    ForwardOptions forward;
    forward.hooks = &hooks;
    forward.layer_count = options_.hook_point.layer + 1;
    model_.Forward(packed, forward);
    batch_.offsets = packed.offsets;
    batch_.activations = activation.flatten(1);
    visit_(batch_);
    batch_ = {};
    tokens_ = 0;
  }

 private:
  const Transformer& model_;
  const CorpusScanOptions& options_;
  const BatchVisitor& visit_;
  DocumentBatch batch_;
  int64_t tokens_ = 0;
};

void ScanBatches(const Transformer& model, const Corpus& corpus, const std::vector<int64_t>& indices,
                 const CorpusScanOptions& options, const BatchVisitor& visit,
                 const std::function<bool(int64_t done)>& on_progress) {
  const c10::NoGradGuard no_grad;
  Scan scan(model, options, visit);
  const auto run_batch = [&](size_t done) {
    scan.RunBatch();
    if (on_progress && !on_progress(static_cast<int64_t>(done))) throw Cancelled();
  };
  for (size_t i = 0; i < indices.size(); ++i) {
    Document document = corpus.DocumentAt(indices[i]);
    if (!scan.Fits(document)) run_batch(i);
    scan.Add(indices[i], std::move(document));
  }
  if (!indices.empty()) run_batch(indices.size());
}

}  // namespace

void CheckHookPoint(const Transformer& model, const HookPoint& hook_point) {
  const std::vector<HookPoint> points = AllHookPoints(model.hyperparameters());
  TORCH_CHECK_VALUE(std::find(points.begin(), points.end(), hook_point) != points.end() &&
                        RowKindOf(hook_point.site) == RowKind::kToken,
                    "hook_point: ", hook_point.ToString(), ", expected one of the model with one row per position");
}

void CheckRun(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
              const CorpusScanOptions& options) {
  const Hyperparameters& hyperparameters = model.hyperparameters();
  TORCH_CHECK_VALUE(dictionary.dtype() == model.dtype() && dictionary.device() == model.device(),
                    "dictionary: ", dictionary.dtype(), " on ", dictionary.device(), ", expected ", model.dtype(),
                    " on ", model.device(), " as the model");
  TORCH_CHECK_VALUE(corpus.vocabulary().size() <= hyperparameters.vocab_size, "corpus: ", corpus.vocabulary().size(),
                    " tokens, expected at most the model's ", hyperparameters.vocab_size);
  TORCH_CHECK_VALUE(options.batch_tokens > 0, "batch_tokens: ", options.batch_tokens, ", expected a positive number");
  TORCH_CHECK_VALUE(0 <= options.n_slots && options.n_slots <= hyperparameters.max_length, "n_slots: ", options.n_slots,
                    ", expected 0 (the model's max_length) to ", hyperparameters.max_length);
  for (int64_t i = 0; i < corpus.size(); ++i) {
    TORCH_CHECK_VALUE(0 < corpus.length(i) && corpus.length(i) <= SlotsOf(model, options), "corpus: document ", i,
                      " has ", corpus.length(i), " positions, expected 1 to n_slots = ", SlotsOf(model, options));
  }
}

void CheckScan(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
               const CorpusScanOptions& options) {
  CheckHookPoint(model, options.hook_point);
  const int64_t width = WidthAt(options.hook_point, model.hyperparameters());
  TORCH_CHECK_VALUE(dictionary.activation_dim() == width, "dictionary: reads vectors of ", dictionary.activation_dim(),
                    ", expected ", width, ", the width of ", options.hook_point.ToString());
  CheckRun(model, dictionary, corpus, options);
}

void ScanCorpus(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                const std::vector<int64_t>& indices, const CorpusScanOptions& options, const DocumentVisitor& visit,
                const std::function<bool(int64_t done)>& on_progress) {
  const auto visit_batch = [&](const DocumentBatch& batch) {
    const SparseActivations all = EncodeSparse(dictionary, batch.activations);
    for (size_t d = 0; d < batch.documents.size(); ++d) {
      visit(batch.indices[d], batch.documents[d], SliceRows(all, batch.offsets[d], batch.offsets[d + 1]));
    }
  };
  ScanBatches(model, corpus, indices, options, visit_batch, on_progress);
}

void ScanActivations(const Transformer& model, const Corpus& corpus, const std::vector<int64_t>& indices,
                     const CorpusScanOptions& options, const ActivationVisitor& visit,
                     const std::function<bool(int64_t done)>& on_progress) {
  const auto visit_batch = [&](const DocumentBatch& batch) {
    for (size_t d = 0; d < batch.documents.size(); ++d) {
      visit(batch.indices[d], batch.documents[d],
            batch.activations.narrow(0, batch.offsets[d], batch.offsets[d + 1] - batch.offsets[d]));
    }
  };
  ScanBatches(model, corpus, indices, options, visit_batch, on_progress);
}

}  // namespace lifescope
