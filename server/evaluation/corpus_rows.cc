#include "server/evaluation/corpus_rows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "server/corpus/random.h"

namespace lifescope {
namespace {

using RowFilter = std::function<bool(const Document& document, int64_t position)>;

// The wanted positions of one event.
struct EventRows {
  int64_t document = 0;
  std::vector<int64_t> positions;
};

void AppendEvents(int64_t index, const Document& document, const RowFilter& is_wanted, std::vector<EventRows>* events) {
  int32_t last = 0;
  for (int64_t position = 0; position < document.length(); ++position) {
    const int32_t event = document.event[position];
    if (event == 0 || !is_wanted(document, position)) continue;
    if (event != last) events->push_back({index, {}});
    events->back().positions.push_back(position);
    last = event;
  }
}

// The positions that are taken of each document.
std::map<int64_t, std::vector<int64_t>> ChoosePositions(const Corpus& corpus, Split split,
                                                        const CorpusRowOptions& options, const RowFilter& is_wanted) {
  Random random(options.seed);
  std::vector<int64_t> documents = corpus.DocumentsOf(split);
  random.Shuffle(documents);
  if (static_cast<int64_t>(documents.size()) > options.max_documents) documents.resize(options.max_documents);
  std::vector<EventRows> events;
  for (const int64_t index : documents) AppendEvents(index, corpus.DocumentAt(index), is_wanted, &events);
  random.Shuffle(events);
  std::map<int64_t, std::vector<int64_t>> chosen;
  int64_t rows = 0;
  for (const EventRows& event : events) {
    if (rows >= options.max_rows) break;
    std::vector<int64_t>& positions = chosen[event.document];
    positions.insert(positions.end(), event.positions.begin(), event.positions.end());
    rows += static_cast<int64_t>(event.positions.size());
  }
  for (auto& [ignored, positions] : chosen) std::sort(positions.begin(), positions.end());
  return chosen;
}

}  // namespace

std::vector<int64_t> CorpusRows::DocumentOffsets() const {
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < size(); ++i) {
    if (i == 0 || documents[i] != documents[i - 1]) offsets.push_back(i);
  }
  offsets.push_back(size());
  return offsets;
}

CorpusRows CollectRows(const Transformer& model, const Dictionary& dictionary, const Corpus& corpus, Split split,
                       const CorpusScanOptions& scan, const CorpusRowOptions& options, const RowFilter& is_wanted,
                       const std::function<bool(int64_t done)>& on_progress) {
  const std::map<int64_t, std::vector<int64_t>> chosen = ChoosePositions(corpus, split, options, is_wanted);
  std::vector<int64_t> documents;
  for (const auto& [index, ignored] : chosen) documents.push_back(index);
  CorpusRows rows;
  std::vector<at::Tensor> activations{
      at::empty({0, dictionary.activation_dim()}, at::TensorOptions(dictionary.device()).dtype(dictionary.dtype()))};
  ScanActivations(
      model, corpus, documents, scan,
      [&](int64_t index, const Document& document, const at::Tensor& all) {
        const std::vector<int64_t>& positions = chosen.at(index);
        activations.push_back(all.index_select(0, at::tensor(positions, at::kLong).to(all.device())));
        for (const int64_t position : positions) {
          rows.documents.push_back(index);
          rows.events.push_back(document.event[position]);
          rows.positions.push_back(position);
          rows.tokens.push_back(document.token[position]);
        }
      },
      on_progress);
  const at::Tensor all = at::cat(activations);
  rows.codes = EncodeSparse(dictionary, all);
  rows.activations = all.to(at::kCPU);
  return rows;
}

}  // namespace lifescope
