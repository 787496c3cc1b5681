#include "absl/strings/str_cat.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/paging.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct CorporaOptions {};

void Define(CLI::App& verb, CorporaOptions&) {
  verb.footer(R"(Examples:
  lifescope corpora                                  whose lives the server holds
  lifescope document --person 17 --corpus demo       and one of them)");
}

absl::Status RunCorpora(const CorporaOptions&, Session& session) {
  const auto found = ListAll(*session.client, &Client::ListCorpora, v1::ListCorporaRequest(),
                             &v1::ListCorporaResponse::mutable_corpora);
  if (!found.ok()) return found.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*found, session.terminal);
  using Align = Table::Align;
  Table table({{"corpus"},
               {"persons", Align::kRight},
               {"events", Align::kRight},
               {"tokens", Align::kRight},
               {"vocabulary", Align::kRight},
               {"train / validation / test"},
               {"from"},
               {"digest"}});
  for (const v1::Corpus& corpus : found->corpora()) {
    table.Add(
        {Text(corpus.name(), Style::kBold), FormatCount(corpus.person_count()), FormatCount(corpus.event_count()),
         FormatCount(corpus.token_count()), FormatCount(corpus.vocabulary_size()),
         absl::StrCat(FormatCount(corpus.train_person_count()), " / ", FormatCount(corpus.validation_person_count()),
                      " / ", FormatCount(corpus.test_person_count())),
         corpus.reference_date(), Text(ShortDigest(corpus.digest()), Style::kDim)});
  }
  if (table.empty()) {
    PrintLine(session.terminal, "The server holds no corpus.");
  } else {
    table.Print(session.terminal);
  }
  return absl::OkStatus();
}

}  // namespace

void AddCorpora(CLI::App& app, Action& action) {
  AddVerb<CorporaOptions>(app, action, "corpora", "The lives of the server", Define, RunCorpora);
}

}  // namespace lifescope
