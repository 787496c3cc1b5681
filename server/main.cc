// lifescoped: the server and its batch verbs.
#include <c10/util/Exception.h>

#include <cstdio>
#include <exception>
#include <string>

#include "server/command/command.h"

namespace {

constexpr int kFailure = 1, kUsage = 2;

std::string NameOf(const CLI::App& app) {
  const auto verbs = app.get_subcommands();
  return verbs.empty() ? "lifescoped" : "lifescoped " + verbs.front()->get_name();
}

int Fail(const CLI::App& app, const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", NameOf(app).c_str(), message.substr(0, message.find('\n')).c_str());
  return kFailure;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"lifescoped: interpretability of life2vec models as a service"};
  app.require_subcommand(1);
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    return NameOf(*failed) + ": " + error.what() + " (--help says more)\n";
  });
  lifescope::AddServeCommand(app);
  lifescope::AddMigrateCommand(app);
  lifescope::AddSynthesizeCommand(app);
  lifescope::AddImportCommand(app);
  lifescope::AddImportModelCommand(app);
  lifescope::AddImportHeadCommand(app);
  lifescope::AddPretrainCommand(app);
  lifescope::AddFinetuneCommand(app);
  lifescope::AddCollectActivationsCommand(app);
  lifescope::AddTrainSaeCommand(app);
  lifescope::AddImportSaeCommand(app);
  lifescope::AddExportSaeCommand(app);
  lifescope::AddFitBaselineCommand(app);
  lifescope::AddIndexCommand(app);
  lifescope::AddMatchTraitsCommand(app);
  lifescope::AddCoverageCommand(app);
  lifescope::AddConceptsCommand(app);
  lifescope::AddLabelCommand(app);
  lifescope::AddEvaluateCommand(app);
  lifescope::AddCompareCommand(app);
  lifescope::AddMetricsCommand(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  } catch (const c10::Error& error) {
    return Fail(app, error.what_without_backtrace());
  } catch (const std::exception& error) {
    return Fail(app, error.what());
  }
}
