// Where a dictionary reads and what it predicts: hook points of one model, or of several that see the same lives.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/dictionary/dictionary.h"
#include "server/evaluation/corpus_scan.h"
#include "server/model/transformer.h"

namespace lifescope {

struct DictionarySite {
  std::string name;                    // "blocks.1.hook_mlp_out"; of a second model "other:blocks.1.hook_mlp_out"
  const Transformer* model = nullptr;  // must outlive its use
  HookPoint hook_point;
};

// The activations at `reads`, side by side, are what the dictionary encodes; those at `predicts` what it decodes. One
// hook point that is both: an autoencoder. One of each: a transcoder. Several that are both: a crosscoder. Neither list
// is empty.
struct DictionarySites {
  std::vector<DictionarySite> reads, predicts;
};

DictionarySites SitesOfAutoencoder(const Transformer& model, const HookPoint& hook_point);

std::vector<int64_t> WidthsOf(const std::vector<DictionarySite>& sites);

// What CheckScan checks, of every site; `options.hook_point` is not looked at. Throws c10::ValueError.
void CheckSites(const DictionarySites& sites, const Dictionary& dictionary, const Corpus& corpus,
                const CorpusScanOptions& options);

// Of one packed batch.
struct SiteActivations {
  at::Tensor read;                    // [positions, activation_dim]
  std::vector<at::Tensor> predicted;  // of each site that is predicted, [positions, its width]
  std::vector<at::Tensor> residual;   // of each of these, its model's final residual stream; empty when not asked for
};
// Runs every model once: `to_the_end`, or as far as the sites need.
SiteActivations RunModels(const DictionarySites& sites, const PackedBatch& batch, bool to_the_end);

}  // namespace lifescope
