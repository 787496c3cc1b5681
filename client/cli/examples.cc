#include "client/cli/examples.h"

#include <algorithm>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "client/cli/answers.h"
#include "client/cli/chart.h"
#include "client/cli/format.h"
#include "client/cli/life_text.h"
#include "client/cli/paging.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

constexpr int kBarWidth = 16;

void AddText(const v1::Example& example, Table& table) {
  const LifeText text(example.text());
  for (const LifeText::Event& event : text.events()) {
    const bool is_firing = example.position() >= event.begin && example.position() < event.end;
    Text line("    ");
    line.Append(is_firing ? "▸ " : "  ", Style::kAccent)
        .Append(LifeText::When(event), is_firing ? Style::kPlain : Style::kDim)
        .Append(event.number == 0 ? "  " : absl::StrCat("  ", event.age, "  "), Style::kDim)
        .Append(text.Line(event, example.position()));
    table.AddLine(line);
  }
}

}  // namespace

void DefineExamples(CLI::App& verb, ExamplesOptions& options) {
  verb.add_option("feature", options.feature, "Feature, by index")
      ->option_text("NUMBER (required)")
      ->required()
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--dictionary", options.dictionary, "Dictionary (default: the only one)")->option_text("NAME");
  verb.add_option("--index", options.index_id, "Feature index (default: the dictionary's newest)")->option_text("ID");
  verb.add_option("--count", options.count, "Examples to show")->capture_default_str()->check(CLI::NonNegativeNumber);
  verb.add_option("--context", options.context_events, "Events shown on each side")
      ->capture_default_str()
      ->check(CLI::Range(0, 20));
  verb.add_flag("--no-text", options.no_text, "References alone: person, position, activation");
}

absl::StatusOr<v1::ListTopExamplesResponse> FetchExamples(Session& session, const ExamplesOptions& options) {
  v1::ListTopExamplesRequest request;
  request.set_dictionary(options.dictionary);
  request.set_feature(options.feature);
  request.set_index_id(options.index_id);
  request.set_include_text(!options.no_text);
  request.set_context_events(options.context_events);
  const auto list = [&] {
    return ListAll(*session.client, &Client::ListTopExamples, request, &v1::ListTopExamplesResponse::mutable_examples,
                   options.count);
  };
  absl::StatusOr<v1::ListTopExamplesResponse> examples = list();
  if (!request.include_text() || !absl::IsPermissionDenied(examples.status())) return examples;
  session.terminal.err << "lifescope: references only: " << std::string(examples.status().message()) << "\n";
  request.set_include_text(false);
  return list();
}

void PrintExamples(Session& session, const v1::ListTopExamplesResponse& examples) {
  if (examples.examples().empty()) {
    return PrintLine(session.terminal, Text("No example: the feature never fires in the index.", Style::kDim));
  }
  using Align = Table::Align;
  Table table({{"rank", Align::kRight},
               {"activation", Align::kRight},
               {""},
               {"person", Align::kRight},
               {"position", Align::kRight}});
  const double largest = examples.examples(0).activation();
  for (const v1::Example& example : examples.examples()) {
    table.Add({absl::StrCat(example.rank()), FormatNumber(example.activation()),
               Bar(example.activation() / largest, kBarWidth), absl::StrCat(example.person_id()),
               absl::StrCat(example.position())});
    if (example.has_text()) AddText(example, table);
  }
  table.Print(session.terminal);
}

}  // namespace lifescope
