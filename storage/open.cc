#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "storage/sqlite/sqlite_store.h"
#include "storage/store.h"
#ifdef LIFESCOPE_WITH_POSTGRES
#include "storage/postgres/postgres_store.h"
#endif

namespace lifescope {
namespace {

struct Location {
  bool is_sqlite = false;
  std::string target;  // a path, or the whole URL
};

absl::StatusOr<Location> Parse(const std::string& url) {
  absl::string_view rest = url;
  if (absl::ConsumePrefix(&rest, "sqlite:")) {
    if (rest.empty()) return absl::InvalidArgumentError("store: found no path after sqlite:, expected sqlite:<path>");
    return Location{true, std::string(rest)};
  }
  if (absl::ConsumePrefix(&rest, "postgresql://") || absl::ConsumePrefix(&rest, "postgres://")) {
#ifdef LIFESCOPE_WITH_POSTGRES
    return Location{false, url};
#else
    return absl::InvalidArgumentError("store: found a postgresql:// URL, but this binary is built without PostgreSQL");
#endif
  }
  // Only the scheme is shown: what follows may hold a password.
  const size_t colon = url.find(':');
  const std::string scheme = colon == std::string::npos ? "no scheme" : absl::StrCat("\"", url.substr(0, colon), ":\"");
  return absl::InvalidArgumentError(
      absl::StrCat("store: found ", scheme, ", expected sqlite:<path> or postgresql://..."));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenStore(const std::string& url, const StoreOptions& options) {
  const absl::StatusOr<Location> location = Parse(url);
  if (!location.ok()) return location.status();
  if (options.pool_size < 1) {
    return absl::InvalidArgumentError(absl::StrCat("pool_size: found ", options.pool_size, ", expected 1 or more"));
  }
  if (location->is_sqlite) return OpenSqliteStore(location->target, options.create_schema);
#ifdef LIFESCOPE_WITH_POSTGRES
  return OpenPostgresStore(location->target, options);
#else
  return absl::InternalError("store: built without PostgreSQL");
#endif
}

absl::StatusOr<SchemaStatus> MigrateStore(const std::string& url, bool apply) {
  const absl::StatusOr<Location> location = Parse(url);
  if (!location.ok()) return location.status();
  if (location->is_sqlite) return MigrateSqlite(location->target, apply, SqliteMigrations());
#ifdef LIFESCOPE_WITH_POSTGRES
  return MigratePostgres(location->target, apply, PostgresMigrations());
#else
  return absl::InternalError("store: built without PostgreSQL");
#endif
}

}  // namespace lifescope
