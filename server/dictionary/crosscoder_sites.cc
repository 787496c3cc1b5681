#include "server/dictionary/crosscoder_sites.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <numeric>

namespace lifescope {
namespace {

std::vector<at::Tensor> Sites(const at::Tensor& directions, const std::vector<int64_t>& site_widths) {
  const int64_t width = std::accumulate(site_widths.begin(), site_widths.end(), int64_t{0});
  TORCH_CHECK_VALUE(directions.dim() == 2 && directions.size(1) == width, "directions have shape ", directions.sizes(),
                    ", expected [features, ", width, "], the sum of the site widths");
  return directions.split_with_sizes(site_widths, 1);
}

}  // namespace

at::Tensor SiteNorms(const at::Tensor& directions, const std::vector<int64_t>& site_widths) {
  std::vector<at::Tensor> norms;
  for (const at::Tensor& site : Sites(directions, site_widths)) norms.push_back(site.norm(2, 1));
  return at::stack(norms, 1);
}

SiteComparison CompareSites(const at::Tensor& directions, const std::vector<int64_t>& site_widths, int64_t a,
                            int64_t b) {
  const std::vector<at::Tensor> sites = Sites(directions.to(at::kDouble), site_widths);
  const auto site = [&](int64_t index) {
    TORCH_CHECK_INDEX(index >= 0 && index < static_cast<int64_t>(sites.size()), "site ", index, " is not in [0, ",
                      sites.size(), ")");
    return sites[static_cast<size_t>(index)];
  };
  const at::Tensor at_a = site(a), at_b = site(b);
  const at::Tensor norm_a = at_a.norm(2, 1), norm_b = at_b.norm(2, 1);
  SiteComparison comparison{norm_b / (norm_a + norm_b), {}};
  if (at_a.size(1) == at_b.size(1)) comparison.cosine = (at_a * at_b).sum(1) / (norm_a * norm_b);
  return comparison;
}

}  // namespace lifescope
