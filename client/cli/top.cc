#include "absl/strings/str_cat.h"
#include "client/cli/answers.h"
#include "client/cli/examples.h"
#include "client/cli/format.h"
#include "client/cli/message_json.h"
#include "client/cli/session.h"

namespace lifescope {
namespace {

void Define(CLI::App& verb, ExamplesOptions& options) {
  DefineExamples(verb, options);
  verb.footer(R"(Examples:
  lifescope top 97                                   where feature 97 fires most, with the events around
  lifescope top 97 --count 50 --no-text              references alone
  lifescope top 97 --context 3                       three events on each side

At most one example per person. Text is joined by the server when it is asked for, and audited.)");
}

absl::Status RunTop(const ExamplesOptions& options, Session& session) {
  if (options.count == 0) return absl::InvalidArgumentError("--count: 0, expected at least 1");
  const auto examples = FetchExamples(session, options);
  if (!examples.ok()) return examples.status();
  if (session.output == OutputFormat::kJson) return PrintJson(*examples, session.terminal);
  PrintTitle(session, absl::StrCat("feature ", options.feature, ": where it fires most"),
             absl::StrCat("of ", FormatCount(examples->index().person_count()), " persons"));
  PrintExamples(session, *examples);
  return absl::OkStatus();
}

}  // namespace

void AddTop(CLI::App& app, Action& action) {
  AddVerb<ExamplesOptions>(app, action, "top", "Where a feature fires most, over a whole corpus", Define, RunTop);
}

}  // namespace lifescope
