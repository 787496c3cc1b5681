// The verbs of lifescoped, one file each.
//
// Each function adds its subcommand with flags, help and a callback that runs it. A callback fails by throwing: main
// prints "lifescoped <verb>: <message>" on standard error and exits with 1. Wrong usage exits with 2.
#pragma once

#include <CLI/CLI.hpp>

namespace lifescope {

void AddServeCommand(CLI::App& app);
void AddMigrateCommand(CLI::App& app);
void AddSynthesizeCommand(CLI::App& app);
void AddImportCommand(CLI::App& app);
void AddImportModelCommand(CLI::App& app);
void AddImportHeadCommand(CLI::App& app);
void AddPretrainCommand(CLI::App& app);
void AddFinetuneCommand(CLI::App& app);
void AddCollectActivationsCommand(CLI::App& app);
void AddTrainSaeCommand(CLI::App& app);
void AddImportSaeCommand(CLI::App& app);
void AddExportSaeCommand(CLI::App& app);
void AddFitBaselineCommand(CLI::App& app);
void AddIndexCommand(CLI::App& app);
void AddMatchTraitsCommand(CLI::App& app);
void AddCoverageCommand(CLI::App& app);
void AddConceptsCommand(CLI::App& app);
void AddLabelCommand(CLI::App& app);
void AddEvaluateCommand(CLI::App& app);
void AddCompareCommand(CLI::App& app);
void AddMetricsCommand(CLI::App& app);

}  // namespace lifescope
