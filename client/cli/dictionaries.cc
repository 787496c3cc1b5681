#include "absl/strings/str_cat.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/paging.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct DictionariesOptions {};

void Define(CLI::App& verb, DictionariesOptions&) {
  verb.footer(R"(Examples:
  lifescope dictionaries                             sparse autoencoders and transcoders: where they read, what
                                                     they predict, how many features
  lifescope dictionaries --output json | jq -r '.dictionaries[].name')");
}

absl::Status RunDictionaries(const DictionariesOptions&, Session& session) {
  const auto found = ListAll(*session.client, &Client::ListDictionaries, v1::ListDictionariesRequest(),
                             &v1::ListDictionariesResponse::mutable_dictionaries);
  if (!found.ok()) return found.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*found, session.terminal);
  using Align = Table::Align;
  Table table({{"dictionary"},
               {"model"},
               {"hook point"},
               {"predicts"},
               {"kind"},
               {"width", Align::kRight},
               {"features", Align::kRight},
               {"digest"}});
  for (const v1::Dictionary& dictionary : found->dictionaries()) {
    const char* unnamed = dictionary.is_transcoder() ? "not said" : "the same";
    table.Add({Text(dictionary.name(), Style::kBold), dictionary.model(), dictionary.hook_point(),
               dictionary.output_hook_point().empty() ? unnamed : dictionary.output_hook_point(),
               dictionary.architecture(), absl::StrCat(dictionary.activation_dim()),
               FormatCount(dictionary.feature_count()), Text(ShortDigest(dictionary.digest()), Style::kDim)});
  }
  if (table.empty()) {
    PrintLine(session.terminal, "The server holds no dictionary.");
  } else {
    table.Print(session.terminal);
  }
  return absl::OkStatus();
}

}  // namespace

void AddDictionaries(CLI::App& app, Action& action) {
  AddVerb<DictionariesOptions>(app, action, "dictionaries", "The sparse autoencoders of the server", Define,
                               RunDictionaries);
}

}  // namespace lifescope
