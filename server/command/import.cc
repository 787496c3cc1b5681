#include <c10/util/Exception.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/command/command.h"
#include "server/command/describe_tables.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/import_documents.h"
#include "server/command/progress_bar.h"
#include "server/corpus/table_import.h"

namespace lifescope {
namespace {

struct ImportFlags {
  std::string home;
  std::string name;
  std::string tables;
  std::string description = "life2vec-light";
  std::string split_file;
  uint64_t split_seed = 0;
  int64_t memory_mib = 256;
  TableImportOptions import;
  DocumentFlags documents;
};

// The description with what the flags say of the split.
TableDescription DescriptionOf(const ImportFlags& flags, const std::string& text, bool has_seed) {
  TableDescription description = ParseTableDescription(flags.description, text);
  if (has_seed) {
    TORCH_CHECK_VALUE(flags.split_file.empty() && description.persons.split_column.empty() && !description.split.table,
                      "--split-seed: the split is that of a file or column, expected one by shares");
    description.split.seed = flags.split_seed;
  }
  if (!flags.split_file.empty()) {
    const std::string path = std::filesystem::absolute(flags.split_file);
    description.persons.split_column.clear();
    description.split.column = "split";
    description.split.table = TableSource{{path}, {}, description.persons.source.person_column, {}};
  }
  return description;
}

std::string Summary(const Corpus& corpus, const TableImportReport& report) {
  const RowCounts rows = report.rows();
  std::string text =
      absl::StrCat(CorpusSummary(corpus), "; ", rows.row_count, " rows read, ", rows.skipped_row_count, " skipped, ",
                   rows.bad_row_count, " bad; ", report.unknown_token_count, " unknown tokens");
  if (report.left_out_person_count > 0) absl::StrAppend(&text, "; ", report.left_out_person_count, " persons left out");
  if (report.eventless_person_count > 0) {
    absl::StrAppend(&text, "; ", report.eventless_person_count, " persons without an event");
  }
  return text;
}

void Import(ImportFlags& flags, bool has_seed) {
  const Stopwatch stopwatch;
  const std::string folder = CorpusFolder(flags.home, flags.name);
  if (!flags.documents.paths.empty()) {
    DocumentImportOptions options;
    options.max_length = flags.import.encode.max_length;
    options.faithful = flags.import.encode.faithful;
    options.max_bad_row_share = flags.import.max_bad_row_share;
    options.split_file = flags.split_file;
    return ImportDocuments(folder, flags.documents, options);
  }
  TORCH_CHECK_VALUE(!flags.tables.empty(), "--tables or --documents is required");
  flags.import.description_text = FindTableDescription(flags.description);
  flags.import.description = DescriptionOf(flags, flags.import.description_text, has_seed);
  flags.import.memory_bytes = flags.memory_mib << 20;
  PrepareNewArtifact(folder);
  TableImportReport report;
  {
    ProgressBar bar("import", 0);
    report = ImportTables(
        flags.tables, folder, flags.import,
        [&](const std::string& stage, int64_t done, int64_t total) { bar.UpdateStage(stage, done, total); });
  }
  for (const std::string& sample : report.rows().bad_row_samples) std::fprintf(stderr, "bad row: %s\n", sample.c_str());
  const auto corpus = Corpus::Open(folder);
  PrintEndLine(folder, Summary(*corpus, report), corpus->digest(), stopwatch.Seconds());
}

// Before anything is required, as --help.
void Describe(const std::string& name) {
  std::fputs(FindTableDescription(name).c_str(), stdout);
  throw CLI::Success();
}

void AddTableOptions(CLI::App& verb, ImportFlags& flags) {
  verb.add_option("--tables", flags.tables, "Folder of the tables")->check(CLI::ExistingDirectory);
  verb.add_option("--description", flags.description,
                  "What the tables are: a textproto, or life2vec-light, life2vec, synthetic-world")
      ->capture_default_str();
  verb.add_option_function<std::string>("--describe", Describe, "Print a description that comes with lifescoped")
      ->trigger_on_parse();
  verb.add_option("--split-file", flags.split_file,
                  "CSV of the persons' column and 'split': train, validation, test; instead of the description's split")
      ->check(CLI::ExistingFile);
  verb.add_option("--split-seed", flags.split_seed, "Seed of the split by shares, instead of the description's");
  verb.add_option("--memory", flags.memory_mib, "Memory to sort in, in MiB")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb.add_option("--max-bad-rows", flags.import.max_bad_row_share,
                  "Share of bad rows in a table or file that stops the import")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb.add_flag("--start-over", flags.import.start_over, "Discard an unfinished import of that name");
}

}  // namespace

void AddImportCommand(CLI::App& app) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* verb = app.add_subcommand(
      "import",
      "Turn raw tables or processed documents into a corpus; a killed import of tables goes on when run again");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--name", flags->name, "Name of the new corpus")->required();
  AddTableOptions(*verb, *flags);
  AddDocumentOptions(*verb, flags->documents);
  verb->add_flag("--faithful", flags->import.encode.faithful,
                 "Do as the public code does where it is defective (values split at spaces, background unknown)");
  verb->add_option("--max-length", flags->import.encode.max_length, "Longest document, in tokens")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->footer(
      "Examples:\n"
      "  lifescoped import --home my-home --name registry --tables raw/ --max-length 256\n"
      "  lifescoped import --describe life2vec-light >my.textproto\n"
      "  lifescoped import --home my-home --name registry --tables raw/ --description my.textproto\n"
      "  lifescoped import --home my-home --name registry --documents data/processed/datasets/all/mlm --vocabulary "
      "result.tsv --max-length 2560");
  verb->callback([flags, verb] { Import(*flags, verb->count("--split-seed") > 0); });
}

}  // namespace lifescope
