#include "server/evaluation/metric_definition.h"

#include <c10/util/Exception.h>

#include <algorithm>

namespace lifescope {
namespace {

constexpr char kGao[] = "Gao et al. 2024, arXiv:2406.04093";
constexpr char kGated[] = "Rajamanoharan et al. 2024, arXiv:2404.16014";
constexpr char kSaeBench[] = "SAEBench @8042bb3";
constexpr char kSaeLens[] = "SAELens 6.18.0 @91ca16c";
constexpr char kDictionaryLearning[] = "dictionary_learning @60ec6bf";
constexpr char kBricken[] = "Bricken et al. 2023";
constexpr char kKarvonen[] = "Karvonen et al. 2024, arXiv:2408.00113";
constexpr char kBoardCode[] = "SAE_BoardGameEval @7187d4a";
constexpr char kAbsorption[] = "Chanin et al. 2024, arXiv:2409.14507; SAEBench @8042bb3";
constexpr char kBills[] = "Bills et al. 2023, automated-interpretability @e4aa21b";
constexpr char kDelphi[] = "delphi @3c2e139";
constexpr char kLi[] = "Li et al. 2024, arXiv:2410.19750";
constexpr char kLindsey[] = "Lindsey et al. 2024, Sparse Crosscoders";
constexpr char kSharkey[] = "Sharkey, Braun & Millidge 2022";

const std::vector<MetricDefinition>& Table() {
  static const std::vector<MetricDefinition> table{
      {"l0", 1, "mean over rows of #{i: f_i != 0}", kBricken,
       "Says nothing of how the activity is spread over features."},
      {"l1", 1, "mean over rows of sum_i |f_i|", kBricken, "Depends on the scale of activations and decoder."},
      {"mse_sum", 1, "mean over rows of sum_j e_j^2", kBricken,
       "Grows with width and scale: not comparable over hook points."},
      {"mse_mean", 1, "mse_sum / width", kGao, "Depends on the scale of activations."},
      {"fvu", 1, "sum |e|^2 / sum |x - xbar|^2, both over all rows, xbar the mean of all rows", kGao,
       "Rows far from the mean weigh most; a small error may still be what the model needs."},
      {"explained_variance", 1, "1 - fvu", kGao, "As fvu."},
      {"normalized_mse_uncentred", 1, "sum |e|^2 / sum |x|^2", kGao, "Small wherever activations have a large mean."},
      {"normalized_mse_uncentred_row_mean", 1, "mean over rows of |e|^2 / |x|^2 (0 where x = 0)",
       "openai/sparse_autoencoder @4965b94, loss.py", "A mean of ratios: short rows weigh as much as long ones."},
      {"cosine", 1, "mean over rows of <x, r> / (|x| |r|) (0 where x or r is 0)", kDictionaryLearning,
       "Blind to the length of the reconstruction; not centred."},
      {"l2_norm_in", 1, "mean over rows of |x|", kSaeLens, "Describes the activations, not the dictionary."},
      {"l2_norm_out", 1, "mean over rows of |r|", kSaeLens, "Read beside l2_norm_in."},
      {"l2_ratio", 1, "mean over rows of |r| / |x| (0 where x = 0)", kSaeLens,
       "Below 1 for an unbiased reconstruction too: see relative_reconstruction_bias."},
      {"relative_reconstruction_bias", 1, "sum |r|^2 / sum <x, r> over all rows", kGated,
       "1 is unbiased, below 1 is shrinkage; not centred."},
      {"alive_fraction", 1, "share of the features that fire on a row of the set", kSaeBench,
       "Depends on the number of rows, which is its window."},
      {"dead_feature_count", 1, "features that fire on none of the rows seen", kBricken,
       "As alive_fraction: rare is not dead."},
      {"dense_feature_count", 1, "features that fire on more than 10 % of the rows", kBricken,
       "The threshold is a convention; a common concept is dense too."},
      {"frequency_over_1_percent", 1, "share of the features with density > 0.01", kSaeBench,
       "The threshold is a convention."},
      {"frequency_over_10_percent", 1, "share of the features with density > 0.1", kSaeBench,
       "The threshold is a convention."},
      {"normalized_frequency_over_1_percent", 1, "sum of densities > 0.01 / sum of densities", kSaeBench, "As above."},
      {"normalized_frequency_over_10_percent", 1, "sum of densities > 0.1 / sum of densities", kSaeBench, "As above."},
      {"consistent_activation", 1,
       "rows on which a feature fires / documents in which it fires; mean over alive features", kSaeLens,
       "Long documents raise it."},
      {"max_decoder_cosine", 1, "mean over features i of max_{j != i} cos(W_dec[i], W_dec[j])", kSaeBench,
       "Near duplicates raise it; so does a wider dictionary."},
      {"max_encoder_cosine", 1, "mean over features i of max_{j != i} cos(W_enc[:, i], W_enc[:, j])", kSaeBench,
       "As max_decoder_cosine."},
      {"encoder_decoder_cosine", 2, "mean over features i that fire of cos(W_enc[:, i], W_dec[i])", kSaeLens,
       "Low is no fault: encoders also subtract what interferes."},
      {"cross_entropy_clean", 1, "mean over predicted tokens of -log p(token), model untouched, in nats", kGated,
       "Tokens to be predicted are masked anew for the evaluation: compare within one card or equal seeds."},
      {"cross_entropy_spliced", 1, "the same with the chosen rows of the hook point replaced by r", kGated,
       "The error term is dropped. Rows that were not chosen keep their activation."},
      {"cross_entropy_zero_ablated", 1, "the same with the chosen rows set to 0", kGated,
       "Far from what the model has seen."},
      {"cross_entropy_mean_ablated", 1, "the same with the chosen rows set to their mean over the set", kGated,
       "The mean is that of unmasked lives of the same set."},
      {"delta_cross_entropy", 1, "cross_entropy_spliced - cross_entropy_clean", kGated,
       "No scale: a weak layer has a small one."},
      {"loss_recovered_zero", 1, "(CE zero - CE spliced) / (CE zero - CE clean); NaN when |CE zero - CE clean| < 0.001",
       kGated, "Flatters: zero ablation is a low bar. Meaningless where ablation lowers the loss."},
      {"loss_recovered_mean", 1, "(CE mean - CE spliced) / (CE mean - CE clean); NaN when |CE mean - CE clean| < 0.001",
       kGated, "A harder bar than zero ablation. Meaningless where ablation lowers the loss."},
      {"kl_spliced", 1, "mean over predicted tokens of KL(p clean || p spliced), in nats", kSaeLens,
       "Also counts changes that make no prediction worse."},
      {"kl_zero_ablated", 1, "mean over predicted tokens of KL(p clean || p zero ablated)", kSaeLens, "As kl_spliced."},
      {"kl_mean_ablated", 1, "mean over predicted tokens of KL(p clean || p mean ablated)", kSaeLens, "As kl_spliced."},
      {"kl_recovered_zero", 1, "(KL zero - KL spliced) / KL zero; NaN when KL zero < 0.001", kSaeLens,
       "As loss_recovered_zero."},
      {"kl_recovered_mean", 1, "(KL mean - KL spliced) / KL mean; NaN when KL mean < 0.001", kSaeLens,
       "As loss_recovered_mean."},
      {"reconstruction_score", 1, "(sum loss zero - sum loss spliced) / (sum loss zero - sum loss clean)",
       "ai-safety-foundation/sparse_autoencoder @b6ba6cb", "loss_recovered_zero under its older name."},
      {"mmcs", 1, "mean over the directions a of one set of max_b cos(a, b) over the other, signed", kSharkey,
       "Not symmetric: both ways are given. Random directions have some too, more when there are many."},
      {"matched_cosine_greedy", 1, "mean cosine of one-to-one pairs, the most similar free directions first", kSharkey,
       "Greedy: the best total may be larger. Rarely firing features weigh as much as others."},
      {"matched_over_0.9", 1, "share of the pairs of matched_cosine_greedy with cosine > 0.9", kSharkey,
       "The threshold is a convention. Between two seeds: stability of the training."},
      {"capacity", 2, "mean over features that fire of <a_i, a_i>^2 / sum_j <a_i, a_j>^2, a their rows of W_dec",
       "Scherlis et al. 2022, arXiv:2210.01892", "Of vectors as given: lengths matter. At most width / features."},
      {"spectrum_slope", 1,
       "slope of log eigenvalue on log rank, by least squares over those above 1e-12 of the largest, of the covariance "
       "of the rows of W_dec that fire",
       kLi, "Of a power law, whether or not there is one: look at the plot."},
      {"parallelogram_silhouette", 1,
       "mean silhouette, by relation, of W_dec[second] - W_dec[first] over given pairs of features", kLi,
       "Of the pairs that were given; directions in which pairs of a relation differ hide parallelograms."},
      {"parallelogram_silhouette_discriminant", 1,
       "the same of the first two linear discriminant coordinates of these differences", kLi,
       "Fitted and measured on the same pairs: of few pairs in many dimensions random ones separate too."},
      {"relative_decoder_norm", 1,
       "of a crosscoder at hook point s: |W_dec^s[i]| / sum over its hook points t of |W_dec^t[i]|, the activations of "
       "each brought to mean squared norm 1; mean over alive features",
       kLindsey, "A mean: features of one hook point alone are in exclusive_feature_share."},
      {"exclusive_feature_share", 1, "share of the alive features with relative_decoder_norm > 0.9 there", kLindsey,
       "The threshold is a convention. The L1 of norms invents some: a share is no proof that the other lacks it."},
      {"shared_feature_share", 1,
       "of two hook points a, b: share of the alive features with 0.3 < |W_dec^b[i]| / (|W_dec^a[i]| + |W_dec^b[i]|) < "
       "0.7, in the same units",
       kLindsey, "The thresholds are a convention."},
      {"shared_decoder_cosine", 1, "mean of cos(W_dec^a[i], W_dec^b[i]) over these features", kLindsey,
       "Between layers or models that have a basis each, low is no fault."},
      {"coverage_own_threshold", 2,
       "mean over concepts g of F1(i, t, g) = 2 hits / (fired + positives) on test persons, feature i and t in {0, .1, "
       "..., .9} the best for g on validation persons, 0 where none has F1 > 0 there; i fires where f_i > t max f_i",
       "Karvonen et al. 2024, arXiv:2408.00113, eq. 3",
       "Grows with L0: compare at equal L0, and with coverage_always_on. Published values choose and measure on one "
       "set."},
      {"coverage_shared_threshold", 2, "the same at the one t of the best mean on validation persons", kBoardCode,
       "As coverage_own_threshold."},
      {"concept_reconstruction", 1,
       "F1, pooled over test rows and concepts, of: g is predicted where any of its detectors fires; a detector (i, t) "
       "has precision >= .95 and >= 10 hits on validation persons; a feature speaks at the highest t that it reaches "
       "and detects anything at",
       kKarvonen, "Concepts that nothing detects are misses; frequent concepts weigh most."},
      {"concept_reconstruction_best_threshold", 1,
       "the larger of concept_reconstruction and the same at every single t", kBoardCode,
       "The best is chosen on the rows that are reported, as published."},
      {"coverage_always_on", 1, "mean over concepts of 2 s / (1 + s), s the share of rows of which it holds", kKarvonen,
       "Not of the dictionary: coverage of a feature that is on everywhere."},
      {"probe_loss_1d", 2,
       "mean over concepts y of min over i, w, b of mean[-y log s(w f_i + b) - (1 - y) log(1 - s(w f_i + b))], not "
       "penalised, in nats",
       "Gao et al. 2024, arXiv:2406.04093, 4.2",
       "Fitted and measured on the same rows; compare with the entropy of y."},
      {"probe_loss_1d_held_out", 1,
       "mean over concepts of the same loss on test rows of the i, w, b that probe_loss_1d found on validation rows",
       "Gao et al. 2024, arXiv:2406.04093, 4.2, on rows of its own",
       "Not bounded by the entropy: a probe that separates the validation rows is sure, and pays for every miss."},
      {"sparse_probe_accuracy", 2,
       "mean over concepts of the accuracy on test rows of a logistic regression (L2, C = 1) on the k features of "
       "largest |mean f_i given y - "
       "mean "
       "f_i given not y| on validation rows",
       kSaeBench, "High for a rare label by saying no."},
      {"activation_probe_accuracy", 1,
       "mean over concepts of the accuracy on test rows of a logistic regression (L2, C = 1) on x, fitted on "
       "validation "
       "rows",
       kSaeBench, "Not of the dictionary: what the sparse probes are up against."},
      {"absorption_fraction", 1,
       "per row of a concept that its probe p (unit) gets right, with c_i = f_i cos(W_dec[i], p), m their sum over "
       "main "
       "features, P = <x, p>, A the sum of the 3 largest c_i > 0 of others with cos >= .1: 0 if P <= 0, m >= P or A / "
       "P < "
       ".4, 1 if m <= 0, else u / (u + m), u = min(A, P - m); mean over rows, then concepts",
       kAbsorption, "Main features are chosen by k-sparse probes: a concept split over features is not absorbed."},
      {"full_absorption", 1,
       "share of these rows where all main f < 1e-8, and the largest c has cos >= .025, P > 0 and c / P >= .4; mean "
       "over "
       "concepts",
       kAbsorption, "As absorption_fraction."},
      {"simulation_correlation", 1, "Pearson correlation of simulated and true activation over all tokens together",
       kBills, "Blind to scale. Here the simulator is a rule: one concept holds or not."},
      {"fuzzing", 2,
       "(TPR + TNR) / 2 of an explanation's answers to: is the feature active on this token; not defined where it is "
       "active on all or none",
       kDelphi, "Weighs the rare active tokens as much as all others."},
      {"detection", 2,
       "(TPR + TNR) / 2 of the answers to: is the feature active anywhere in this context (event); not defined where "
       "it "
       "is active in all or none",
       kDelphi, "As fuzzing."},
      {"lobe_mutual_information", 1,
       "adjusted mutual information of spectral clusters of features by phi + 1 over events and by 1 - arccos(cos) / "
       "pi "
       "of decoder rows",
       kLi, "Clusters of close eigenvalues are arbitrary."},
      {"sae_lens.mse", 1, "mean over rows of |e|^2 / rows of the batch", kSaeLens,
       "A MISTAKE of that library (SAEBench copied it): divided by the number of rows twice."},
      {"sae_lens.explained_variance", 1, "1 - m(|e|^2) / (m(|x|^2) - m(mean_j x_j^2)^2), m the mean of batch means",
       kSaeLens, "A MISTAKE of that library (SAEBench copied it): the divisor is no variance."},
      {"sae_lens.explained_variance_legacy", 1,
       "mean over rows of 1 - |e|^2 / |x - xbar|^2, xbar the mean of the row's batch", kSaeLens,
       "A mean of ratios: rows near the mean can make it negative."},
      {"sae_lens.relative_reconstruction_bias", 1, "mean over batches of sum |r|^2 / sum <x, r>", kSaeLens,
       "A mean of ratios of batches; dictionary_learning has the same."},
      {"dictionary_learning.l2_loss", 1, "mean over batches of mean |e|", kDictionaryLearning,
       "Not squared, in spite of its name."},
      {"dictionary_learning.frac_variance_explained", 1, "mean over batches of 1 - sum_j var(e_j) / sum_j var(x_j)",
       kDictionaryLearning, "The mean of e is removed: a constant error costs nothing. A mean of ratios of batches."},
      {"explained_variance_per_dim_mean", 1, "mean over batches of mean_j (1 - sum e_j^2 / sum (x_j - xbar_j)^2)",
       "mean of R^2", "Weak dimensions weigh as much as strong ones. A mean of ratios of batches."},
  };
  return table;
}

// '|' ends a cell of a Markdown table.
std::string Cell(const std::string& text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';
    cell += c;
  }
  return cell;
}

}  // namespace

