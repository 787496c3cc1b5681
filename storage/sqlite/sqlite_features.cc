// Feature indexes of the SQLite store.
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/int64_list.h"
#include "storage/sqlite/sqlite_store.h"

namespace lifescope {
namespace {

constexpr char kInsertIndex[] =
    "INSERT INTO feature_index (index_id, model_digest, dictionary_digest, corpus_digest, token_count, person_count, "
    "n_slots, feature_count, examples_per_feature, software_version, created_at_us) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
constexpr char kSelectIndex[] =
    "SELECT index_id, model_digest, dictionary_digest, corpus_digest, token_count, person_count, n_slots, "
    "feature_count, examples_per_feature, software_version, created_at_us FROM feature_index WHERE index_id = ?1";
constexpr char kSelectNewestIndex[] =
    "SELECT index_id, model_digest, dictionary_digest, corpus_digest, token_count, person_count, n_slots, "
    "feature_count, examples_per_feature, software_version, created_at_us FROM feature_index "
    "WHERE dictionary_digest = ?1 ORDER BY id DESC LIMIT 1";
constexpr char kInsertFeature[] =
    "INSERT INTO feature (index_row, feature, max_activation, activation_sum, active_token_count, "
    "active_person_count, histogram) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
constexpr char kInsertExample[] =
    "INSERT INTO example (index_row, feature, rank, person_id, position, activation) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
constexpr char kSelectFeature[] =
    "SELECT feature, max_activation, activation_sum, active_token_count, active_person_count, histogram FROM feature "
    "WHERE index_row = (SELECT id FROM feature_index WHERE index_id = ?1) AND feature = ?2";

// One statement per order. ?1 index_id, ?2 the last feature seen (-1: none), ?3 limit.
constexpr char kListByNumber[] =
    "SELECT feature, max_activation, activation_sum, active_token_count, active_person_count, histogram FROM feature "
    "WHERE index_row = (SELECT id FROM feature_index WHERE index_id = ?1) AND feature > ?2 ORDER BY feature LIMIT ?3";
constexpr char kListByDensity[] =
    "WITH parent AS (SELECT id FROM feature_index WHERE index_id = ?1), "
    "last AS (SELECT coalesce((SELECT active_token_count FROM feature "
    "WHERE index_row = (SELECT id FROM parent) AND feature = ?2), 9223372036854775807) AS value) "
    "SELECT feature, max_activation, activation_sum, active_token_count, active_person_count, histogram FROM feature "
    "WHERE index_row = (SELECT id FROM parent) AND active_token_count <= (SELECT value FROM last) "
    "AND (active_token_count < (SELECT value FROM last) OR feature > ?2) "
    "ORDER BY active_token_count DESC, feature LIMIT ?3";
constexpr char kListByMaximum[] =
    "WITH parent AS (SELECT id FROM feature_index WHERE index_id = ?1), "
    "last AS (SELECT coalesce((SELECT max_activation FROM feature "
    "WHERE index_row = (SELECT id FROM parent) AND feature = ?2), 9e999) AS value) "
    "SELECT feature, max_activation, activation_sum, active_token_count, active_person_count, histogram FROM feature "
    "WHERE index_row = (SELECT id FROM parent) AND max_activation <= (SELECT value FROM last) "
    "AND (max_activation < (SELECT value FROM last) OR feature > ?2) "
    "ORDER BY max_activation DESC, feature LIMIT ?3";

const char* ListStatement(FeatureOrder order) {
  switch (order) {
    case FeatureOrder::kIndex:
      break;
    case FeatureOrder::kTokenDensityDesc:
      return kListByDensity;
    case FeatureOrder::kMaxActivationDesc:
      return kListByMaximum;
  }
  return kListByNumber;
}

FeatureIndexRecord ReadIndex(const SqliteQuery& row) {
  FeatureIndexRecord index;
  index.index_id = row.Text(0);
  index.model_digest = row.Text(1);
  index.dictionary_digest = row.Text(2);
  index.corpus_digest = row.Text(3);
  index.token_count = row.Int(4);
  index.person_count = row.Int(5);
  index.n_slots = row.Int(6);
  index.feature_count = row.Int(7);
  index.examples_per_feature = row.Int(8);
  index.software_version = row.Text(9);
  index.created_at = absl::FromUnixMicros(row.Int(10));
  return index;
}

absl::StatusOr<FeatureRecord> ReadFeature(const SqliteQuery& row) {
  absl::StatusOr<std::vector<int64_t>> histogram = ParseInt64List(row.Text(5), '[', ']');
  if (!histogram.ok()) return histogram.status();
  return FeatureRecord{row.Int(0), row.Real(1), row.Real(2), row.Int(3), row.Int(4), *std::move(histogram)};
}

absl::Status InsertRows(SqliteSession& session, int64_t index_row, const std::vector<FeatureRecord>& features,
                        const std::vector<ExampleRecord>& examples) {
  for (const FeatureRecord& feature : features) {
    const absl::Status status = session.Execute(
        kInsertFeature, index_row, feature.feature, feature.max_activation, feature.activation_sum,
        feature.active_token_count, feature.active_person_count, FormatInt64List(feature.histogram, '[', ']'));
    if (!status.ok()) return status;
  }
  for (const ExampleRecord& example : examples) {
    const absl::Status status = session.Execute(kInsertExample, index_row, example.feature, int64_t{example.rank},
                                                example.person_id, int64_t{example.position}, example.activation);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<FeatureIndexRecord> SelectIndex(SqliteDatabase& database, const char* sql, const std::string& key,
                                               const std::string& missing) {
  absl::StatusOr<FeatureIndexRecord> index = absl::NotFoundError(missing);
  const absl::Status status = database.Read([&](SqliteSession& session) {
    SqliteQuery query(session, sql, key);
    if (query.Next()) index = ReadIndex(query);
    return query.status();
  });
  if (!status.ok()) return status;
  return index;
}

}  // namespace

absl::Status SqliteStore::DoCreateFeatureIndex(const FeatureIndexRecord& index,
                                               const std::vector<FeatureRecord>& features,
                                               const std::vector<ExampleRecord>& examples) {
  return writer_->Write([&](SqliteSession& session) {
    const absl::Status status =
        session.Execute(kInsertIndex, index.index_id, index.model_digest, index.dictionary_digest, index.corpus_digest,
                        index.token_count, index.person_count, index.n_slots, index.feature_count,
                        index.examples_per_feature, index.software_version, absl::ToUnixMicros(index.created_at));
    if (!status.ok()) return status;
    return InsertRows(session, session.LastInsertId(), features, examples);
  });
}

absl::StatusOr<FeatureIndexRecord> SqliteStore::DoGetFeatureIndex(const std::string& index_id) {
  return SelectIndex(*reader_, kSelectIndex, index_id, absl::StrCat("feature index ", index_id, " does not exist"));
}

absl::StatusOr<FeatureIndexRecord> SqliteStore::DoNewestFeatureIndex(const std::string& dictionary_digest) {
  return SelectIndex(*reader_, kSelectNewestIndex, dictionary_digest,
                     absl::StrCat("dictionary ", dictionary_digest, " has no feature index"));
}

absl::StatusOr<FeatureRecord> SqliteStore::DoGetFeature(const std::string& index_id, int64_t feature) {
  absl::StatusOr<FeatureRecord> found = absl::NotFoundError(absl::StrCat("feature ", feature, " does not exist"));
  const absl::Status status = reader_->Read([&](SqliteSession& session) {
    SqliteQuery query(session, kSelectFeature, index_id, feature);
    if (query.Next()) found = ReadFeature(query);
    return query.status();
  });
  if (!status.ok()) return status;
  return found;
}

absl::StatusOr<KeyedRows<FeatureRecord>> SqliteStore::DoListFeatures(const std::string& index_id, FeatureOrder order,
                                                                     int64_t after, int32_t limit) {
  KeyedRows<FeatureRecord> rows;
  const absl::Status status = reader_->Read([&](SqliteSession& session) -> absl::Status {
    SqliteQuery query(session, ListStatement(order), index_id, after, int64_t{limit});
    while (query.Next()) {
      absl::StatusOr<FeatureRecord> feature = ReadFeature(query);
      if (!feature.ok()) return feature.status();
      rows.push_back({feature->feature, *std::move(feature)});
    }
    return query.status();
  });
  if (!status.ok()) return status;
  return rows;
}

absl::StatusOr<KeyedRows<ExampleRecord>> SqliteStore::DoListExamples(const std::string& index_id, int64_t feature,
                                                                     int64_t after, int32_t limit) {
  KeyedRows<ExampleRecord> rows;
  const absl::Status status = reader_->Read([&](SqliteSession& session) {
    SqliteQuery query(session,
                      "SELECT rank, person_id, position, activation FROM example "
                      "WHERE index_row = (SELECT id FROM feature_index WHERE index_id = ?1) AND feature = ?2 "
                      "AND rank > ?3 ORDER BY rank LIMIT ?4",
                      index_id, feature, after, int64_t{limit});
    while (query.Next()) {
      rows.push_back({query.Int(0),
                      {feature, static_cast<int32_t>(query.Int(0)), query.Int(1), static_cast<int32_t>(query.Int(2)),
                       query.Real(3)}});
    }
    return query.status();
  });
  if (!status.ok()) return status;
  return rows;
}

}  // namespace lifescope
