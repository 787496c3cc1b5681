#include "server/corpus/label_build.h"

#include <memory>

#include "server/corpus/label_source.h"
#include "server/corpus/label_table.h"

namespace lifescope {

std::vector<RowCounts> BuildLabelTable(const std::string& folder, const Corpus& corpus,
                                       const std::vector<LabelColumnDescription>& columns, const LabelOptions& options,
                                       const std::function<void(int64_t done, int64_t total)>& on_progress) {
  constexpr int64_t kProgressStep = 256;
  std::vector<RowCounts> reports;
  std::vector<std::unique_ptr<LabelSource>> sources;
  std::vector<LabelColumn> described;
  for (const LabelColumnDescription& column : columns) {
    sources.push_back(MakeLabelSource(column, corpus, options.max_bad_row_share, &reports));
    const LabelSource& source = *sources.back();
    described.push_back({column.name, source.scope(), source.kind(), source.values(), column.definition});
  }
  LabelTableWriter writer(folder, corpus, std::move(described));
  std::vector<double> values;
  for (int64_t i = 0; i < corpus.size(); ++i) {
    const LifeByEvent life(corpus.DocumentAt(i));
    for (size_t c = 0; c < sources.size(); ++c) {
      values.clear();
      sources[c]->Append(i, life, &values);
      for (const double value : values) writer.Append(c, value);
    }
    if (on_progress && (i + 1) % kProgressStep == 0) on_progress(i + 1, corpus.size());
  }
  writer.Finish();
  if (on_progress) on_progress(corpus.size(), corpus.size());
  return reports;
}

}  // namespace lifescope
