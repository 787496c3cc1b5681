#include "server/intervention/attribution/baseline.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace lifescope {
namespace {

at::Tensor RowsOf(const MeanBaseline& baseline, const SubstitutedRuns& runs) {
  TORCH_CHECK_VALUE(!baseline.documents.empty(), "baseline.documents: none, expected at least one");
  std::vector<at::Tensor> rows;
  for (const Document& document : baseline.documents) rows.push_back(runs.ActivationOf(document));
  return at::cat(rows);
}

at::Tensor RowsOf(const DocumentBaseline& baseline, int64_t length, const SubstitutedRuns& runs) {
  TORCH_CHECK_VALUE(baseline.document.length() == length, "baseline.document: ", baseline.document.length(),
                    " positions, expected ", length, ", as many as the document has");
  return runs.ActivationOf(baseline.document);
}

at::Tensor MeanRow(const at::Tensor& rows) { return rows.to(at::kDouble).mean(0).to(rows.scalar_type()); }

}  // namespace

at::Tensor ActivationBaseline(const Baseline& baseline, const at::Tensor& value, const SubstitutedRuns& runs) {
  if (const auto* mean = std::get_if<MeanBaseline>(&baseline)) return MeanRow(RowsOf(*mean, runs)).expand_as(value);
  if (const auto* other = std::get_if<DocumentBaseline>(&baseline)) return RowsOf(*other, value.size(0), runs);
  return at::zeros_like(value);
}

FeatureBaseline FeaturesAtBaseline(const Baseline& baseline, const FeatureSpace& features,
                                   const SubstitutedRuns& runs) {
  if (const auto* mean = std::get_if<MeanBaseline>(&baseline)) {
    const FeatureSpace reference(features.dictionary(), RowsOf(*mean, runs));
    return {MeanRow(reference.values()).expand_as(features.values()),
            MeanRow(reference.errors()).expand_as(features.errors())};
  }
  if (const auto* other = std::get_if<DocumentBaseline>(&baseline)) {
    const at::Tensor rows = RowsOf(*other, features.values().size(0), runs);
    const at::Tensor values = features.dictionary().Encode(rows);
    // By the document's own normalisation, so that all nodes together give the other document's rows.
    return {values, rows - features.Decode(values)};
  }
  return {at::zeros_like(features.values()), at::zeros_like(features.errors())};
}

}  // namespace lifescope
