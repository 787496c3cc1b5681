#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/artifact/artifact.h"
#include "server/command/command.h"
#include "server/command/describe_labels.h"
#include "server/command/end_line.h"
#include "server/command/home.h"
#include "server/command/progress_bar.h"
#include "server/corpus/label_build.h"
#include "server/corpus/label_table.h"

namespace lifescope {
namespace {

struct LabelFlags {
  std::string home;
  std::string corpus;
  std::string name;
  std::string description;
  LabelOptions label;
};

// "312 true", "agriculture 201, industry 302", "1 to 48, mean 21.4".
std::string ValuesText(const LabelColumn& column, const LabelSummary& summary) {
  switch (column.kind) {
    case LabelKind::kBoolean:
      return absl::StrCat(summary.value_counts[1], " true");
    case LabelKind::kNumber:
      if (summary.present_count == 0) return "";
      return absl::StrFormat("%g to %g, mean %.4g", summary.minimum, summary.maximum, summary.mean);
    case LabelKind::kCategory:
      break;
  }
  std::string text;
  for (size_t v = 0; v < column.values.size(); ++v) {
    absl::StrAppend(&text, v == 0 ? "" : ", ", column.values[v], " ", summary.value_counts[v]);
  }
  return text;
}

std::string TableText(const LabelTable& table) {
  std::string text =
      absl::StrFormat("%-28s %-7s %-9s %10s %10s  %s\n", "label", "per", "kind", "rows", "known", "values");
  for (size_t c = 0; c < table.columns().size(); ++c) {
    const LabelColumn& column = table.columns()[c];
    const LabelSummary summary = table.Summarize(c);
    absl::StrAppendFormat(&text, "%-28s %-7s %-9s %10d %10d  %s\n", column.name, ToString(column.scope),
                          ToString(column.kind), summary.row_count, summary.present_count, ValuesText(column, summary));
  }
  return text;
}

void Label(const LabelFlags& flags) {
  const Stopwatch stopwatch;
  const std::string folder = LabelFolder(flags.home, flags.name);
  PrepareNewArtifact(folder);
  const auto columns = ParseLabelDescription(flags.description, ReadFile(flags.description));
  const OpenedCorpus corpus = OpenCorpus(flags.home, flags.corpus);
  std::vector<RowCounts> reports;
  {
    ProgressBar bar("label", corpus.corpus->size());
    reports =
        BuildLabelTable(folder, *corpus.corpus, columns, flags.label, [&](int64_t done, int64_t) { bar.Update(done); });
  }
  for (const RowCounts& report : reports) {
    for (const std::string& sample : report.bad_row_samples) std::fprintf(stderr, "bad row: %s\n", sample.c_str());
    std::fprintf(stderr, "%s: %lld rows read, %lld bad, %lld of people or days that the corpus does not have\n",
                 report.source.c_str(), static_cast<long long>(report.row_count),
                 static_cast<long long>(report.bad_row_count), static_cast<long long>(report.skipped_row_count));
  }
  const auto table = LabelTable::Open(folder, *corpus.corpus);
  std::fputs(TableText(*table).c_str(), stdout);
  PrintEndLine(folder, absl::StrCat(table->columns().size(), " labels of corpus ", flags.corpus), table->digest(),
               stopwatch.Seconds());
}

}  // namespace

void AddLabelCommand(CLI::App& app) {
  auto flags = std::make_shared<LabelFlags>();
  CLI::App* verb = app.add_subcommand("label", "Attach a table of concepts to a corpus");
  AddHomeOption(*verb, flags->home);
  verb->add_option("--corpus", flags->corpus, "Corpus that the labels are of")->required();
  verb->add_option("--name", flags->name, "Name of the new table")->required();
  verb->add_option("--description", flags->description, "What the columns are: a LabelDescription as text")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_option("--max-bad-rows", flags->label.max_bad_row_share, "Share of bad rows above which a CSV is refused")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb->footer(
      "Columns come from CSV files, from hidden traits, or from conditions on tokens, ages and dates; their text is "
      "kept.\n"
      "Example of a description:\n"
      "  columns { name: \"depressed\" event { has { prefix: \"DIAG_F32\" } } }\n"
      "  columns { name: \"smoker\" csv { file: \"smokers.csv\" person_column: \"USER_ID\" value_column: \"SMOKES\"\n"
      "                                kind: KIND_BOOLEAN } }\n"
      "Example:\n  lifescoped label --home my-home --corpus world --name concepts --description concepts.textproto");
  verb->callback([flags] { Label(*flags); });
}

}  // namespace lifescope
