#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/answers.h"
#include "client/cli/chart.h"
#include "client/cli/document_argument.h"
#include "client/cli/format.h"
#include "client/cli/life_text.h"
#include "client/cli/message_json.h"
#include "client/cli/number_list.h"
#include "client/cli/positions.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

constexpr int kBarWidth = 16;
// Of several runs, those that changed most are shown token by token.
constexpr size_t kDetailedEffects = 3;
// Changes of the log-probability below this are told as none.
constexpr double kNoticeable = 5e-4;

struct AblateOptions {
  DocumentSource source;
  DocumentOptions documents;
  std::string model;
  std::string dictionary;
  std::string features;
  bool each = false;
  v1::AblationKind kind = v1::ABLATION_KIND_ZERO;
  std::optional<double> value;
  v1::ErrorMode error_mode = v1::ERROR_MODE_DELTA;
  std::string at = "all";
  std::string read_at;
  std::string head;
  int32_t top_tokens = 5;
  int32_t n_slots = 0;
  AnswerView view;
  bool no_text = false;
};

void DefineChange(CLI::App& verb, AblateOptions& options) {
  const std::vector<std::pair<std::string, v1::AblationKind>> kinds = {{"zero", v1::ABLATION_KIND_ZERO},
                                                                       {"mean", v1::ABLATION_KIND_MEAN},
                                                                       {"set", v1::ABLATION_KIND_SET},
                                                                       {"scale", v1::ABLATION_KIND_SCALE}};
  const std::vector<std::pair<std::string, v1::ErrorMode>> error_modes = {{"delta", v1::ERROR_MODE_DELTA},
                                                                          {"replace", v1::ERROR_MODE_REPLACE}};
  verb.add_option("--features", options.features, "Features to change")->option_text("LIST (required)")->required();
  verb.add_flag("--each", options.each, "Each feature in a run of its own, not all together");
  verb.add_option("--kind", options.kind, "zero (default); mean over the life; set to, or scale by, --value")
      ->transform(CLI::CheckedTransformer(kinds))
      ->option_text("zero|mean|set|scale");
  verb.add_option("--value", options.value, "For --kind set and scale")->option_text("NUMBER");
  verb.add_option("--error-mode", options.error_mode,
                  "delta (default): keeps what the dictionary does not explain; replace: drops it")
      ->transform(CLI::CheckedTransformer(error_modes))
      ->option_text("delta|replace");
}

void Define(CLI::App& verb, AblateOptions& options) {
  options.view.top = 5;
  AddDocumentSource(verb, options.source, "", "Whose life");
  AddDocumentOptions(verb, options.documents);
  DefineChange(verb, options);
  verb.add_option("--at", options.at, absl::StrCat("Where they are changed: ", kPositionsHelp))
      ->capture_default_str()
      ->option_text("POSITIONS");
  verb.add_option("--read-at", options.read_at, "Where the model is asked (default: the masked positions, else all)")
      ->option_text("POSITIONS");
  verb.add_option("--top", options.top_tokens, "Tokens per position")->capture_default_str()->check(CLI::Range(1, 100));
  verb.add_option("--positions", options.view.top, "Positions to show, most changed first")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  verb.add_option("--head", options.head, "Also what this fine-tuned head says of the person")->option_text("NAME");
  verb.add_option("--model", options.model, "Model (default: the only one)")->option_text("NAME");
  verb.add_option("--dictionary", options.dictionary, "Dictionary (default: the model's only one)")
      ->option_text("NAME");
  verb.add_option("--n-slots", options.n_slots, "Padded length that global heads count (default: the model's)");
  verb.add_flag("--no-text", options.no_text, "Do not fetch the words of the life");
  verb.footer(R"(Examples:
  lifescope ablate --person 17 --mask 57 --features 97
                                                     what the model expects at 57 when feature 97 is off
  lifescope ablate --person 17 --mask 57 --features 12,40,97 --each
                                                     which of the three matters
  lifescope ablate --person 17 --features 97 --kind set --value 4 --at event:3 --read-at 20-30
                                                     steer: feature 97 at 4 in event 3, read further on
  lifescope ablate --person 17 --features 97 --head heart
                                                     what the head `heart` says without it
  lifescope ablate --person 17 --features 97 --kind mean --error-mode replace)");
}

std::string FeatureNames(const google::protobuf::RepeatedField<int32_t>& features) {
  return absl::StrCat(features.size() == 1 ? "feature " : "features ", absl::StrJoin(features, ", "));
}

