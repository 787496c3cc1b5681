// A sample of a split's positions with their activations and feature codes, in memory: what probes are fitted on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/dictionary/dictionary.h"
#include "server/evaluation/corpus_scan.h"
#include "server/model/transformer.h"

namespace lifescope {

struct CorpusRows {
  at::Tensor activations;  // [rows, width]
  SparseActivations codes;
  std::vector<int64_t> documents;  // index in the corpus of each row's document; its rows are consecutive
  std::vector<int32_t> events;
  std::vector<int64_t> positions;
  std::vector<int32_t> tokens;

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  // Where the rows of each document begin, and the end.
  std::vector<int64_t> DocumentOffsets() const;
};

struct CorpusRowOptions {
  // Persons that are drawn, and rows: events of them are drawn whole until there are as many rows.
  int64_t max_documents = 1000;
  int64_t max_rows = 5000;
  uint64_t seed = 1;
};

// Positions of events of which `is_wanted`, in the order of the corpus. `on_progress` as ScanCorpus. Call CheckScan
// first.
CorpusRows CollectRows(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus, Split split,
                       const CorpusScanOptions& scan, const CorpusRowOptions& options,
                       const std::function<bool(const Document& document, int64_t position)>& is_wanted,
                       const std::function<bool(int64_t done)>& on_progress = {});

}  // namespace lifescope
