// Activations of finished runs from which edits and reads take values: donors, means, the clean distribution. All but
// some donors' are of clean runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "server/intervention/run.h"
#include "server/model/hyperparameters.h"

namespace lifescope {

// Belongs to one Execute; not thread-safe. What edits and reads want is found at construction from the run; the engine
// adds what it needs itself and puts it all here as it runs the documents, and it is kept until the run ends. Where
// there is an `intervention`, it is the document's run with the edits of that one; -1: the clean run.
class CleanValues {
 public:
  CleanValues(const Run& run, const Hyperparameters& hyperparameters);

  // Hook points whose activation of the document is wanted.
  const std::vector<HookPoint>& WantedPoints(int64_t document, int64_t intervention = -1) const;
  bool Wants(int64_t document, const HookPoint& point, int64_t intervention = -1) const;
  // Adds one, before the document runs.
  void Want(int64_t document, const HookPoint& point, int64_t intervention = -1);
  // What all wanted values take together, with values of `element_size` bytes.
  int64_t WantedBytes(const Hyperparameters& hyperparameters, int64_t element_size) const;
  // Whether the document's final residual stream is wanted.
  bool WantsFinal(int64_t document) const { return wants_final_[document]; }

  // `rows`: the document's activation, [positions, channels], not shared with a larger tensor.
  void PutRows(int64_t document, const HookPoint& point, at::Tensor rows, int64_t intervention = -1);
  void PutFinal(int64_t document, at::Tensor rows) { final_[document] = std::move(rows); }

  const at::Tensor& Rows(int64_t document, const HookPoint& point, int64_t intervention = -1) const;
  const at::Tensor& Final(int64_t document) const { return final_[document]; }

  // Mean over all rows of the documents (real positions; one each at a person summary), accumulated in float64:
  // [channels], or of a dictionary's features, or of its reconstruction error.
  const at::Tensor& Mean(const HookPoint& point, const std::vector<int64_t>& documents);
  const at::Tensor& FeatureMean(int64_t dictionary, const std::vector<int64_t>& documents);
  const at::Tensor& ErrorMean(int64_t dictionary, const std::vector<int64_t>& documents);

  // What one of the edit's unit is in each of its channels, [channels], FLOAT64.
  const at::Tensor& UnitSizes(const Edit& edit, const Hyperparameters& hyperparameters);

 private:
  // What the mean is of, where, over which documents.
  using MeanKey = std::tuple<std::string, int64_t, std::vector<int64_t>>;
  // The mean over rows of `values`, which are `width` wide on the way: they are computed in chunks. Kept under the key.
  const at::Tensor& MeanOf(const MeanKey& key, const HookPoint& point, int64_t width,
                           const std::function<at::Tensor(const at::Tensor& rows)>& values);
  // Activations of all features over all rows of the documents, one after the other.
  const SparseActivations& Features(int64_t dictionary, const std::vector<int64_t>& documents);

  // Of one run of one document.
  struct Kept {
    std::vector<HookPoint> points;
    std::vector<at::Tensor> rows;  // beside points
  };

  const Run& run_;
  std::map<std::pair<int64_t, int64_t>, Kept> kept_;  // by intervention and document
  std::vector<bool> wants_final_;
  std::vector<at::Tensor> final_;
  std::map<MeanKey, at::Tensor> means_;
  std::map<std::pair<int64_t, std::vector<int64_t>>, SparseActivations> features_;
  std::map<const Edit*, at::Tensor> unit_sizes_;
};

}  // namespace lifescope
