// A dictionary over several sites (layers of one model, or several models): its directions cut into sites, and how the
// sites of each feature compare (Lindsey et al. 2024, "Sparse Crosscoders for Cross-Layer Features and Model Diffing").
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lifescope {

// Norms of the parts of each direction: `directions` [features, sum of site_widths] -> [features, sites].
// Differentiable. Throws c10::ValueError when the widths do not add up.
at::Tensor SiteNorms(const at::Tensor& directions, const std::vector<int64_t>& site_widths);

// Of two sites, per feature [features], in Double. NaN where what divides is 0.
struct SiteComparison {
  // |b| / (|a| + |b|): 0 for a feature of site a alone, 1 for one of site b alone, about 0.5 for one that both share.
  at::Tensor relative_norm;
  // Cosine between the directions at a and at b. Undefined tensor when the sites differ in width.
  at::Tensor cosine;
};

// Throws c10::ValueError when the widths do not add up, c10::IndexError for a site that is not there.
SiteComparison CompareSites(const at::Tensor& directions, const std::vector<int64_t>& site_widths, int64_t a,
                            int64_t b);

}  // namespace lifescope
