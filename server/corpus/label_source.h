// Where the values of a label column come from. One class per source; all are asked life by life, in corpus order.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "server/corpus/label_condition.h"
#include "server/corpus/label_csv.h"
#include "server/corpus/label_description.h"
#include "server/corpus/label_table.h"

namespace lifescope {

// Immutable and thread-safe.
class LabelSource {
 public:
  virtual ~LabelSource() = default;

  virtual LabelScope scope() const = 0;
  virtual LabelKind kind() const = 0;
  // Of a category: the names of its values.
  virtual std::vector<std::string> values() const { return {}; }
  // Appends the values of the `index`-th life: one, or one per event, or one per token.
  virtual void Append(int64_t index, const LifeByEvent& life, std::vector<double>* values) const = 0;
};

// Throws c10::ValueError on what the corpus does not have (tokens, traits), and as ReadLabelCsv does. `corpus` must
// outlive the source. `reports` is given an entry for a table that was read.
std::unique_ptr<LabelSource> MakeLabelSource(const LabelColumnDescription& description, const Corpus& corpus,
                                             double max_bad_row_share, std::vector<RowCounts>* reports);

}  // namespace lifescope
