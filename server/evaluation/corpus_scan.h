// One pass of a model and a dictionary over documents of a corpus.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/dictionary/dictionary.h"
#include "server/model/transformer.h"

namespace lifescope {

struct CorpusScanOptions {
  HookPoint hook_point;
  int64_t n_slots = 0;  // 0: the model's max_length
  // Packed tokens per forward; a longer document runs alone.
  int64_t batch_tokens = 16384;
};

// The hook point is the model's and has one row per position. Throws c10::ValueError.
void CheckHookPoint(const Transformer& model, const HookPoint& hook_point);
// Model and dictionary are of one dtype and device, the corpus fits model and n_slots. Throws c10::ValueError naming
// what does not fit.
void CheckRun(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
              const CorpusScanOptions& options);
// What every scan checks before any compute: these two, and that the dictionary reads vectors as wide as those of the
// hook point.
void CheckScan(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
               const CorpusScanOptions& options);

// Receives the features of all positions of one document; `index` is the document's in the corpus.
using DocumentVisitor =
    std::function<void(int64_t index, const Document& document, const SparseActivations& activations)>;

// Visits the documents in the order of `indices`, packed into batches, with only the layers that the hook point needs.
// `on_progress(done)` after every batch, in documents; false stops the scan with Cancelled. CheckScan first.
void ScanCorpus(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus,
                const std::vector<int64_t>& indices, const CorpusScanOptions& options, const DocumentVisitor& visit,
                const std::function<bool(int64_t done)>& on_progress);

// Receives the activations [positions, width] of one document.
using ActivationVisitor = std::function<void(int64_t index, const Document& document, const at::Tensor& activations)>;

// As ScanCorpus, without a dictionary.
void ScanActivations(const Transformer& model, const Corpus& corpus, const std::vector<int64_t>& indices,
                     const CorpusScanOptions& options, const ActivationVisitor& visit,
                     const std::function<bool(int64_t done)>& on_progress);

}  // namespace lifescope
