// Where an attribution's nodes go.
#pragma once

#include <ATen/core/Tensor.h>

#include <variant>
#include <vector>

#include "server/intervention/attribution/feature_space.h"
#include "server/intervention/attribution/gradient.h"

namespace lifescope {

struct ZeroBaseline {};  // everything 0; of a dictionary all features and the error
// The mean over all positions of documents.
struct MeanBaseline {
  std::vector<Document> documents;
};
// The same positions of another document, of the same length.
struct DocumentBaseline {
  Document document;
};
using Baseline = std::variant<ZeroBaseline, MeanBaseline, DocumentBaseline>;

// What the activation `value` [positions, channels] of the runs' document goes to, of the same shape. Throws
// c10::ValueError: no documents for a mean, a document of another length.
at::Tensor ActivationBaseline(const Baseline& baseline, const at::Tensor& value, const SubstitutedRuns& runs);

// The same of features and errors.
struct FeatureBaseline {
  at::Tensor values;  // [positions, features]
  at::Tensor errors;  // [positions, channels]
};
FeatureBaseline FeaturesAtBaseline(const Baseline& baseline, const FeatureSpace& features, const SubstitutedRuns& runs);

}  // namespace lifescope
