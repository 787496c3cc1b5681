#include "server/dictionary/training/codebook_objective.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/Exception.h>

#include "server/dictionary/training/initial_directions.h"

namespace lifescope {

using CodesLearnFrom = CodebookOptions::CodesLearnFrom;

CodebookObjective::CodebookObjective(const CodebookOptions& options) : options_(options) {
  CheckWidths(options.width, options.code_count);
  TORCH_CHECK_VALUE(options.k > 0 && options.k <= options.code_count, "k is ", options.k, ", expected 1 to ",
                    options.code_count);
  TORCH_CHECK_VALUE(options.commitment_coefficient >= 0, "commitment_coefficient is ", options.commitment_coefficient,
                    ", expected 0 or more");
}

Parameters CodebookObjective::Initialise(uint64_t seed) const {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return {{kDecoder, at::empty({options_.code_count, options_.width}, at::kDouble).normal_(0, 1, generator)},
          {kNormWeight, at::ones({options_.width}, at::kDouble)},
          {kNormBias, at::zeros({options_.width}, at::kDouble)}};
}

DifferentiableLoss CodebookObjective::Loss(const Parameters& p, const ObjectiveState& state, const TrainingRows& rows,
                                           const TrainingContext&) const {
  const at::Tensor &x = rows.input, &codes = p.at(kDecoder);
  const at::Tensor normalised = NormaliseForCodes(x, p.at(kNormWeight), p.at(kNormBias));
  const at::Tensor chosen = ChooseCodes(options_.similarity, normalised, codes, options_.k).flatten();
  const at::Tensor mean = codes.index_select(0, chosen).view({x.size(0), options_.k, options_.width}).mean(1);
  const at::Tensor out = options_.codes_learn_from == CodesLearnFrom::kDistance ? mean.detach() : mean;
  const at::Tensor error = rows.target - (out + (normalised - normalised.detach()));

  DifferentiableLoss loss;
  loss.total = error.square().sum(1).mean();
  loss.terms["mse"] = loss.total.item<double>();
  if (options_.codes_learn_from != CodesLearnFrom::kOutput) {
    const at::Tensor distance = (mean - normalised.detach()).square().sum(1).mean();
    loss.total = loss.total + distance;
    loss.terms["codes"] = distance.item<double>();
  }
  if (options_.commitment_coefficient > 0) {
    const at::Tensor distance = (normalised - mean.detach()).square().sum();
    loss.total = loss.total + options_.commitment_coefficient * distance;
    loss.terms["commitment"] = distance.item<double>();
  }
  const at::Tensor dead = CountFiring(options_.dead, x.size(0), chosen, state, loss.next_state);
  loss.figures = {error.square().sum().item<double>(), static_cast<double>(chosen.numel()), dead.numel()};
  return loss;
}

DictionaryWeights CodebookObjective::Export(const Parameters& p, const ObjectiveState&) const {
  DictionaryWeights weights;
  weights.architecture = options_.similarity == CodeSimilarity::kInnerProduct ? "codebook" : "codebook_euclidean";
  weights.tensors = {{"codes", p.at(kDecoder).clone()},
                     {"norm_weight", p.at(kNormWeight).clone()},
                     {"norm_bias", p.at(kNormBias).clone()}};
  weights.k = options_.k;
  weights.apply_b_dec_to_input = false;
  return weights;
}

}  // namespace lifescope
