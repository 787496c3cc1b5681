// What a verb is given, and how it hooks into the command line.
#pragma once

#include <functional>
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "client/cli/client.h"
#include "client/cli/terminal.h"

namespace lifescope {

enum class OutputFormat { kHuman, kJson };

struct Session {
  Terminal& terminal;
  OutputFormat output = OutputFormat::kHuman;
  std::unique_ptr<Client> client;
};

// The chosen verb with its options, once the command line is parsed.
using Action = std::function<absl::Status(Session&)>;

// Adds verb `name` to `app`. `Options` holds what `define` binds to the verb's arguments; choosing the verb sets
// `action` to a call of `run` with them.
template <typename Options>
void AddVerb(CLI::App& app, Action& action, const std::string& name, const std::string& description,
             void (*define)(CLI::App&, Options&), absl::Status (*run)(const Options&, Session&)) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand(name, description);
  define(*verb, *options);
  verb->callback([&action, options, run] { action = [options, run](Session& s) { return run(*options, s); }; });
}

// One per verb, each in the file of its name.
void AddStatus(CLI::App& app, Action& action);
void AddModels(CLI::App& app, Action& action);
void AddDictionaries(CLI::App& app, Action& action);
void AddHeads(CLI::App& app, Action& action);
void AddCorpora(CLI::App& app, Action& action);
void AddDocument(CLI::App& app, Action& action);
void AddEncode(CLI::App& app, Action& action);
void AddAblate(CLI::App& app, Action& action);
void AddPatch(CLI::App& app, Action& action);
void AddAttribute(CLI::App& app, Action& action);
void AddCircuit(CLI::App& app, Action& action);
void AddConcept(CLI::App& app, Action& action);
void AddSweep(CLI::App& app, Action& action);
void AddAlign(CLI::App& app, Action& action);
void AddFeatures(CLI::App& app, Action& action);
void AddFeature(CLI::App& app, Action& action);
void AddTop(CLI::App& app, Action& action);
void AddRun(CLI::App& app, Action& action);
void AddRuns(CLI::App& app, Action& action);

}  // namespace lifescope
