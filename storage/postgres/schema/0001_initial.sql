-- Times are microseconds since 1970. Rows are only ever inserted; `id` is the order of insertion.

CREATE TABLE artifact (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  description TEXT NOT NULL,
  created_at_us BIGINT NOT NULL,
  UNIQUE (kind, name, digest)
);
CREATE INDEX artifact_by_kind ON artifact (kind, id);

CREATE TABLE run (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  principal TEXT NOT NULL,
  request_id TEXT NOT NULL,
  kind INTEGER NOT NULL,
  model TEXT NOT NULL,
  request_sha256 TEXT NOT NULL,
  created_at_us BIGINT NOT NULL,
  provenance BYTEA NOT NULL,
  request BYTEA NOT NULL,
  result BYTEA NOT NULL,
  UNIQUE (principal, request_id)
);
CREATE INDEX run_by_kind ON run (kind, id);
-- Mostly float bytes, which do not compress.
ALTER TABLE run ALTER COLUMN result SET STORAGE EXTERNAL;

CREATE TABLE feature_index (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  index_id TEXT NOT NULL UNIQUE,
  model_digest TEXT NOT NULL,
  dictionary_digest TEXT NOT NULL,
  corpus_digest TEXT NOT NULL,
  token_count BIGINT NOT NULL,
  person_count BIGINT NOT NULL,
  n_slots BIGINT NOT NULL,
  feature_count BIGINT NOT NULL,
  examples_per_feature BIGINT NOT NULL,
  software_version TEXT NOT NULL,
  created_at_us BIGINT NOT NULL
);
CREATE INDEX feature_index_by_dictionary ON feature_index (dictionary_digest, id);

CREATE TABLE feature (
  index_row BIGINT NOT NULL REFERENCES feature_index (id),
  feature BIGINT NOT NULL,
  max_activation DOUBLE PRECISION NOT NULL,
  activation_sum DOUBLE PRECISION NOT NULL,
  active_token_count BIGINT NOT NULL,
  active_person_count BIGINT NOT NULL,
  histogram BIGINT[] NOT NULL,
  PRIMARY KEY (index_row, feature)
);
CREATE INDEX feature_by_density ON feature (index_row, active_token_count DESC, feature);
CREATE INDEX feature_by_maximum ON feature (index_row, max_activation DESC, feature);

-- References to places in the corpus, never tokens.
CREATE TABLE example (
  index_row BIGINT NOT NULL,
  feature BIGINT NOT NULL,
  rank INTEGER NOT NULL,
  person_id BIGINT NOT NULL,
  position INTEGER NOT NULL,
  activation DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (index_row, feature, rank),
  FOREIGN KEY (index_row, feature) REFERENCES feature (index_row, feature)
);

CREATE TABLE audit (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  principal TEXT NOT NULL,
  action TEXT NOT NULL,
  corpus_digest TEXT NOT NULL,
  person_ids BIGINT[] NOT NULL,
  created_at_us BIGINT NOT NULL
);
