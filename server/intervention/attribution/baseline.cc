#include "server/intervention/attribution/baseline.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <functional>

#include "server/intervention/feature_edit.h"

namespace lifescope {
namespace {

// Visits all rows of the documents, in chunks whose values `width` wide are of bounded size.
void VisitRows(const MeanBaseline& baseline, const SubstitutedRuns& runs, int64_t width,
               const std::function<void(const at::Tensor& rows)>& visit) {
  TORCH_CHECK_VALUE(!baseline.documents.empty(), "baseline.documents: none, expected at least one");
  for (const Document& document : baseline.documents) {
    const at::Tensor rows = runs.ActivationOf(document);
    ForEachChunk(rows.size(0), width, [&](int64_t begin, int64_t size) { visit(rows.narrow(0, begin, size)); });
  }
}

// The mean row, accumulated in float64.
class RowMean {
 public:
  void Add(const at::Tensor& rows) {
    const at::Tensor sum = rows.to(at::kDouble).sum(0);
    sum_ = sum_.defined() ? sum_ + sum : sum;
    count_ += rows.size(0);
  }
  // As many rows of it as `like` has, of its dtype.
  at::Tensor ExpandedAs(const at::Tensor& like) const {
    return (sum_ / static_cast<double>(count_)).to(like.scalar_type()).expand_as(like);
  }

 private:
  at::Tensor sum_;
  int64_t count_ = 0;
};

at::Tensor RowsOf(const DocumentBaseline& baseline, int64_t length, const SubstitutedRuns& runs) {
  TORCH_CHECK_VALUE(baseline.document.length() == length, "baseline.document: ", baseline.document.length(),
                    " positions, expected ", length, ", as many as the document has");
  return runs.ActivationOf(baseline.document);
}

}  // namespace

at::Tensor ActivationBaseline(const Baseline& baseline, const at::Tensor& value, const SubstitutedRuns& runs) {
  if (const auto* mean = std::get_if<MeanBaseline>(&baseline)) {
    RowMean row;
    VisitRows(*mean, runs, value.size(1), [&row](const at::Tensor& rows) { row.Add(rows); });
    return row.ExpandedAs(value);
  }
  if (const auto* other = std::get_if<DocumentBaseline>(&baseline)) return RowsOf(*other, value.size(0), runs);
  return at::zeros_like(value);
}

FeatureBaseline FeaturesAtBaseline(const Baseline& baseline, const FeatureSpace& features,
                                   const SubstitutedRuns& runs) {
  if (const auto* mean = std::get_if<MeanBaseline>(&baseline)) {
    RowMean values, errors;
    VisitRows(*mean, runs, features.dictionary().feature_count(), [&](const at::Tensor& rows) {
      const FeatureSpace reference(features.dictionary(), rows);
      values.Add(reference.values());
      errors.Add(reference.errors());
    });
    return {values.ExpandedAs(features.values()), errors.ExpandedAs(features.errors())};
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