std::string KindName(const v1::AblateFeaturesRequest& request) {
  switch (request.kind()) {
    case v1::ABLATION_KIND_MEAN:
      return "to their mean over the life";
    case v1::ABLATION_KIND_SET:
      return absl::StrCat("set to ", FormatNumber(request.value()));
    case v1::ABLATION_KIND_SCALE:
      return absl::StrCat("scaled by ", FormatNumber(request.value()));
    default:
      return "to zero";
  }
}

double Change(const v1::TokenEffect& token) { return token.ablated_log_probability() - token.clean_log_probability(); }

std::vector<v1::PositionEffect> MostChanged(const v1::AblationEffect& effect, int count) {
  std::vector<v1::PositionEffect> positions(effect.positions().begin(), effect.positions().end());
  std::stable_sort(positions.begin(), positions.end(), [](const auto& a, const auto& b) { return a.kl() > b.kl(); });
  positions.resize(std::min(positions.size(), static_cast<size_t>(count)));
  return positions;
}

double LargestKl(const v1::AblationEffect& effect) {
  const std::vector<v1::PositionEffect> first = MostChanged(effect, 1);
  return first.empty() ? 0 : first.front().kl();
}

double LargestChange(const v1::AblateFeaturesResponse& response) {
  double largest = 0;
  for (const v1::AblationEffect& effect : response.effects()) {
    for (const v1::PositionEffect& position : effect.positions()) {
      for (const v1::TokenEffect& token : position.tokens()) largest = std::max(largest, std::fabs(Change(token)));
    }
  }
  return largest;
}

std::vector<v1::AblationEffect> StrongestFirst(const v1::AblateFeaturesResponse& response) {
  std::vector<v1::AblationEffect> effects(response.effects().begin(), response.effects().end());
  std::stable_sort(effects.begin(), effects.end(),
                   [](const auto& a, const auto& b) { return LargestKl(a) > LargestKl(b); });
  return effects;
}

// One line per feature: how much the answer changes where it changes most.
void PrintSummary(Session& session, const std::vector<v1::AblationEffect>& effects) {
  using Align = Table::Align;
  Table table({{"features"}, {"largest KL", Align::kRight}, {""}, {"at", Align::kRight}}, /*indent=*/2);
  const double largest = LargestKl(effects.front());
  for (const v1::AblationEffect& effect : effects) {
    const std::vector<v1::PositionEffect> first = MostChanged(effect, 1);
    table.Add({FeatureNames(effect.features()), FormatNumber(LargestKl(effect)),
               Bar(LargestKl(effect) / largest, kBarWidth),
               first.empty() ? "" : absl::StrCat(first.front().position())});
  }
  table.Print(session.terminal);
}

Text PositionLine(const v1::PositionEffect& effect, const std::optional<LifeText>& text) {
  Text line("  position ");
  line.Append(absl::StrCat(effect.position()), Style::kBold);
  const LifeText::Event* event = text ? text->EventAt(effect.position()) : nullptr;
  if (event != nullptr) {
    line.Append(absl::StrCat("  ", LifeText::When(*event), "  ")).Append(text->Line(*event, effect.position()));
  }
  return line.Append(absl::StrCat("  KL ", FormatNumber(effect.kl()), " nats"), Style::kDim);
}

void AddTokens(const v1::PositionEffect& effect, double largest_change, Table& table) {
  for (const v1::TokenEffect& token : effect.tokens()) {
    const double change = Change(token);
    const bool is_noticeable = std::fabs(change) >= kNoticeable;
    const Style style = !is_noticeable ? Style::kDim : change > 0 ? Style::kUp : Style::kDown;
    const std::string arrow = !is_noticeable ? "·" : change > 0 ? "▲" : "▼";
    table.Add({token.token(), FormatPercent(std::exp(token.clean_log_probability())), Text("→", Style::kDim),
               FormatPercent(std::exp(token.ablated_log_probability())),
               Text(absl::StrCat(arrow, " ×", FormatNumber(std::exp(change))), style),
               Text(Bar(std::fabs(change) / largest_change, kBarWidth), style)});
  }
}

void PrintClasses(Session& session, const v1::AblationEffect& effect) {
  using Align = Table::Align;
  Table table({{"target"}, {"class"}, {"before", Align::kRight}, {""}, {"after", Align::kRight}}, /*indent=*/4);
  for (const v1::ClassEffect& entry : effect.classes()) {
    table.Add({entry.target(), entry.class_name(), FormatPercent(entry.clean_probability()), Text("→", Style::kDim),
               FormatPercent(entry.ablated_probability())});
  }
  if (!table.empty()) table.Print(session.terminal);
}

