// A dictionary judged on lives of a corpus: how well it reconstructs the activations that it predicts, and what the
// model still predicts when they are replaced by the reconstruction. An autoencoder reads these activations, a
// transcoder others; a crosscoder predicts several hook points, each of which is replaced alone, in its own model.
// Definitions: metric_definition.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/corpus/corpus.h"
#include "server/corpus/position_choice.h"
#include "server/dictionary/dictionary.h"
#include "server/evaluation/bootstrap.h"
#include "server/evaluation/corpus_scan.h"
#include "server/evaluation/dictionary_sites.h"
#include "server/evaluation/row_groups.h"

namespace lifescope {

struct DictionaryEvaluationOptions {
  // n_slots 0: the max_length of the model that is read first.
  CorpusScanOptions scan;
  // Whose lives.
  Split split = Split::kValidation;
  int64_t max_persons = 0;  // the first of the split; 0: all
  // Rows that are reconstructed, measured and replaced; the others keep their activations.
  PositionChoice positions;
  // For the masked-token loss: share of the positions that are masked. A person's mask depends on person and seed
  // alone.
  double mask_ratio = 0.30;
  uint64_t mask_seed = 1;
  BootstrapOptions bootstrap;
  // Figures of subgroups too; no names: none.
  RowGroups groups;
};

// Indices in the corpus, ascending.
std::vector<int64_t> EvaluatedPersons(const Corpus& corpus, const DictionaryEvaluationOptions& options);

// Figures of one subgroup, without intervals. Its variance is about the mean of the whole set, so that the numerators
// and divisors of disjoint groups add up to those of the set.
struct SubgroupEvaluation {
  std::string name;  // of a crosscoder with the hook point: "work at blocks.0.hook_resid_post"
  int64_t row_count = 0;
  int64_t prediction_count = 0;  // masked tokens of the group
  std::vector<Measurement> reconstruction, downstream;
};

// Figures of one of the hook points of a crosscoder, as those of DictionaryEvaluation.
struct SiteEvaluation {
  std::string name;
  std::vector<Measurement> reconstruction, downstream, peers;
  at::Tensor relative_norms;  // DOUBLE [features that fire]: relative_decoder_norm of each
};

struct DictionaryEvaluation {
  int64_t person_count = 0;
  int64_t row_count = 0;  // the window of "dead"
  int64_t prediction_count = 0;
  int64_t n_slots = 0;
  // With intervals: ReconstructionMetrics, DownstreamMetrics (empty where the model has no masked-token head). Of a
  // crosscoder: l0 and l1; nothing.
  std::vector<Measurement> reconstruction, downstream;
  // Without: DensityMetrics, consistent_activation and max_decoder_cosine; PeerMetrics over batches of
  // `scan.batch_tokens` positions (of a crosscoder: nothing).
  std::vector<Measurement> features, peers;
  // Of a crosscoder: its hook points, and CrosscoderMetrics of the features that fire, where the activations of every
  // hook point are brought to mean squared norm 1. Of others: empty.
  std::vector<SiteEvaluation> sites;
  std::vector<Measurement> across_sites;
  at::Tensor densities;                    // DOUBLE [feature_count]
  std::vector<SubgroupEvaluation> groups;  // those that have rows, largest first
};

// Unmasked lives once, up to the hook points, for reconstruction and for the mean that ablates; then masked ones, clean
// and with the rows of each hook point that is predicted replaced in three ways. What replaces them is decoded from the
// clean run. `options.scan.hook_point` is not looked at. `on_progress` in documents of both passes; false stops with
// Cancelled. Throws c10::ValueError as CheckSites, when the split has no row, or naming the option.
DictionaryEvaluation EvaluateDictionary(const DictionarySites& sites, const Dictionary& dictionary,
                                        const Corpus& corpus, const DictionaryEvaluationOptions& options,
                                        const std::function<bool(int64_t done, int64_t total)>& on_progress = {});

}  // namespace lifescope
