#include "server/app/limits.h"

#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/app/field_path.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

// Values of a read per position, or per document where it is not taken at positions.
struct ValuesPerRow {
  const Plan& plan;
  int64_t document;  // of which a value is read

  int64_t operator()(const lifescope::ActivationRead& read) const {
    return WidthAt(read.hook_point, plan.model->transformer->hyperparameters());
  }
  int64_t operator()(const lifescope::MlmLogitsRead& read) const { return TokenCount(read.tokens); }
  int64_t operator()(const lifescope::LogitLensRead& read) const { return TokenCount(read.tokens); }
  int64_t operator()(const lifescope::LogitDifferenceRead&) const { return 1; }
  int64_t operator()(const lifescope::LogProbabilityRead&) const { return 1; }
  int64_t operator()(const lifescope::KlToCleanRead&) const { return 1; }
  int64_t operator()(const lifescope::CrossEntropyRead& read) const {
    return static_cast<int64_t>(read.targets.size());
  }
  int64_t operator()(const lifescope::SopLogitsRead&) const { return 3; }
  int64_t operator()(const lifescope::ClassProbabilityRead& read) const {
    const ClassifierHead& head = *plan.run.heads[read.head].head;
    return head.target_count() * head.class_count();
  }
  // Embeddings, the layers' components and edits; logit, bias and gap.
  int64_t operator()(const lifescope::DirectLogitRead& read) const {
    const Hyperparameters& h = plan.model->transformer->hyperparameters();
    const bool by_head = read.components == lifescope::DirectLogitRead::Components::kHeads;
    return 4 + h.n_encoders * ((by_head ? h.n_heads + 1 : 1) + 1) + 1 + 3;
  }
  // The last is padding's.
  int64_t operator()(const lifescope::AttentionRead&) const { return plan.run.documents[document].length() + 1; }
  int64_t operator()(const lifescope::ShiftRead&) const { return 2; }
  int64_t operator()(const lifescope::ReconstructionErrorRead&) const { return 1; }
  // Position and row offset.
  int64_t operator()(const lifescope::FeatureRead&) const { return 4; }
  int64_t operator()(const lifescope::FeatureChangeRead&) const { return 4; }

 private:
  int64_t TokenCount(const std::vector<int32_t>& tokens) const {
    return tokens.empty() ? plan.model->vocabulary->size() : static_cast<int64_t>(tokens.size());
  }
};

int64_t ReadBytes(const Plan& plan, size_t index, int64_t document) {
  const lifescope::Read& read = plan.run.reads[index];
  int64_t rows = 1;
  if (ReadsPositions(read.kind)) {
    rows = ResolvePositions(read.positions, plan.run.documents[document], Element("", "reads", index) + ".positions",
                            Element("", "documents", document))
               .size();
  }
  return rows * std::visit(ValuesPerRow{plan, document}, read.kind) * (plan.float64 ? 8 : 4);
}

}  // namespace

absl::Status CheckRunSize(const v1::Run& run, const AppOptions& options) {
  if (run.documents_size() > options.max_documents_per_run) {
    return InvalidField("run.documents", absl::StrCat(run.documents_size(), ", expected at most ",
                                                      options.max_documents_per_run, " per run"));
  }
  const int64_t forwards = static_cast<int64_t>(run.documents_size()) * (1 + run.interventions_size());
  if (forwards > options.max_forwards_per_run) {
    return InvalidField("run.interventions",
                        absl::StrCat(run.documents_size(), " documents x (1 + ", run.interventions_size(),
                                     " interventions) = ", forwards, " forwards, expected at most ",
                                     options.max_forwards_per_run, " per run"));
  }
  return absl::OkStatus();
}

int64_t DenseReadBytes(const Plan& plan) {
  int64_t bytes = 0;
  for (int64_t document = 0; document < static_cast<int64_t>(plan.run.documents.size()); ++document) {
    int64_t runs = 1;
    for (const lifescope::Intervention& intervention : plan.run.interventions) runs += Edits(intervention, document);
    for (size_t i = 0; i < plan.run.reads.size(); ++i) {
      if (Covers(plan.run.reads[i].documents, document)) bytes += runs * ReadBytes(plan, i, document);
    }
  }
  return bytes;
}

}  // namespace lifescope
