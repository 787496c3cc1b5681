#include "server/evaluation/dictionary_geometry.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <limits>

#include "server/evaluation/dictionary_similarity.h"
#include "server/evaluation/direction_geometry.h"

namespace lifescope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr char kNothingFires[] = "no feature fires";

Measurement Figure(const char* name, double value, const char* why_undefined) {
  return {name, value, kNan, kNan, std::isnan(value) ? why_undefined : ""};
}

double Mean(const at::Tensor& values) { return values.numel() == 0 ? kNan : values.mean().item<double>(); }

// encoder_decoder_cosine and max_encoder_cosine.
std::vector<Measurement> EncoderFigures(const at::Tensor& decoder, const at::Tensor& encoder, const at::Tensor& alive,
                                        bool is_transcoder) {
  constexpr const char *kPaired = "encoder_decoder_cosine", *kWithin = "max_encoder_cosine";
  if (!encoder.defined()) {
    const char* why = "it has no encoder matrix";
    return {Figure(kPaired, kNan, why), Figure(kWithin, kNan, why)};
  }
  Measurement paired = Figure(kPaired, kNan,
                              is_transcoder ? "a transcoder, which writes another place than it reads"
                                            : "it writes vectors of another width than it reads");
  if (!is_transcoder && encoder.size(1) == decoder.size(1)) {
    paired = Figure(kPaired, alive.numel() == 0 ? kNan : Mean(PairedCosines(encoder, decoder).index_select(0, alive)),
                    kNothingFires);
  }
  return {paired, Figure(kWithin, encoder.size(0) < 2 ? kNan : Mean(MaxCosinesWithin(encoder)), "one feature alone")};
}

}  // namespace

DictionaryGeometry MeasureGeometry(const at::Tensor& decoder, const at::Tensor& encoder, const at::Tensor& fires,
                                   const FeaturePairs& pairs, bool is_transcoder) {
  TORCH_CHECK_VALUE(
      decoder.dim() == 2 && fires.dim() == 1 && fires.size(0) == decoder.size(0) && fires.scalar_type() == at::kBool,
      "fires: ", fires.scalar_type(), " ", fires.sizes(), ", expected BOOL [features] of directions ", decoder.sizes());
  TORCH_CHECK_VALUE(!encoder.defined() || (encoder.dim() == 2 && encoder.size(0) == decoder.size(0)),
                    "encoder: ", encoder.sizes(), ", expected a row for each of ", decoder.size(0), " features");
  const at::Tensor alive = fires.nonzero().squeeze(1), directions = decoder.to(at::kCPU).index_select(0, alive);
  DictionaryGeometry geometry;
  geometry.figures = EncoderFigures(decoder, encoder, alive, is_transcoder);
  geometry.figures.push_back(
      Figure("capacity", alive.numel() == 0 ? kNan : Mean(Capacities(directions)), kNothingFires));
  geometry.spectrum = alive.numel() == 0 ? at::zeros({decoder.size(1)}, at::kDouble) : CovarianceSpectrum(directions);
  geometry.figures.push_back(Figure("spectrum_slope", PowerLawSlope(geometry.spectrum),
                                    "the directions that fire differ in fewer than two dimensions"));
  if (!pairs.pairs.defined()) return geometry;
  TORCH_CHECK_VALUE(pairs.pairs.ge(0).all().item<bool>() && pairs.pairs.lt(decoder.size(0)).all().item<bool>(),
                    "pairs: features ", pairs.pairs.min().item<int64_t>(), " to ", pairs.pairs.max().item<int64_t>(),
                    ", expected 0 to ", decoder.size(0) - 1);
  constexpr int64_t kCoordinates = 2;
  const at::Tensor differences = DifferenceVectors(decoder.to(at::kCPU, at::kDouble), pairs.pairs);
  geometry.figures.push_back(Figure("parallelogram_silhouette", Silhouette(differences, pairs.relations), ""));
  geometry.figures.push_back(
      Figure("parallelogram_silhouette_discriminant",
             Silhouette(DiscriminantCoordinates(differences, pairs.relations, kCoordinates), pairs.relations), ""));
  return geometry;
}

}  // namespace lifescope