const std::vector<MetricDefinition>& MetricDefinitions() { return Table(); }

const MetricDefinition& DefinitionOf(const std::string& name) {
  const auto& table = Table();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const MetricDefinition& d) { return name == d.name; });
  TORCH_CHECK_VALUE(found != table.end(), "metric '", name, "' has no definition");
  return *found;
}

std::string MetricsMarkdown() {
  std::string text =
      "# Metrics of dictionaries\n\n"
      "Made by `lifescoped metrics`; do not edit. Rows are the positions that a card says it evaluated; x is an "
      "activation, r its\n"
      "reconstruction, e = x - r, f its features. Of a transcoder, x is the activation of the hook point that it "
      "predicts, and that is\n"
      "what is replaced or ablated; of a crosscoder, every hook point has figures of its own, and directions are those "
      "for\n"
      "activations that are brought to mean squared norm 1 at each. Sums are in double over the whole set, never means "
      "of batches,\n"
      "except where a name begins with another library's: those are here so that published numbers can be compared. "
      "Intervals are\n"
      "95 % percentiles of a bootstrap over persons.\n\n"
      "| metric | version | formula | reference | what it does not say |\n|---|---|---|---|---|\n";
  for (const MetricDefinition& d : Table()) {
    text += "| `";
    text += d.name;
    text += "` | " + std::to_string(d.version) + " | " + Cell(d.formula) + " | " + Cell(d.reference) + " | " +
            Cell(d.caution) + " |\n";
  }
  return text;
}

}  // namespace lifescope
