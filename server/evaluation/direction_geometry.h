// The shape of a cloud of directions (Li et al. 2024, arXiv:2410.19750): angles between them, how fast the spectrum of
// their covariance falls, and parallelograms: pairs whose difference vectors agree once distractors are projected out.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lifescope {

// 1 - arccos(cosine) / pi of rows: [n, d] -> DOUBLE [n, n], 1 on the diagonal.
at::Tensor AngularSimilarity(const at::Tensor& directions);

// Eigenvalues of the covariance of rows (divisor n), largest first: [n, d] -> DOUBLE [d].
at::Tensor CovarianceSpectrum(const at::Tensor& points);

// Slope of log eigenvalue against log rank by least squares, over those above 1e-12 of the largest; NaN of fewer than
// two.
double PowerLawSlope(const at::Tensor& spectrum);

// second - first of each pair of rows: [n, d], INT64 [pairs, 2] -> [pairs, d].
at::Tensor DifferenceVectors(const at::Tensor& points, const at::Tensor& pairs);

// Linear discriminant analysis (singular-value form, as scikit-learn): coordinates in which classes differ most
// relative to the spread within them, so that directions that vary within classes (distractors, such as word length)
// weigh little. [n, d], a class per row -> DOUBLE [n, at most `components`]. Throws c10::ValueError when there are
// fewer than two classes, as many classes as rows, or no spread within them.
at::Tensor DiscriminantCoordinates(const at::Tensor& points, const std::vector<int64_t>& classes, int64_t components);

// Mean silhouette (Rousseeuw 1987) by Euclidean distance: (b - a) / max(a, b) with a the mean distance to the own class
// and b to the nearest other; 0 for a class of one. In [-1, 1]. Memory n^2. Throws c10::ValueError as
// DiscriminantCoordinates.
double Silhouette(const at::Tensor& points, const std::vector<int64_t>& classes);

}  // namespace lifescope
