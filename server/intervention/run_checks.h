// Checks that the parts of ValidateRun share. Each throws c10::ValueError or c10::IndexError whose message starts with
// `field`, the path in run.proto of what it checks.
#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "server/intervention/run.h"
#include "server/model/transformer.h"

namespace lifescope {

// Path of an element of a list: "edits[2]".
std::string ElementPath(const std::string& list, size_t index);

void CheckIndex(int64_t value, int64_t count, const std::string& field, const char* what);

// Each in range and once.
template <typename T>
void CheckIndices(const std::vector<T>& values, int64_t count, const std::string& field, const char* what) {
  std::set<T> seen;
  for (size_t i = 0; i < values.size(); ++i) {
    CheckIndex(values[i], count, ElementPath(field, i), what);
    TORCH_CHECK_VALUE(seen.insert(values[i]).second, ElementPath(field, i), ": ", what, " ", values[i],
                      " twice, expected each once");
  }
}

// What a run may refer to. Holds references to both.
class RunChecks {
 public:
  RunChecks(const Run& run, const Transformer& model);

 protected:
  int64_t document_count() const { return static_cast<int64_t>(run_.documents.size()); }

  void CheckToken(int32_t token, const std::string& field) const;
  void CheckTokens(const std::vector<int32_t>& tokens, const std::string& field) const;
  void CheckDictionary(int64_t dictionary, const std::string& field) const;
  // A hook point of the model, or of a head of the run.
  void CheckPoint(const HookPoint& point, const std::string& field) const;
  // A hook point whose rows are positions: the only kind that dictionaries work on.
  void CheckTokenPoint(const HookPoint& point, const std::string& field) const;
  // What edits and activation reads work on: rows of positions, or a head's person summaries, which have none. `kind`
  // is the path of the hook point within `field`.
  void CheckRowPoint(const HookPoint& point, const Positions& positions, const std::string& field,
                     const std::string& kind) const;
  // In every document that the list covers. `field` is the path of what has the positions.
  void CheckPositions(const Positions& positions, const std::vector<int64_t>& documents,
                      const std::string& field) const;
  // Finite in the run's arithmetic too.
  void CheckFinite(double value, const std::string& field) const;

  const Run& run_;
  const Transformer& model_;
  const Hyperparameters& hyperparameters_;

 private:
  const std::vector<HookPoint> points_;
};

// The part of ValidateRun that concerns Run::interventions.
void ValidateInterventions(const Run& run, const Transformer& model);
// And Run::reads.
void ValidateReads(const Run& run, const Transformer& model);

}  // namespace lifescope