void PrintEffect(Session& session, const v1::AblationEffect& effect, const std::optional<LifeText>& text, int count,
                 double largest_change) {
  using Align = Table::Align;
  Table table({{"token"}, {"before", Align::kRight}, {""}, {"after", Align::kRight}, {"change"}, {""}}, /*indent=*/4);
  const std::vector<v1::PositionEffect> shown = MostChanged(effect, count);
  for (const v1::PositionEffect& position : shown) {
    table.AddLine(PositionLine(position, text));
    AddTokens(position, largest_change, table);
  }
  PrintLine(session.terminal);
  PrintTitle(session, FeatureNames(effect.features()));
  PrintClasses(session, effect);
  table.Print(session.terminal);
  const size_t left = effect.positions_size() - shown.size();
  if (left > 0) {
    PrintLine(session.terminal,
              Text(absl::StrCat("  and ", left, left == 1 ? " position" : " positions", " changed less: --positions"),
                   Style::kDim));
  }
}

absl::StatusOr<v1::AblateFeaturesRequest> MakeRequest(const AblateOptions& options) {
  const bool needs_value = options.kind == v1::ABLATION_KIND_SET || options.kind == v1::ABLATION_KIND_SCALE;
  if (needs_value != options.value.has_value()) {
    return absl::InvalidArgumentError(needs_value ? "--kind set and scale need --value"
                                                  : "--value goes with --kind set or scale");
  }
  const absl::StatusOr<v1::Document> document = ReadDocument(options.source, options.documents);
  if (!document.ok()) return document.status();
  const absl::StatusOr<std::vector<int32_t>> features = ParseIndices("--features", options.features);
  if (!features.ok()) return features.status();
  const absl::StatusOr<v1::Positions> positions = ParsePositions("--at", options.at);
  if (!positions.ok()) return positions.status();
  v1::AblateFeaturesRequest request;
  if (!options.read_at.empty()) {
    const absl::StatusOr<v1::Positions> read_positions = ParsePositions("--read-at", options.read_at);
    if (!read_positions.ok()) return read_positions.status();
    *request.mutable_read_positions() = *read_positions;
  }
  request.set_request_id(NewRequestId());
  request.set_model(options.model);
  request.set_dictionary(options.dictionary);
  *request.mutable_document() = *document;
  request.mutable_features()->Add(features->begin(), features->end());
  request.set_each_separately(options.each);
  request.set_kind(options.kind);
  request.set_value(options.value.value_or(0));
  request.set_error_mode(options.error_mode);
  *request.mutable_positions() = *positions;
  request.set_top_tokens(options.top_tokens);
  request.set_n_slots(options.n_slots);
  request.set_head(options.head);
  return request;
}

absl::Status RunAblate(const AblateOptions& options, Session& session) {
  const absl::StatusOr<v1::AblateFeaturesRequest> request = MakeRequest(options);
  if (!request.ok()) return request.status();
  const absl::StatusOr<v1::AblateFeaturesResponse> response = session.client->AblateFeatures(*request);
  if (!response.ok()) return response.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*response, session.terminal);
  AnswerView view = options.view;
  view.with_text = !options.no_text;
  return PrintAblate(session, *request, *response, view);
}

}  // namespace

absl::Status PrintAblate(Session& session, const v1::AblateFeaturesRequest& request,
                         const v1::AblateFeaturesResponse& response, const AnswerView& view) {
  std::optional<LifeText> text;
  if (view.with_text) text = FetchText(session, request.document());
  const std::string where = FormatPositions(request.positions());
  PrintTitle(session,
             absl::StrCat(FeatureNames(request.features()), " ", KindName(request), " in ",
                          DescribeDocument(request.document())),
             absl::StrCat(where == "all" ? "everywhere" : absl::StrCat("at ", where),
                          request.error_mode() == v1::ERROR_MODE_REPLACE ? ", error term dropped" : ""));
  std::vector<v1::AblationEffect> effects = StrongestFirst(response);
  const bool many = effects.size() > 1;
  if (many) PrintSummary(session, effects);
  effects.resize(std::min(effects.size(), kDetailedEffects));
  const double largest_change = LargestChange(response);
  for (const v1::AblationEffect& effect : effects) {
    PrintEffect(session, effect, text, many ? 1 : view.top, largest_change);
  }
  PrintRunLine(session, response.run_id(), response.provenance());
  return absl::OkStatus();
}

void AddAblate(CLI::App& app, Action& action) {
  AddVerb<AblateOptions>(app, action, "ablate", "What the model says when features are changed", Define, RunAblate);
}

}  // namespace lifescope
