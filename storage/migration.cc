#include "storage/migration.h"

#include "absl/strings/str_cat.h"

namespace lifescope {
namespace {

absl::Status Differs(const Migration& ours, const AppliedMigration& theirs) {
  return absl::FailedPreconditionError(absl::StrCat("schema migration ", theirs.version, ": the database has ",
                                                    theirs.name, " (sha256 ", theirs.sha256, "), this binary ",
                                                    ours.name, " (", ours.sha256, ")"));
}

}  // namespace

absl::StatusOr<std::vector<Migration>> PendingMigrations(const std::vector<Migration>& known,
                                                         const std::vector<AppliedMigration>& applied) {
  for (size_t i = 0; i < applied.size(); ++i) {
    if (applied[i].version != static_cast<int32_t>(i) + 1) {
      return absl::FailedPreconditionError(
          absl::StrCat("schema migrations of the database: found version ", applied[i].version, ", expected ", i + 1));
    }
    if (i < known.size() && (known[i].sha256 != applied[i].sha256 || known[i].name != applied[i].name)) {
      return Differs(known[i], applied[i]);
    }
  }
  if (applied.size() > known.size()) {
    return absl::FailedPreconditionError(absl::StrCat("the database's schema is at version ", applied.size(),
                                                      ", newer than this binary's ", known.size(),
                                                      ": run a newer lifescoped"));
  }
  return std::vector<Migration>(known.begin() + static_cast<ptrdiff_t>(applied.size()), known.end());
}

absl::StatusOr<SchemaStatus> Migrate(SchemaTarget& target, const std::vector<Migration>& known, bool apply) {
  absl::StatusOr<std::vector<AppliedMigration>> applied = target.Applied();
  if (!applied.ok()) return applied.status();
  absl::StatusOr<std::vector<Migration>> pending = PendingMigrations(known, *applied);
  if (!pending.ok()) return pending.status();

  SchemaStatus schema;
  schema.binary_version = static_cast<int32_t>(known.size());
  for (const Migration& migration : *pending) schema.pending.push_back(migration.name);
  if (apply && !pending->empty()) {
    for (const Migration& migration : *pending) {
      const absl::Status done = target.Apply(migration);
      if (!done.ok()) {
        return absl::Status(done.code(),
                            absl::StrCat("schema migration ", migration.name, ": ", std::string(done.message())));
      }
    }
    // Again, since another process may have been the one that applied them.
    applied = target.Applied();
    if (!applied.ok()) return applied.status();
    pending = PendingMigrations(known, *applied);
    if (!pending.ok()) return pending.status();
  }
  schema.database_version = static_cast<int32_t>(applied->size());
  return schema;
}

absl::Status PrepareSchema(SchemaTarget& target, const std::vector<Migration>& known, bool create_schema) {
  const absl::StatusOr<SchemaStatus> schema = Migrate(target, known, create_schema);
  if (!schema.ok()) return schema.status();
  if (schema->database_version == schema->binary_version) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("the database's schema is at version ", schema->database_version,
                                                    ", this binary needs ", schema->binary_version,
                                                    ": run lifescoped migrate"));
}

}  // namespace lifescope
