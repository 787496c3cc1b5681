#include "absl/strings/str_cat.h"
#include "client/cli/chart.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/paging.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct FeaturesOptions {
  std::string dictionary;
  std::string index_id;
  v1::FeatureOrder order = v1::FEATURE_ORDER_MAX_ACTIVATION_DESC;
  int32_t count = 20;
};

void Define(CLI::App& verb, FeaturesOptions& options) {
  verb.add_option("--dictionary", options.dictionary, "Dictionary (default: the only one)")->option_text("NAME");
  verb.add_option("--index", options.index_id, "Feature index (default: the dictionary's newest)")->option_text("ID");
  const std::vector<std::pair<std::string, v1::FeatureOrder>> orders = {
      {"max", v1::FEATURE_ORDER_MAX_ACTIVATION_DESC},
      {"density", v1::FEATURE_ORDER_TOKEN_DENSITY_DESC},
      {"index", v1::FEATURE_ORDER_INDEX}};
  verb.add_option("--order", options.order, "max (default): largest activation; density: most often; index")
      ->transform(CLI::CheckedTransformer(orders))
      ->option_text("max|density|index");
  verb.add_option("--count", options.count, "Features to show")->capture_default_str()->check(CLI::PositiveNumber);
  verb.footer(R"(Examples:
  lifescope features                                 the strongest, with their histograms
  lifescope features --order density --count 100     those that fire most often
  lifescope feature 97                               then one of them)");
}

absl::Status RunFeatures(const FeaturesOptions& options, Session& session) {
  v1::ListFeaturesRequest request;
  request.set_dictionary(options.dictionary);
  request.set_index_id(options.index_id);
  request.set_order(options.order);
  const auto features = ListAll(*session.client, &Client::ListFeatures, request,
                                &v1::ListFeaturesResponse::mutable_features, options.count);
  if (!features.ok()) return features.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*features, session.terminal);
  using Align = Table::Align;
  Table table({{"feature", Align::kRight},
               {"max", Align::kRight},
               {"mean", Align::kRight},
               {"positions", Align::kRight},
               {"persons", Align::kRight},
               {"activations, log scale"}});
  for (const v1::Feature& feature : features->features()) {
    const std::vector<int64_t> histogram(feature.histogram().begin(), feature.histogram().end());
    const bool is_dead = feature.active_token_count() == 0;
    table.Add({Text(absl::StrCat("#", feature.feature()), Style::kAccent), FormatNumber(feature.max_activation()),
               FormatNumber(feature.mean_activation()), FormatPercent(feature.token_density()),
               FormatPercent(feature.person_density()),
               is_dead ? Text("never fires", Style::kDim) : Text(LogSparkline(histogram))});
  }
  table.Print(session.terminal);
  if (!features->next_page_token().empty()) {
    PrintLine(session.terminal, Text("there are more: --count", Style::kDim));
  }
  return absl::OkStatus();
}

}  // namespace

void AddFeatures(CLI::App& app, Action& action) {
  AddVerb<FeaturesOptions>(app, action, "features", "The features of a dictionary, strongest first", Define,
                           RunFeatures);
}

}  // namespace lifescope
