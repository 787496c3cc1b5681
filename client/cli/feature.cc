#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/cli/answers.h"
#include "client/cli/chart.h"
#include "client/cli/examples.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct FeatureOptions {
  ExamplesOptions examples;
};

void Define(CLI::App& verb, FeatureOptions& options) {
  options.examples.count = 5;
  DefineExamples(verb, options.examples);
  verb.footer(R"(Examples:
  lifescope feature 97                               how often and how strongly it fires, and where most
  lifescope feature 97 --count 0                     numbers alone
  lifescope feature 97 --output json                 the server's Feature message)");
}

void PrintStatistics(Session& session, const v1::Feature& feature) {
  const v1::FeatureIndex& index = feature.index();
  PrintTitle(session, absl::StrCat("feature ", feature.feature()),
             absl::StrCat("over ", FormatCount(index.person_count()), " persons and ", FormatCount(index.token_count()),
                          " positions"));
  using Align = Table::Align;
  Table table({{""}, {"", Align::kRight}, {""}}, /*indent=*/2);
  table.Add({"fires at", FormatPercent(feature.token_density()),
             Text(absl::StrCat("of positions (", FormatCount(feature.active_token_count()), ")"), Style::kDim)});
  table.Add({"fires in", FormatPercent(feature.person_density()),
             Text(absl::StrCat("of persons (", FormatCount(feature.active_person_count()), ")"), Style::kDim)});
  table.Add({"mean", FormatNumber(feature.mean_activation()), Text("where it fires", Style::kDim)});
  table.Add({"largest", FormatNumber(feature.max_activation())});
  table.Print(session.terminal);
  if (feature.active_token_count() == 0) return;
  const std::vector<int64_t> histogram(feature.histogram().begin(), feature.histogram().end());
  Text line("  0 ");
  line.Append(LogSparkline(histogram), Style::kAccent)
      .Append(absl::StrCat(" ", FormatNumber(feature.max_activation())));
  PrintLine(session.terminal, line.Append("  activations, counts on a log scale", Style::kDim));
}

absl::Status RunFeature(const FeatureOptions& options, Session& session) {
  v1::GetFeatureRequest request;
  request.set_dictionary(options.examples.dictionary);
  request.set_feature(options.examples.feature);
  request.set_index_id(options.examples.index_id);
  const absl::StatusOr<v1::Feature> feature = session.client->GetFeature(request);
  if (!feature.ok()) return feature.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*feature, session.terminal);
  PrintStatistics(session, *feature);
  if (options.examples.count == 0 || feature->active_token_count() == 0) return absl::OkStatus();
  const auto examples = FetchExamples(session, options.examples);
  if (!examples.ok()) return examples.status();
  PrintLine(session.terminal);
  PrintExamples(session, *examples);
  return absl::OkStatus();
}

}  // namespace

void AddFeature(CLI::App& app, Action& action) {
  AddVerb<FeatureOptions>(app, action, "feature", "What is known of a feature, with its strongest examples", Define,
                          RunFeature);
}

}  // namespace lifescope
