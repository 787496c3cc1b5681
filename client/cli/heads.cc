#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/paging.h"
#include "client/cli/session.h"
#include "client/cli/table.h"

namespace lifescope {
namespace {

struct HeadsOptions {};

void Define(CLI::App& verb, HeadsOptions&) {
  verb.footer(R"(Examples:
  lifescope heads                                    fine-tuned heads: what they predict, over which model
  lifescope ablate --person 17 --features 97 --head heart
                                                     what a head says when a feature is off)");
}

absl::Status RunHeads(const HeadsOptions&, Session& session) {
  const auto found =
      ListAll(*session.client, &Client::ListHeads, v1::ListHeadsRequest(), &v1::ListHeadsResponse::mutable_heads);
  if (!found.ok()) return found.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*found, session.terminal);
  using Align = Table::Align;
  Table table({{"head"}, {"model"}, {"kind"}, {"predicts"}, {"classes", Align::kLeft, /*shrinks=*/true}, {"digest"}});
  for (const v1::Head& head : found->heads()) {
    const Text model = head.model().empty() ? Text(ShortDigest(head.model_digest()), Style::kDim) : Text(head.model());
    for (int i = 0; i < head.targets_size(); ++i) {
      const v1::PredictedTarget& target = head.targets(i);
      const bool first = i == 0;
      table.Add({first ? Text(head.name(), Style::kBold) : Text(), first ? model : Text(), first ? head.kind() : "",
                 target.name(), absl::StrJoin(target.classes(), ", "),
                 first ? Text(ShortDigest(head.digest()), Style::kDim) : Text()});
    }
  }
  if (table.empty()) {
    PrintLine(session.terminal, "The server holds no fine-tuned head.");
  } else {
    table.Print(session.terminal);
  }
  return absl::OkStatus();
}

}  // namespace

void AddHeads(CLI::App& app, Action& action) {
  AddVerb<HeadsOptions>(app, action, "heads", "The fine-tuned heads of the server", Define, RunHeads);
}

}  // namespace lifescope
