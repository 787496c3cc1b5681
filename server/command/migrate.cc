#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

#include "absl/strings/str_join.h"
#include "server/command/command.h"
#include "storage/store.h"

namespace lifescope {
namespace {

struct MigrateOptions {
  std::string home;
  std::string store;
  bool check = false;
};

std::string UrlOf(const MigrateOptions& options) {
  if (!options.store.empty()) return options.store;
  if (options.home.empty()) throw std::runtime_error("give --store, or --home for sqlite:<home>/lifescope.db");
  return "sqlite:" + options.home + "/lifescope.db";
}

void Migrate(const MigrateOptions& options) {
  const absl::StatusOr<SchemaStatus> status = MigrateStore(UrlOf(options), !options.check);
  if (!status.ok()) throw std::runtime_error(std::string(status.status().message()));
  const char* verb = options.check ? "pending" : "applied";
  if (status->pending.empty()) {
    std::printf("schema is at version %d, nothing %s\n", status->database_version, verb);
  } else {
    std::printf("schema is at version %d of %d, %s: %s\n", status->database_version, status->binary_version, verb,
                absl::StrJoin(status->pending, ", ").c_str());
  }
}

}  // namespace

void AddMigrateCommand(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("migrate", "Bring a database's schema to this binary's version");
  verb->footer(
      "Examples:\n"
      "  lifescoped migrate --store postgresql://db/lifescope\n"
      "  lifescoped migrate --home /srv/lifescope --check");
  auto options = std::make_shared<MigrateOptions>();
  verb->add_option("--home", options->home, "Folder of the server")->envname("LIFESCOPE_HOME");
  verb->add_option("--store", options->store, "sqlite:<path> or postgresql://... (default sqlite:<home>/lifescope.db)")
      ->envname("LIFESCOPE_STORE");
  verb->add_flag("--check", options->check, "Only say what is pending");
  verb->callback([options] { Migrate(*options); });
}

}  // namespace lifescope
