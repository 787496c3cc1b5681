-- Pre-trainings: what each was told, and its losses step by step. A step that is already there is never changed.

CREATE TABLE training_run (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  model TEXT NOT NULL,
  corpus_digest TEXT NOT NULL,
  recipe TEXT NOT NULL, -- a JSON object
  software_version TEXT NOT NULL,
  created_at_us BIGINT NOT NULL
);

CREATE TABLE training_metric (
  run_row BIGINT NOT NULL REFERENCES training_run (id),
  step BIGINT NOT NULL,
  learning_rate DOUBLE PRECISION NOT NULL,
  loss DOUBLE PRECISION NOT NULL,
  mlm_loss DOUBLE PRECISION NOT NULL,
  sop_loss DOUBLE PRECISION NOT NULL,
  validation_mlm_loss DOUBLE PRECISION, -- where the step was followed by a validation
  PRIMARY KEY (run_row, step)
);
