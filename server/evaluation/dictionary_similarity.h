// How alike the directions of two dictionaries are, or of one: cosines between unit rows. Definitions:
// metric_definition.h. Matrices are [features, width]; a row of length 0 has cosine 0 with everything.
#pragma once

#include <ATen/core/Tensor.h>

namespace lifescope {

// For each row of `from` the largest cosine with a row of `to`: DOUBLE [features of from]. Throws c10::ValueError when
// the widths differ or a matrix is empty.
at::Tensor MaxCosines(const at::Tensor& from, const at::Tensor& to);
// For each row the largest cosine with another row of the same matrix.
at::Tensor MaxCosinesWithin(const at::Tensor& directions);

// The cosine of each row with the row of the same index: DOUBLE [features].
at::Tensor PairedCosines(const at::Tensor& a, const at::Tensor& b);

// Mean of MaxCosines: the MMCS from one set to another. Not symmetric.
double Mmcs(const at::Tensor& from, const at::Tensor& to);

// One-to-one: pairs are taken greedily, the largest cosine of rows that are both free first, until one set is used up.
// DOUBLE [min(features)], descending.
at::Tensor GreedyMatchedCosines(const at::Tensor& a, const at::Tensor& b);

// For each row <a_i, a_i>^2 / sum over j of <a_i, a_j>^2: DOUBLE [features] (Scherlis et al. 2022).
at::Tensor Capacities(const at::Tensor& rows);

}  // namespace lifescope
