-- Pre-trainings: what each was told, and its losses step by step. A step that is already there is never changed.

CREATE TABLE training_run (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  model TEXT NOT NULL,
  corpus_digest TEXT NOT NULL,
  recipe TEXT NOT NULL, -- a JSON object
  software_version TEXT NOT NULL,
  created_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE training_metric (
  run_row INTEGER NOT NULL REFERENCES training_run (id),
  step INTEGER NOT NULL,
  learning_rate REAL NOT NULL,
  loss REAL NOT NULL,
  mlm_loss REAL NOT NULL,
  sop_loss REAL NOT NULL,
  validation_mlm_loss REAL, -- where the step was followed by a validation
  PRIMARY KEY (run_row, step)
) STRICT, WITHOUT ROWID;
