#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/command/command.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/corpus/table_import.h"

namespace lifescope {
namespace {

struct ImportFlags {
  std::string home;
  std::string name;
  std::string tables;
  TableImportOptions import;
};

void Import(const ImportFlags& flags) {
  const Stopwatch stopwatch;
  const std::string folder = CorpusFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  TableImportReport report;
  {
    ProgressBar bar("import", 0);
    report = ImportTables(
        flags.tables, folder, flags.import,
        [&](const std::string& stage, int64_t done, int64_t total) { bar.UpdateStage(stage, done, total); });
  }
  for (const std::string& sample : report.bad_row_samples) std::fprintf(stderr, "bad row: %s\n", sample.c_str());
  const auto corpus = Corpus::Open(folder);
  const std::string summary =
      absl::StrCat(CorpusSummary(*corpus), "; ", report.row_count, " rows read, ", report.bad_row_count, " bad; ",
                   report.unknown_token_count, " unknown tokens");
  PrintEndLine(folder, summary, corpus->digest(), stopwatch.Seconds());
}

}  // namespace

void AddImportCommand(CLI::App& app) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* verb =
      app.add_subcommand("import", "Turn raw tables into a corpus (users.csv, synth_labor.csv, synth_health.csv)");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--name", flags->name, "Name of the new corpus")->required();
  verb->add_option("--tables", flags->tables, "Folder of the tables")->required()->check(CLI::ExistingDirectory);
  verb->add_flag("--faithful", flags->import.encode.faithful,
                 "Do as the public code does where it is defective (values split at spaces, background unknown)");
  verb->add_option("--max-length", flags->import.encode.max_length, "Longest document, in tokens")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_option("--split-file", flags->import.split_file,
                   "CSV 'USER_ID,split' of train, validation, test; without it persons are split 70/15/15")
      ->check(CLI::ExistingFile);
  verb->footer("Example:\n  lifescoped import --home my-home --name registry --tables raw/ --max-length 256");
  verb->callback([flags] { Import(*flags); });
}

}  // namespace lifescope
