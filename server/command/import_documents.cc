#include "server/command/import_documents.h"

#include <c10/util/Exception.h>

#include <cstdio>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"

namespace lifescope {

void AddDocumentOptions(CLI::App& verb, DocumentFlags& flags) {
  CLI::Option* documents =
      verb.add_option("--documents", flags.paths,
                      "Processed documents of life2vec: .hdf5 files, or folders of them (train, val, test)")
          ->check(CLI::ExistingPath);
  for (const char* of_tables : {"--tables", "--description", "--split-seed", "--memory", "--start-over"}) {
    verb.get_option(of_tables)->excludes(documents);
  }
  verb.add_option("--vocabulary", flags.vocabulary, "Vocabulary of the documents: result.tsv")
      ->check(CLI::ExistingFile)
      ->needs(documents);
  documents->needs("--vocabulary");
  verb.add_option("--reference-date", flags.reference_date,
                  "Day 1 of the documents' abspos (life2vec-light: 2020-01-01)")
      ->needs(documents)
      ->capture_default_str();
  verb.add_flag("--whole-lives", flags.whole_lives,
                "Keep the sentences after the threshold (timecut_pos, which life2vec-light writes as 0)")
      ->needs(documents);
}

void ImportDocuments(const std::string& folder, const DocumentFlags& flags, DocumentImportOptions options) {
  const Stopwatch stopwatch;
  const std::optional<Date> reference = Date::Parse(flags.reference_date);
  TORCH_CHECK_VALUE(reference.has_value(), "--reference-date is '", flags.reference_date, "', expected YYYY-MM-DD");
  options.reference_date = *reference;
  options.cut_at_threshold = !flags.whole_lives;
  PrepareNewArtifact(folder);
  DocumentImportReport report;
  {
    ProgressBar bar("import", 0);
    report = ImportPersonDocuments(
        flags.paths, flags.vocabulary, folder, options,
        [&](const std::string& stage, int64_t done, int64_t total) { bar.UpdateStage(stage, done, total); });
  }
  const RowCounts rows = Total(report.files);
  for (const std::string& sample : rows.bad_row_samples) std::fprintf(stderr, "bad row: %s\n", sample.c_str());
  const auto corpus = Corpus::Open(folder);
  const std::string summary =
      absl::StrCat(CorpusSummary(*corpus), "; ", rows.row_count, " documents read from ", report.files.size(),
                   " files, ", rows.bad_row_count, " bad, ", report.eventless_person_count, " without events; ",
                   report.unknown_token_count, " unknown tokens");
  PrintEndLine(folder, summary, corpus->digest(), stopwatch.Seconds());
}

}  // namespace lifescope
