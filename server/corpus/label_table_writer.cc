#include <c10/util/Exception.h>

#include <cmath>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/artifact/output_file.h"
#include "server/corpus/label_manifest.h"
#include "server/corpus/label_table.h"

namespace lifescope {
namespace {

template <typename T>
void AppendAs(double value, OutputFile& file) {
  const T stored = static_cast<T>(value);
  file.Append({reinterpret_cast<const char*>(&stored), sizeof(T)});
}

}  // namespace

struct LabelTableWriter::Impl {
  PartialFolder partial;
  const Corpus& corpus;
  LabelListing listing;
  std::vector<std::unique_ptr<OutputFile>> files;

  Impl(const std::string& folder, const Corpus& described, std::vector<LabelColumn> columns)
      : partial(folder), corpus(described), listing{described.digest(), std::move(columns), {}} {}
};

LabelTableWriter::LabelTableWriter(const std::string& folder, const Corpus& corpus, std::vector<LabelColumn> columns) {
  CheckLabelColumns(columns);
  impl_ = std::make_unique<Impl>(folder, corpus, std::move(columns));
  for (const LabelColumn& column : impl_->listing.columns) {
    impl_->files.push_back(std::make_unique<OutputFile>(impl_->partial.path() + "/" + LabelFileName(column)));
  }
}

LabelTableWriter::~LabelTableWriter() = default;

void LabelTableWriter::Append(size_t column, double value) {
  const LabelColumn& described = impl_->listing.columns.at(column);
  const std::string fault = LabelValueFault(described, value);
  TORCH_CHECK_VALUE(fault.empty(), "label column ", described.name, ": a value ", fault);
  OutputFile& file = *impl_->files.at(column);
  if (described.kind == LabelKind::kNumber) return AppendAs<double>(value, file);
  if (std::isnan(value)) value = -1;
  described.kind == LabelKind::kBoolean ? AppendAs<int8_t>(value, file) : AppendAs<int32_t>(value, file);
}

void LabelTableWriter::Finish() {
  LabelListing& listing = impl_->listing;
  for (size_t c = 0; c < impl_->files.size(); ++c) {
    const LabelColumn& column = listing.columns[c];
    listing.files.push_back(impl_->files[c]->Finish());
    const int64_t rows = listing.files[c].bytes / static_cast<int64_t>(LabelValueSize(column.kind));
    const int64_t expected = LabelRowCount(column.scope, impl_->corpus.manifest());
    TORCH_CHECK_VALUE(rows == expected, "label column ", column.name, ": ", rows, " values, expected ", expected,
                      ", one per ", ToString(column.scope));
  }
  WriteFileAtomically(impl_->partial.path() + "/" + kLabelManifestFile, ToJson(listing));
  impl_->partial.Publish();
}

}  // namespace lifescope
