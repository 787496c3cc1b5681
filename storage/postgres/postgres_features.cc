// Feature indexes of the PostgreSQL store.
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/int64_list.h"
#include "storage/postgres/postgres_store.h"

namespace lifescope {
namespace {

constexpr char kInsertIndex[] =
    "INSERT INTO feature_index (index_id, model_digest, dictionary_digest, corpus_digest, token_count, person_count, "
    "n_slots, feature_count, examples_per_feature, software_version, created_at_us) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id";
constexpr char kSelectIndex[] =
    "SELECT index_id, model_digest, dictionary_digest, corpus_digest, token_count, person_count, n_slots, "
    "feature_count, examples_per_feature, software_version, created_at_us FROM feature_index WHERE index_id = $1";
constexpr char kSelectNewestIndex[] =
    "SELECT index_id, model_digest, dictionary_digest, corpus_digest, token_count, person_count, n_slots, "
    "feature_count, examples_per_feature, software_version, created_at_us FROM feature_index "
    "WHERE dictionary_digest = $1 ORDER BY id DESC LIMIT 1";
constexpr char kSelectFeature[] =
    "SELECT feature, max_activation, activation_sum, active_token_count, active_person_count, histogram FROM feature "
    "WHERE index_row = (SELECT id FROM feature_index WHERE index_id = $1) AND feature = $2";
constexpr char kSelectExamples[] =
    "SELECT rank, person_id, position, activation FROM example "
    "WHERE index_row = (SELECT id FROM feature_index WHERE index_id = $1) AND feature = $2 AND rank > $3 "
    "ORDER BY rank LIMIT $4";

// One statement per order. $1 index_id, $2 the last feature seen (-1: none), $3 limit.
constexpr char kListByNumber[] =
    "SELECT feature, max_activation, activation_sum, active_token_count, active_person_count, histogram FROM feature "
    "WHERE index_row = (SELECT id FROM feature_index WHERE index_id = $1) AND feature > $2 ORDER BY feature LIMIT $3";
constexpr char kListByDensity[] =
    "WITH parent AS (SELECT id FROM feature_index WHERE index_id = $1), "
    "last AS (SELECT coalesce((SELECT active_token_count FROM feature "
    "WHERE index_row = (SELECT id FROM parent) AND feature = $2), 9223372036854775807) AS value) "
    "SELECT feature, max_activation, activation_sum, active_token_count, active_person_count, histogram FROM feature "
    "WHERE index_row = (SELECT id FROM parent) AND active_token_count <= (SELECT value FROM last) "
    "AND (active_token_count < (SELECT value FROM last) OR feature > $2) "
    "ORDER BY active_token_count DESC, feature LIMIT $3";
constexpr char kListByMaximum[] =
    "WITH parent AS (SELECT id FROM feature_index WHERE index_id = $1), "
    "last AS (SELECT coalesce((SELECT max_activation FROM feature "
    "WHERE index_row = (SELECT id FROM parent) AND feature = $2), 'infinity') AS value) "
    "SELECT feature, max_activation, activation_sum, active_token_count, active_person_count, histogram FROM feature "
    "WHERE index_row = (SELECT id FROM parent) AND max_activation <= (SELECT value FROM last) "
    "AND (max_activation < (SELECT value FROM last) OR feature > $2) "
    "ORDER BY max_activation DESC, feature LIMIT $3";

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

FeatureIndexRecord ReadIndex(const pqxx::row& row) {
  FeatureIndexRecord index;
  index.index_id = row[0].c_str();
  index.model_digest = row[1].c_str();
  index.dictionary_digest = row[2].c_str();
  index.corpus_digest = row[3].c_str();
  index.token_count = row[4].as<int64_t>();
  index.person_count = row[5].as<int64_t>();
  index.n_slots = row[6].as<int64_t>();
  index.feature_count = row[7].as<int64_t>();
  index.examples_per_feature = row[8].as<int64_t>();
  index.software_version = row[9].c_str();
  index.created_at = absl::FromUnixMicros(row[10].as<int64_t>());
  return index;
}

absl::StatusOr<FeatureRecord> ReadFeature(const pqxx::row& row) {
  absl::StatusOr<std::vector<int64_t>> histogram = ParseInt64List(row[5].c_str(), '{', '}');
  if (!histogram.ok()) return histogram.status();
  return FeatureRecord{row[0].as<int64_t>(), row[1].as<double>(),  row[2].as<double>(),
                       row[3].as<int64_t>(), row[4].as<int64_t>(), *std::move(histogram)};
}

void CopyRows(pqxx::transaction_base& transaction, int64_t index_row, const std::vector<FeatureRecord>& features,
              const std::vector<ExampleRecord>& examples) {
  CopyWriter feature_rows(transaction, "feature",
                          "index_row, feature, max_activation, activation_sum, active_token_count, "
                          "active_person_count, histogram");
  for (const FeatureRecord& feature : features) {
    feature_rows.Write(std::make_tuple(index_row, feature.feature, feature.max_activation, feature.activation_sum,
                                       feature.active_token_count, feature.active_person_count,
                                       FormatInt64List(feature.histogram, '{', '}')));
  }
  feature_rows.Complete();
  CopyWriter example_rows(transaction, "example", "index_row, feature, rank, person_id, position, activation");
  for (const ExampleRecord& example : examples) {
    example_rows.Write(std::make_tuple(index_row, example.feature, example.rank, example.person_id, example.position,
                                       example.activation));
  }
  example_rows.Complete();
}

absl::StatusOr<FeatureIndexRecord> SelectIndex(PostgresDatabase& database, const char* sql, const std::string& key,
                                               const std::string& missing) {
  absl::StatusOr<FeatureIndexRecord> index = absl::NotFoundError(missing);
  const absl::Status status = database.Read([&](pqxx::transaction_base& transaction) {
    const pqxx::result rows = Execute(transaction, sql, key);
    if (!rows.empty()) index = ReadIndex(rows[0]);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return index;
}

}  // namespace

absl::Status PostgresStore::DoCreateFeatureIndex(const FeatureIndexRecord& index,
                                                 const std::vector<FeatureRecord>& features,
                                                 const std::vector<ExampleRecord>& examples) {
  return database_->Write([&](pqxx::transaction_base& transaction) {
    // A big index may take longer to copy than any other statement.
    transaction.exec("SET LOCAL statement_timeout = 0");
    const pqxx::result inserted =
        Execute(transaction, kInsertIndex, index.index_id, index.model_digest, index.dictionary_digest,
                index.corpus_digest, index.token_count, index.person_count, index.n_slots, index.feature_count,
                index.examples_per_feature, index.software_version, absl::ToUnixMicros(index.created_at));
    CopyRows(transaction, inserted[0][0].as<int64_t>(), features, examples);
    return absl::OkStatus();
  });
}

absl::StatusOr<FeatureIndexRecord> PostgresStore::DoGetFeatureIndex(const std::string& index_id) {
  return SelectIndex(*database_, kSelectIndex, index_id, absl::StrCat("feature index ", index_id, " does not exist"));
}

absl::StatusOr<FeatureIndexRecord> PostgresStore::DoNewestFeatureIndex(const std::string& dictionary_digest) {
  return SelectIndex(*database_, kSelectNewestIndex, dictionary_digest,
                     absl::StrCat("dictionary ", dictionary_digest, " has no feature index"));
}

absl::StatusOr<FeatureRecord> PostgresStore::DoGetFeature(const std::string& index_id, int64_t feature) {
  absl::StatusOr<FeatureRecord> found = absl::NotFoundError(absl::StrCat("feature ", feature, " does not exist"));
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) {
    const pqxx::result rows = Execute(transaction, kSelectFeature, index_id, feature);
    if (!rows.empty()) found = ReadFeature(rows[0]);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return found;
}

absl::StatusOr<KeyedRows<FeatureRecord>> PostgresStore::DoListFeatures(const std::string& index_id, FeatureOrder order,
                                                                       int64_t after, int32_t limit) {
  KeyedRows<FeatureRecord> rows;
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) -> absl::Status {
    rows.clear();
    for (const auto& row : Execute(transaction, ListStatement(order), index_id, after, limit)) {
      absl::StatusOr<FeatureRecord> feature = ReadFeature(row);
      if (!feature.ok()) return feature.status();
      rows.push_back({feature->feature, *std::move(feature)});
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return rows;
}

absl::StatusOr<KeyedRows<ExampleRecord>> PostgresStore::DoListExamples(const std::string& index_id, int64_t feature,
                                                                       int64_t after, int32_t limit) {
  KeyedRows<ExampleRecord> rows;
  const absl::Status status = database_->Read([&](pqxx::transaction_base& transaction) {
    rows.clear();
    for (const auto& row : Execute(transaction, kSelectExamples, index_id, feature, after, limit)) {
      rows.push_back(
          {row[0].as<int64_t>(),
           {feature, row[0].as<int32_t>(), row[1].as<int64_t>(), row[2].as<int32_t>(), row[3].as<double>()}});
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return rows;
}

}  // namespace lifescope
