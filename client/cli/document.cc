#include <limits>

#include "absl/strings/str_cat.h"
#include "client/cli/answers.h"
#include "client/cli/life_text.h"
#include "client/cli/message_json.h"
#include "client/cli/number_list.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct DocumentVerbOptions {
  std::string person;
  std::string corpus;
  bool by_position = false;
};

void Define(CLI::App& verb, DocumentVerbOptions& options) {
  verb.add_option("--person", options.person, "Person, by id")->option_text("ID (required)")->required();
  verb.add_option("--corpus", options.corpus, "Corpus (default: the only one)")->option_text("NAME");
  verb.add_flag("--by-position", options.by_position, "One line per position: what to give to --mask and --at");
  verb.footer(R"(Examples:
  lifescope document --person 17                     a life, one line per event with its positions
  lifescope document --person 17 --by-position       one line per token

The server writes to its audit log who read whose life.)");
}

std::string PositionSpan(const LifeText::Event& event) {
  return event.end - event.begin == 1 ? absl::StrCat(event.begin) : absl::StrCat(event.begin, "-", event.end - 1);
}

void PrintEvents(Session& session, const LifeText& text) {
  using Align = Table::Align;
  Table table({{"event", Align::kRight},
               {"date"},
               {"age", Align::kRight},
               {"positions", Align::kRight},
               {"tokens", Align::kLeft, /*shrinks=*/true}});
  for (const LifeText::Event& event : text.events()) {
    table.Add({absl::StrCat(event.number), LifeText::When(event), event.number == 0 ? "" : absl::StrCat(event.age),
               Text(PositionSpan(event), Style::kDim), text.Line(event)});
  }
  table.Print(session.terminal);
}

void PrintPositions(Session& session, const LifeText& text) {
  using Align = Table::Align;
  Table table({{"position", Align::kRight}, {"token"}, {"event", Align::kRight}, {"date"}, {"age", Align::kRight}});
  for (const LifeText::Event& event : text.events()) {
    for (int32_t position = event.begin; position < event.end; ++position) {
      table.Add({absl::StrCat(position), text.TokenAt(position), absl::StrCat(event.number), LifeText::When(event),
                 event.number == 0 ? "" : absl::StrCat(event.age)});
    }
  }
  table.Print(session.terminal);
}

absl::Status RunDocument(const DocumentVerbOptions& options, Session& session) {
  const auto persons = ParseNumbers("--person", options.person, std::numeric_limits<int64_t>::max());
  if (!persons.ok()) return persons.status();
  if (persons->size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat("--person: expected one id, found ", persons->size()));
  }
  v1::GetDocumentRequest request;
  request.mutable_person()->set_corpus(options.corpus);
  request.mutable_person()->set_person_id(persons->front());
  absl::StatusOr<v1::DocumentText> document = session.client->GetDocument(request);
  if (!document.ok()) return document.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*document, session.terminal);
  const LifeText text(*std::move(document));
  PrintTitle(
      session, absl::StrCat("person ", persons->front()),
      absl::StrCat(text.length(), " positions, ", text.events().empty() ? 0 : text.events().back().number, " events"));
  if (options.by_position) {
    PrintPositions(session, text);
  } else {
    PrintEvents(session, text);
  }
  return absl::OkStatus();
}

}  // namespace

void AddDocument(CLI::App& app, Action& action) {
  AddVerb<DocumentVerbOptions>(app, action, "document", "The text of a person's life, with positions", Define,
                               RunDocument);
}

}  // namespace lifescope
