#include "client/cli/command_line.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ostream>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "client/cli/session.h"

namespace lifescope {
namespace {

constexpr char kDescription[] =
    "lifescope: which features does a life2vec model compute, on which lives do they fire, and what does the model do "
    "when one of them is changed?";

constexpr char kExamples[] = R"(A first walk:
  lifescope status                                   what is there
  lifescope encode --person 17                       the features of a life
  lifescope feature 97                               what feature 97 is, and where it fires most
  lifescope ablate --person 17 --mask 57 --features 97
                                                     what the model says at position 57 without it
  lifescope patch --clean-person 17 --corrupted-person 21 --hook blocks.1.hook_resid_post \
                  --metric-at 57 --tokens IND_4662,IND_2110 --mask 57
                                                     which activations carry the answer
  lifescope runs                                     every answer is kept

Options above may follow any verb. Exit codes: 0 done, 1 the server refused, 2 wrong usage, 3 no server.
`lifescope VERB --help` shows each verb by example.)";

struct GlobalOptions {
  std::string server = ClientOptions().server;
  double timeout_seconds = absl::ToDoubleSeconds(ClientOptions().timeout);
  OutputFormat output = OutputFormat::kHuman;
};

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.add_option("--server", options.server, "Server, HOST:PORT (environment: LIFESCOPE_SERVER)")
      ->capture_default_str();
  app.add_option("--timeout", options.timeout_seconds, "Seconds to wait for an answer")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  const std::vector<std::pair<std::string, OutputFormat>> formats = {{"human", OutputFormat::kHuman},
                                                                     {"json", OutputFormat::kJson}};
  app.add_option("--output", options.output, "human (default) or json: the server's message in protobuf's JSON")
      ->transform(CLI::CheckedTransformer(formats))
      ->option_text("human|json");
}

void AddVerbs(CLI::App& app, Action& action) {
  AddStatus(app, action);
  AddModels(app, action);
  AddDictionaries(app, action);
  AddHeads(app, action);
  AddCorpora(app, action);
  AddDocument(app, action);
  AddEncode(app, action);
  AddAblate(app, action);
  AddPatch(app, action);
  AddSweep(app, action);
  AddAlign(app, action);
  AddAttribute(app, action);
  AddCircuit(app, action);
  AddConcept(app, action);
  AddFeatures(app, action);
  AddFeature(app, action);
  AddTop(app, action);
  AddRun(app, action);
  AddRuns(app, action);
}

// "lifescope VERB --help" names the chosen verb, or none.
std::string WithVerb(std::string advice, const CLI::App& app) {
  const std::string placeholder = " VERB";
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const size_t at = advice.find(placeholder);
  if (at == std::string::npos) return advice;
  return advice.replace(at, placeholder.size(), chosen.empty() ? "" : absl::StrCat(" ", chosen.front()->get_name()));
}

void PrintError(const absl::Status& status, const CLI::App& app, Terminal& terminal) {
  const ExitCode exit_code = ExitCodeOf(status);
  terminal.err << "lifescope: ";
  if (exit_code == kExitRefused) terminal.err << absl::StatusCodeToString(status.code()) << ": ";
  terminal.err << std::string(status.message()) << "\n";
  const std::string advice = WithVerb(Advice(status), app);
  if (!advice.empty()) terminal.err << "  next: " << advice << "\n";
}

}  // namespace

Environment Environment::OfProcess() {
  const auto get = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  Environment environment{get("LIFESCOPE_SERVER"), get("USER")};
  // Cron and containers set no USER.
  const passwd* account = environment.principal.empty() ? getpwuid(getuid()) : nullptr;
  if (account != nullptr) environment.principal = account->pw_name;
  return environment;
}

ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment, Terminal& terminal) {
  CLI::App app(kDescription, "lifescope");
  GlobalOptions options;
  if (!environment.server.empty()) options.server = environment.server;
  AddGlobalOptions(app, options);
  app.set_version_flag("--version", "lifescope " LIFESCOPE_VERSION);
  app.footer(kExamples);
  app.require_subcommand(1);
  app.fallthrough();
  Action action;
  AddVerbs(app, action);
  try {
    // CLI11 takes them from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& help_or_version) {
    app.exit(help_or_version, terminal.out, terminal.err);
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    PrintError(absl::InvalidArgumentError(error.what()), app, terminal);
    return kExitUsage;
  }

  ClientOptions client_options;
  client_options.server = options.server;
  client_options.timeout = absl::Seconds(options.timeout_seconds);
  if (!environment.principal.empty()) client_options.principal = environment.principal;
  Session session{terminal, options.output, std::make_unique<Client>(client_options, terminal)};
  absl::Status status = action(session);
  terminal.out.flush();
  if (status.ok() && !terminal.out.good()) status = absl::UnknownError("cannot write the output");
  if (!status.ok()) PrintError(status, app, terminal);
  return ExitCodeOf(status);
}

}  // namespace lifescope
