-- Times are microseconds since 1970. Rows are only ever inserted; `id` is the order of insertion.

CREATE TABLE artifact (
  id INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  description TEXT NOT NULL,
  created_at_us INTEGER NOT NULL,
  UNIQUE (kind, name, digest)
) STRICT;
CREATE INDEX artifact_by_kind ON artifact (kind, id);

-- The bulk comes last, so that lists need not read over it.
CREATE TABLE run (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  principal TEXT NOT NULL,
  request_id TEXT NOT NULL,
  kind INTEGER NOT NULL,
  model TEXT NOT NULL,
  request_sha256 TEXT NOT NULL,
  created_at_us INTEGER NOT NULL,
  provenance BLOB NOT NULL,
  request BLOB NOT NULL,
  result BLOB NOT NULL,
  UNIQUE (principal, request_id)
) STRICT;
CREATE INDEX run_by_kind ON run (kind, id);

CREATE TABLE feature_index (
  id INTEGER PRIMARY KEY,
  index_id TEXT NOT NULL UNIQUE,
  model_digest TEXT NOT NULL,
  dictionary_digest TEXT NOT NULL,
  corpus_digest TEXT NOT NULL,
  token_count INTEGER NOT NULL,
  person_count INTEGER NOT NULL,
  n_slots INTEGER NOT NULL,
  feature_count INTEGER NOT NULL,
  examples_per_feature INTEGER NOT NULL,
  software_version TEXT NOT NULL,
  created_at_us INTEGER NOT NULL
) STRICT;
CREATE INDEX feature_index_by_dictionary ON feature_index (dictionary_digest, id);

CREATE TABLE feature (
  index_row INTEGER NOT NULL REFERENCES feature_index (id),
  feature INTEGER NOT NULL,
  max_activation REAL NOT NULL,
  activation_sum REAL NOT NULL,
  active_token_count INTEGER NOT NULL,
  active_person_count INTEGER NOT NULL,
  histogram TEXT NOT NULL, -- a JSON array of counts
  PRIMARY KEY (index_row, feature)
) STRICT, WITHOUT ROWID;
CREATE INDEX feature_by_density ON feature (index_row, active_token_count DESC, feature);
CREATE INDEX feature_by_maximum ON feature (index_row, max_activation DESC, feature);

-- References to places in the corpus, never tokens.
CREATE TABLE example (
  index_row INTEGER NOT NULL,
  feature INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  person_id INTEGER NOT NULL,
  position INTEGER NOT NULL,
  activation REAL NOT NULL,
  PRIMARY KEY (index_row, feature, rank),
  FOREIGN KEY (index_row, feature) REFERENCES feature (index_row, feature)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  principal TEXT NOT NULL,
  action TEXT NOT NULL,
  corpus_digest TEXT NOT NULL,
  person_ids TEXT NOT NULL, -- a JSON array
  created_at_us INTEGER NOT NULL
) STRICT;
