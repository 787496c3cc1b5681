// The checks of reads.
#include "server/intervention/run_checks.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

class ReadChecks : RunChecks {
 public:
  using RunChecks::RunChecks;

  void CheckReads() const {
    TORCH_CHECK_VALUE(!run_.reads.empty(), "reads: none, expected at least one");
    for (size_t i = 0; i < run_.reads.size(); ++i) {
      const Read& read = run_.reads[i];
      const std::string field = ElementPath("reads", i);
      std::visit([&](const auto& kind) { CheckKind(kind, read, field); }, read.kind);
      CheckIndices(read.documents, document_count(), field + ".documents", "document");
      if (ReadsPositions(read.kind)) CheckPositions(read.positions, read.documents, field);
    }
  }

 private:
  void CheckKind(const ActivationRead& kind, const Read& read, const std::string& field) const {
    CheckRowPoint(kind.hook_point, read.positions, field, ".activation.hook_point");
  }
  void CheckKind(const FeatureRead& read, const Read&, const std::string& field) const {
    CheckDictionary(read.dictionary, field + ".features.dictionary");
  }
  void CheckKind(const MlmLogitsRead& read, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".mlm_logits");
    CheckTokens(read.tokens, field + ".mlm_logits.tokens");
  }
  void CheckKind(const LogitDifferenceRead& read, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".logit_difference");
    CheckToken(read.token_a, field + ".logit_difference.token_a");
    CheckToken(read.token_b, field + ".logit_difference.token_b");
  }
  void CheckKind(const LogProbabilityRead& read, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".log_probability");
    CheckToken(read.token, field + ".log_probability.token");
  }
  void CheckKind(const KlToCleanRead&, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".kl_to_clean");
  }
  void CheckKind(const SopLogitsRead&, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".sop_logits");
  }
  void CheckKind(const ClassProbabilityRead& read, const Read&, const std::string& field) const {
    CheckIndex(read.head, static_cast<int64_t>(run_.heads.size()), field + ".class_probability.head", "head");
  }
  void CheckKind(const LogitLensRead& read, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".logit_lens");
    const Site site = read.hook_point.site;
    CheckTokenPoint(read.hook_point, field + ".logit_lens.hook_point");
    TORCH_CHECK_VALUE(
        site == Site::kEmbed || site == Site::kResidPre || site == Site::kResidMid || site == Site::kResidPost, field,
        ".logit_lens.hook_point: ", read.hook_point.ToString(),
        ", expected a residual stream: hook_embed, hook_resid_pre, hook_resid_mid or hook_resid_post");
    CheckTokens(read.tokens, field + ".logit_lens.tokens");
  }
  void CheckKind(const CrossEntropyRead& kind, const Read& read, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".cross_entropy");
    const std::string targets = field + ".cross_entropy.targets";
    TORCH_CHECK_VALUE(!kind.targets.empty(), targets, ": none, expected at least one");
    TORCH_CHECK_VALUE(read.positions.all(), field, ".positions: given, expected none: the targets have their own");
    for (size_t i = 0; i < kind.targets.size(); ++i) {
      const auto [position, token] = kind.targets[i];
      CheckToken(token, ElementPath(targets, i) + ".token");
      for (int64_t d = 0; d < document_count(); ++d) {
        if (!Covers(read.documents, d)) continue;
        TORCH_CHECK_INDEX(0 <= position && position < run_.documents[d].length(), ElementPath(targets, i),
                          ".position: ", position, ", expected 0 <= position < ", run_.documents[d].length(),
                          ", the length of ", ElementPath("documents", d));
      }
    }
  }
  void CheckKind(const DirectLogitRead& read, const Read&, const std::string& field) const {
    hyperparameters_.CheckPretrainingHeads(field + ".direct_logit");
    CheckToken(read.token_a, field + ".direct_logit.token_a");
    if (read.token_b) CheckToken(*read.token_b, field + ".direct_logit.token_b");
  }
  void CheckKind(const AttentionRead& read, const Read&, const std::string& field) const {
    CheckIndex(read.layer, hyperparameters_.n_encoders, field + ".attention.layer", "layer");
    CheckIndex(read.head, hyperparameters_.n_heads, field + ".attention.head", "head");
  }
  void CheckKind(const ShiftRead& kind, const Read& read, const std::string& field) const {
    CheckRowPoint(kind.hook_point, read.positions, field, ".shift.hook_point");
  }
  void CheckKind(const FeatureChangeRead& read, const Read&, const std::string& field) const {
    CheckDictionary(read.dictionary, field + ".feature_change.dictionary");
    CheckFinite(read.threshold, field + ".feature_change.threshold");
    TORCH_CHECK_VALUE(read.threshold >= 0, field, ".feature_change.threshold: ", read.threshold,
                      ", expected 0 or more");
  }
  void CheckKind(const ReconstructionErrorRead& read, const Read&, const std::string& field) const {
    CheckDictionary(read.dictionary, field + ".reconstruction_error.dictionary");
    TORCH_CHECK_VALUE(!run_.dictionaries[read.dictionary].is_transcoder, field,
                      ".reconstruction_error.dictionary: a transcoder, which does not reconstruct what it reads; "
                      "expected a sparse autoencoder");
  }
};

}  // namespace

void ValidateReads(const Run& run, const Transformer& model) { ReadChecks(run, model).CheckReads(); }

}  // namespace lifescope
