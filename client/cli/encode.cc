#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/cli/answers.h"
#include "client/cli/chart.h"
#include "client/cli/document_argument.h"
#include "client/cli/format.h"
#include "client/cli/life_text.h"
#include "client/cli/message_json.h"
#include "client/cli/positions.h"
#include "client/cli/session.h"
#include "client/cli/table.h"
#include "client/cli/wire_values.h"

namespace lifescope {
namespace {

constexpr int kBarWidth = 16;

struct EncodeOptions {
  DocumentSource source;
  DocumentOptions documents;
  std::string model;
  std::string dictionary;
  std::string at = "all";
  int32_t n_slots = 0;
  AnswerView view;
  bool no_text = false;
};

void Define(CLI::App& verb, EncodeOptions& options) {
  AddDocumentSource(verb, options.source, "", "Whose life", "ID[,ID]");
  AddDocumentOptions(verb, options.documents);
  verb.add_option("--model", options.model, "Model (default: the only one)")->option_text("NAME");
  verb.add_option("--dictionary", options.dictionary, "Dictionary (default: the model's only one)")
      ->option_text("NAME");
  verb.add_option("--at", options.at, kPositionsHelp)->capture_default_str()->option_text("POSITIONS");
  verb.add_option("--n-slots", options.n_slots, "Padded length that global heads count (default: the model's)");
  verb.add_option("--top", options.view.top, "Features in the table of the strongest")->capture_default_str();
  verb.add_option("--per-event", options.view.per_event, "Features beside each event")->capture_default_str();
  verb.add_flag("--no-text", options.no_text, "Do not fetch the words of the life");
  verb.footer(R"(Examples:
  lifescope encode --person 17                       the life with its features, then the strongest
  lifescope encode --person 17,18 --top 20           two lives
  lifescope encode --person 17 --at event:3          one event (event:0 is the background)
  lifescope encode --person 17 --mask 57 --at 57     what the model makes of a hidden token
  lifescope encode --life life.json --output json    a life of your own

life.json:
  {"background": ["FEMALE", "MONTH_6", "YEAR_1957"],
   "events": [{"abspos": 12001, "age": 32, "tokens": ["IND_4662", "POS_3"]}]})");
}

using Active = std::pair<int32_t, double>;

// The `count` strongest, by activation, then feature.
std::vector<Active> Strongest(std::vector<Active> active, int count) {
  std::sort(active.begin(), active.end(), [](const Active& a, const Active& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  active.resize(std::min(active.size(), static_cast<size_t>(std::max(count, 0))));
  return active;
}

// The largest activation of each feature over rows at positions [begin, end).
std::vector<Active> Largest(const std::vector<FeatureRow>& rows, int32_t begin, int32_t end) {
  std::map<int32_t, double> largest;
  for (const FeatureRow& row : rows) {
    if (row.position < begin || row.position >= end) continue;
    for (const auto& [feature, value] : row.active) {
      const auto [entry, is_new] = largest.emplace(feature, value);
      if (!is_new) entry->second = std::max(entry->second, value);
    }
  }
  return {largest.begin(), largest.end()};
}

Text FeatureList(const std::vector<Active>& features) {
  Text list;
  for (const auto& [feature, value] : features) {
    if (!list.empty()) list.Append("  ");
    list.Append(absl::StrCat("#", feature), Style::kAccent).Append(absl::StrCat(" ", FormatNumber(value)));
  }
  return list;
}

void PrintEvents(Session& session, const LifeText& text, const std::vector<FeatureRow>& rows, int per_event) {
  using Align = Table::Align;
  Table table({{"event", Align::kRight},
               {"date"},
               {"age", Align::kRight},
               {"tokens", Align::kLeft, /*shrinks=*/true},
               {"strongest features"}});
  for (const LifeText::Event& event : text.events()) {
    const bool is_read = std::any_of(rows.begin(), rows.end(), [&event](const FeatureRow& row) {
      return row.position >= event.begin && row.position < event.end;
    });
    if (!is_read) continue;
    table.Add({Text(absl::StrCat(event.number), Style::kDim), LifeText::When(event),
               event.number == 0 ? "" : absl::StrCat(event.age), text.Line(event),
               FeatureList(Strongest(Largest(rows, event.begin, event.end), per_event))});
  }
  table.Print(session.terminal);
}

void PrintPositions(Session& session, const std::vector<FeatureRow>& rows, int per_row) {
  Table table({{"position", Table::Align::kRight}, {"strongest features"}});
  for (const FeatureRow& row : rows) {
    table.Add({absl::StrCat(row.position), FeatureList(Strongest(row.active, per_row))});
  }
  table.Print(session.terminal);
}

// Where a feature is strongest, and how often it fires.
struct Firing {
  double largest = 0;
  int32_t position = 0;
  int32_t count = 0;
};

std::vector<std::pair<int32_t, Firing>> StrongestFirings(const std::vector<FeatureRow>& rows, int count) {
  std::map<int32_t, Firing> firings;
  for (const FeatureRow& row : rows) {
    for (const auto& [feature, value] : row.active) {
      Firing& firing = firings[feature];
      if (firing.count++ == 0 || value > firing.largest) {
        firing.largest = value;
        firing.position = row.position;
      }
    }
  }
  std::vector<std::pair<int32_t, Firing>> strongest(firings.begin(), firings.end());
  std::stable_sort(strongest.begin(), strongest.end(),
                   [](const auto& a, const auto& b) { return a.second.largest > b.second.largest; });
  strongest.resize(std::min(strongest.size(), static_cast<size_t>(std::max(count, 0))));
  return strongest;
}

void PrintStrongest(Session& session, const std::optional<LifeText>& text, const std::vector<FeatureRow>& rows,
                    int count) {
  using Align = Table::Align;
  Table table({{"feature", Align::kRight},
               {"max", Align::kRight},
               {""},
               {"fires at", Align::kRight},
               {"most at", Align::kRight},
               {"date"},
               {"event", Align::kLeft, /*shrinks=*/true}});
  const auto strongest = StrongestFirings(rows, count);
  for (const auto& [feature, firing] : strongest) {
    const LifeText::Event* event = text ? text->EventAt(firing.position) : nullptr;
    table.Add({Text(absl::StrCat("#", feature), Style::kAccent), FormatNumber(firing.largest),
               Bar(firing.largest / strongest.front().second.largest, kBarWidth),
               absl::StrCat(firing.count, " of ", rows.size()), absl::StrCat(firing.position),
               event == nullptr ? "" : LifeText::When(*event),
               event == nullptr ? Text() : text->Line(*event, firing.position)});
  }
  PrintLine(session.terminal);
  if (table.empty()) return PrintLine(session.terminal, Text("No feature fires here.", Style::kDim));
  table.Print(session.terminal);
}

absl::Status PrintDocument(Session& session, const v1::Document& document, const v1::SparseFeatures& sparse,
                           const AnswerView& view) {
  const absl::StatusOr<std::vector<FeatureRow>> rows = ToRows(sparse);
  if (!rows.ok()) return rows.status();
  std::optional<LifeText> text;
  if (view.with_text) text = FetchText(session, document);
  // No words are better than those of other positions.
  if (text && !rows->empty() && rows->back().position >= text->length()) text.reset();
  PrintTitle(session, DescribeDocument(document),
             absl::StrCat(rows->size(), rows->size() == 1 ? " position" : " positions", ", ",
                          FormatCount(sparse.feature_count()), " features"));
  if (text) {
    PrintEvents(session, *text, *rows, view.per_event);
  } else {
    PrintPositions(session, *rows, view.per_event);
  }
  PrintStrongest(session, text, *rows, view.top);
  return absl::OkStatus();
}

absl::Status RunEncode(const EncodeOptions& options, Session& session) {
  absl::StatusOr<std::vector<v1::Document>> documents = ReadDocuments(options.source, options.documents);
  if (!documents.ok()) return documents.status();
  absl::StatusOr<v1::Positions> positions = ParsePositions("--at", options.at);
  if (!positions.ok()) return positions.status();
  v1::EncodeRequest request;
  request.set_request_id(NewRequestId());
  request.set_model(options.model);
  request.set_dictionary(options.dictionary);
  for (v1::Document& document : *documents) *request.add_documents() = std::move(document);
  *request.mutable_positions() = *std::move(positions);
  request.set_n_slots(options.n_slots);

  const absl::StatusOr<v1::EncodeResponse> response = session.client->Encode(request);
  if (!response.ok()) return response.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*response, session.terminal);
  AnswerView view = options.view;
  view.with_text = !options.no_text;
  return PrintEncode(session, request, *response, view);
}

}  // namespace

absl::Status PrintEncode(Session& session, const v1::EncodeRequest& request, const v1::EncodeResponse& response,
                         const AnswerView& view) {
  if (response.features_size() != request.documents_size()) {
    return absl::DataLossError(absl::StrCat("asked about ", request.documents_size(), " documents, answered about ",
                                            response.features_size()));
  }
  for (int index = 0; index < response.features_size(); ++index) {
    if (index > 0) PrintLine(session.terminal);
    const absl::Status status = PrintDocument(session, request.documents(index), response.features(index), view);
    if (!status.ok()) return status;
  }
  PrintRunLine(session, response.run_id(), response.provenance());
  return absl::OkStatus();
}

void AddEncode(CLI::App& app, Action& action) {
  AddVerb<EncodeOptions>(app, action, "encode", "The features of lives", Define, RunEncode);
}

}  // namespace lifescope
