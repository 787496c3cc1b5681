// Everything of a run that can be checked before compute. Field paths are those of run.proto.
#include <c10/util/Exception.h>

#include <set>

#include "server/intervention/engine.h"
#include "server/intervention/run_checks.h"
#include "server/intervention/target.h"

namespace lifescope {
namespace {

template <typename T>
void CheckRow(const std::vector<T>& row, int64_t length, const std::string& field) {
  TORCH_CHECK_VALUE(static_cast<int64_t>(row.size()) == length, field, ": ", row.size(), " entries, expected ", length,
                    ", one per token");
}

class Validator : RunChecks {
 public:
  using RunChecks::RunChecks;

  void CheckDocuments() const {
    TORCH_CHECK_VALUE(!run_.documents.empty(), "documents: none, expected at least one");
    TORCH_CHECK_VALUE(0 <= run_.n_slots && run_.n_slots <= hyperparameters_.max_length, "n_slots: ", run_.n_slots,
                      ", expected 0 (the model's max_length) to ", hyperparameters_.max_length);
    const int64_t n_slots = run_.n_slots == 0 ? hyperparameters_.max_length : run_.n_slots;
    for (size_t i = 0; i < run_.documents.size(); ++i) {
      CheckDocument(run_.documents[i], n_slots, ElementPath("documents", i));
    }
  }

  void CheckDictionaries() const {
    for (size_t i = 0; i < run_.dictionaries.size(); ++i) {
      const auto& [dictionary, point, is_transcoder] = run_.dictionaries[i];
      const std::string field = ElementPath("dictionaries", i);
      TORCH_CHECK_VALUE(dictionary != nullptr, field, ": null, expected a dictionary");
      CheckTokenPoint(point, field + ".hook_point");
      const int64_t width = WidthAt(point, hyperparameters_);
      TORCH_CHECK_VALUE(dictionary->activation_dim() == width, field, ": reads vectors of ",
                        dictionary->activation_dim(), ", expected ", width, ", the width of ", point.ToString());
      TORCH_CHECK_VALUE(is_transcoder || dictionary->output_dim() == width, field, ": writes vectors of ",
                        dictionary->output_dim(), ", expected ", width, " or a transcoder");
      TORCH_CHECK_VALUE(dictionary->dtype() == model_.dtype() && dictionary->device() == model_.device(), field, ": ",
                        dictionary->dtype(), " on ", dictionary->device(), ", expected ", model_.dtype(), " on ",
                        model_.device(), " as the model");
    }
  }

  void CheckHeads() const {
    std::set<std::string> names;
    for (size_t i = 0; i < run_.heads.size(); ++i) {
      const auto& [name, head] = run_.heads[i];
      const std::string field = ElementPath("heads", i);
      TORCH_CHECK_VALUE(head != nullptr, field, ": null, expected a head");
      TORCH_CHECK_VALUE(!name.empty() && names.insert(name).second, field, ": name '", name,
                        "', expected a name of its own");
      TORCH_CHECK_VALUE(head->shape().hidden_size == hyperparameters_.hidden_size, field, ": reads rows of ",
                        head->shape().hidden_size, ", expected ", hyperparameters_.hidden_size, ", the model's width");
      TORCH_CHECK_VALUE(head->dtype() == model_.dtype() && head->device() == model_.device(), field, ": ",
                        head->dtype(), " on ", head->device(), ", expected ", model_.dtype(), " on ", model_.device(),
                        " as the model");
    }
  }

 private:
  void CheckDocument(const Document& document, int64_t n_slots, const std::string& field) const {
    const int64_t length = document.length();
    TORCH_CHECK_VALUE(length > 0, field, ": no positions, expected at least one");
    TORCH_CHECK_VALUE(length <= n_slots, field, ": ", length, " positions, expected at most n_slots = ", n_slots);
    CheckRow(document.abspos, length, field + ".abspos");
    CheckRow(document.age, length, field + ".age");
    CheckRow(document.segment, length, field + ".segment");
    CheckRow(document.event, length, field + ".event");
    for (int64_t i = 0; i < length; ++i) {
      CheckToken(document.token[i], ElementPath(field + ".token", i));
      CheckIndex(document.segment[i], 4, ElementPath(field + ".segment", i), "segment");
    }
  }
};

}  // namespace

void ValidateRun(const Run& run, const Transformer& model) {
  const Validator validator(run, model);
  validator.CheckDocuments();
  validator.CheckDictionaries();
  validator.CheckHeads();
  ValidateInterventions(run, model);
  ValidateReads(run, model);
}

}  // namespace lifescope
