#include <c10/util/Exception.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <system_error>
#include <utility>

#include "server/artifact/artifact.h"
#include "server/artifact/output_file.h"
#include "server/corpus/label_manifest.h"
#include "server/corpus/label_table.h"

namespace lifescope {
namespace {

namespace fs = std::filesystem;

template <typename T>
void AppendAs(double value, OutputFile& file) {
  const T stored = static_cast<T>(value);
  file.Append({reinterpret_cast<const char*>(&stored), sizeof(T)});
}

}  // namespace

struct LabelTableWriter::Impl {
  std::string folder, partial;
  const Corpus& corpus;
  LabelListing listing;
  std::vector<std::unique_ptr<OutputFile>> files;

  ~Impl() {
    files.clear();
    std::error_code ignored;
    fs::remove_all(partial, ignored);
  }
};

LabelTableWriter::LabelTableWriter(std::string folder, const Corpus& corpus, std::vector<LabelColumn> columns) {
  CheckLabelColumns(columns);
  TORCH_CHECK_VALUE(!fs::exists(folder), folder, ": exists already; a label table is never changed");
  const fs::path path(folder);
  std::string partial = path.parent_path() / ".";
  partial += path.filename().string() + ".partial-" + std::to_string(getpid());
  LabelListing listing{corpus.digest(), std::move(columns), {}};
  impl_.reset(new Impl{std::move(folder), std::move(partial), corpus, std::move(listing), {}});
  fs::remove_all(impl_->partial);
  std::error_code error;
  fs::create_directories(impl_->partial, error);
  TORCH_CHECK_VALUE(!error, impl_->partial, ": cannot be created: ", error.message());
  for (const LabelColumn& column : impl_->listing.columns) {
    impl_->files.push_back(std::make_unique<OutputFile>(impl_->partial + "/" + LabelFileName(column)));
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
  WriteFileAtomically(impl_->partial + "/" + kLabelManifestFile, ToJson(listing));
  MoveFolder(impl_->partial, impl_->folder);
}

}  // namespace lifescope
