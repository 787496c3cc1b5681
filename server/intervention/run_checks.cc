#include "server/intervention/run_checks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/intervention/target.h"

namespace lifescope {

std::string ElementPath(const std::string& list, size_t index) { return list + "[" + std::to_string(index) + "]"; }

void CheckIndex(int64_t value, int64_t count, const std::string& field, const char* what) {
  TORCH_CHECK_INDEX(0 <= value && value < count, field, ": ", value, ", expected 0 <= ", what, " < ", count);
}

RunChecks::RunChecks(const Run& run, const Transformer& model)
    : run_(run),
      model_(model),
      hyperparameters_(model.hyperparameters()),
      points_(AllHookPoints(model.hyperparameters())) {}

void RunChecks::CheckToken(int32_t token, const std::string& field) const {
  CheckIndex(token, hyperparameters_.vocab_size, field, "token");
}

void RunChecks::CheckTokens(const std::vector<int32_t>& tokens, const std::string& field) const {
  for (size_t i = 0; i < tokens.size(); ++i) CheckToken(tokens[i], ElementPath(field, i));
}

void RunChecks::CheckDictionary(int64_t dictionary, const std::string& field) const {
  CheckIndex(dictionary, static_cast<int64_t>(run_.dictionaries.size()), field, "dictionary");
}

void RunChecks::CheckPoint(const HookPoint& point, const std::string& field) const {
  TORCH_CHECK_VALUE(std::find(points_.begin(), points_.end(), point) != points_.end(), field, ": ", point.ToString(),
                    ", expected a hook point of a model with ", hyperparameters_.n_encoders, " layers");
}

void RunChecks::CheckTokenPoint(const HookPoint& point, const std::string& field) const {
  CheckPoint(point, field);
  TORCH_CHECK_VALUE(RowKindOf(point.site) == RowKind::kToken, field, ": ", point.ToString(),
                    ", expected a hook point with one row per position");
}

void RunChecks::CheckRowPoint(const HookPoint& point, const Positions& positions, const std::string& field,
                              const std::string& kind) const {
  if (point.head.empty()) return CheckTokenPoint(point, field + kind);
  const bool known =
      std::any_of(run_.heads.begin(), run_.heads.end(), [&](const RunHead& entry) { return entry.name == point.head; });
  TORCH_CHECK_VALUE(known && point.site == Site::kPersonSummary, field, kind, ": ", point.ToString(),
                    ", expected hook_person_summary of a head of the run");
  TORCH_CHECK_VALUE(positions.all(), field, ".positions: given, expected none: ", point.ToString(),
                    " has one row per document");
}

void RunChecks::CheckPositions(const Positions& positions, const std::vector<int64_t>& documents,
                               const std::string& field) const {
  if (positions.all()) return;
  CheckTokens(positions.tokens, field + ".positions.tokens");
  for (int64_t d = 0; d < document_count(); ++d) {
    if (!Covers(documents, d)) continue;
    ListPositions(positions, run_.documents[d], field + ".positions", ElementPath("documents", d));
  }
}

void RunChecks::CheckFinite(double value, const std::string& field) const {
  const double largest =
      model_.dtype() == at::kDouble ? std::numeric_limits<double>::max() : std::numeric_limits<float>::max();
  TORCH_CHECK_VALUE(std::abs(value) <= largest, field, ": ", value, ", expected a finite number of ", model_.dtype());
}

}  // namespace lifescope
