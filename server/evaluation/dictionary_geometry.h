// The shape of a dictionary, from its weights alone: how encoder and decoder agree, how much room features have, how
// the spectrum of their directions falls, and whether given relations are parallelograms (direction_geometry.h,
// dictionary_similarity.h). Definitions: metric_definition.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/evaluation/bootstrap.h"

namespace lifescope {

// Pairs of features of which each stands in a relation: (mild, severe) of one illness and of another.
struct FeaturePairs {
  at::Tensor pairs;                // INT64 [pairs, 2]; undefined: none
  std::vector<int64_t> relations;  // the number of each pair's
};

struct DictionaryGeometry {
  // encoder_decoder_cosine, max_encoder_cosine, capacity, spectrum_slope; with pairs also parallelogram_silhouette and
  // parallelogram_silhouette_discriminant. No intervals: weights are not of persons. NaN with a note where one is not
  // defined.
  std::vector<Measurement> figures;
  at::Tensor spectrum;  // DOUBLE [width], largest first: CovarianceSpectrum of the directions that fire
};

// `decoder` [features, width]; `encoder` [features, width that is read], undefined where the dictionary searches;
// `fires` BOOL [features]. A transcoder has no encoder_decoder_cosine, whatever its widths. Throws c10::ValueError when
// shapes do not fit, a pair names no feature, or as DiscriminantCoordinates of the relations.
DictionaryGeometry MeasureGeometry(const at::Tensor& decoder, const at::Tensor& encoder, const at::Tensor& fires,
                                   const FeaturePairs& pairs = {}, bool is_transcoder = false);

}  // namespace lifescope
