// The database schema as a list of steps. Append only: a step that was released is never edited.

export interface Migration {
  /** `PRAGMA user_version` after this step; consecutive from 1. */
  version: number
  sql: string
}

export const migrations: readonly Migration[] = [
  {
    version: 1,
    sql: `
CREATE TABLE projects (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  sample INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE models (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  format TEXT NOT NULL,
  source_path TEXT NOT NULL,
  path TEXT NOT NULL,
  storage TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  role TEXT NOT NULL,
  parent_id TEXT REFERENCES models(id) ON DELETE SET NULL,
  run_id TEXT,
  facts TEXT NOT NULL
) STRICT;
CREATE INDEX models_by_project ON models(project_id, created_at);

CREATE TABLE datasets (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  source_path TEXT NOT NULL,
  path TEXT NOT NULL,
  storage TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  files INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  layout TEXT NOT NULL,
  inputs TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX datasets_by_project ON datasets(project_id, created_at);

-- Every file kept for a model, dataset, artifact or stage result, by content.
CREATE TABLE files (
  owner_id TEXT NOT NULL,
  relative_path TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  -- NULL: in objects/. Otherwise the place outside the workspace where it is used.
  reference_path TEXT,
  PRIMARY KEY (owner_id, relative_path)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_content ON files(sha256);

CREATE TABLE recipes (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  recipe TEXT NOT NULL,
  origin TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX recipes_by_project ON recipes(project_id, created_at);

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  state TEXT NOT NULL,
  device TEXT NOT NULL,
  request TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  started_at TEXT,
  finished_at TEXT,
  fraction REAL NOT NULL,
  stage TEXT,
  eta_seconds REAL,
  stages TEXT NOT NULL,
  error TEXT,
  run_id TEXT,
  dismissed INTEGER NOT NULL,
  -- Process of the running attempt, so that one left over from a crash can be ended.
  worker TEXT
) STRICT;
CREATE INDEX jobs_by_project ON jobs(project_id, created_at);
CREATE INDEX jobs_by_state ON jobs(state);

CREATE TABLE job_events (
  job_id TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

-- Results of pipeline stages, by the hash of everything that went into them.
CREATE TABLE stage_results (
  key TEXT PRIMARY KEY,
  stage TEXT NOT NULL,
  id TEXT NOT NULL UNIQUE,
  created_at TEXT NOT NULL,
  used_at TEXT NOT NULL,
  result TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
  job_id TEXT,
  number INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  title TEXT NOT NULL,
  note TEXT NOT NULL,
  device_id TEXT NOT NULL,
  device_kind TEXT NOT NULL,
  model_id TEXT,
  recipe_id TEXT,
  dataset_id TEXT,
  valid INTEGER NOT NULL,
  latency_ms REAL,
  qps REAL,
  ratio REAL,
  size_bytes REAL,
  sqnr_db REAL,
  -- Lower-case names for the text filter.
  search TEXT NOT NULL,
  UNIQUE (project_id, number)
) STRICT;

-- The rest of a row of the runs list, as JSON: apart, so that filters and sorts read little.
CREATE TABLE run_summaries (
  run_id TEXT PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE,
  summary TEXT NOT NULL
) STRICT;

CREATE TABLE run_details (
  run_id TEXT PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE,
  -- Comparison and chart figures without their long sample arrays, JSON.
  comparison TEXT NOT NULL,
  figures TEXT NOT NULL,
  provenance TEXT NOT NULL
) STRICT;

CREATE TABLE samples (
  run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  -- Position of the array in {comparison, figures}, as a JSON pointer (RFC 6901).
  pointer TEXT NOT NULL,
  count INTEGER NOT NULL,
  -- Little-endian float64.
  data BLOB NOT NULL,
  PRIMARY KEY (run_id, pointer)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
  id TEXT PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX artifacts_by_run ON artifacts(run_id);

CREATE TABLE layer_statistics (
  run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  layer TEXT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE ratings (
  id TEXT PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  sample TEXT NOT NULL,
  choice TEXT NOT NULL,
  rater TEXT NOT NULL,
  created_at TEXT NOT NULL
) STRICT;
CREATE INDEX ratings_by_run ON ratings(run_id);

CREATE TABLE settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Runs are measurements: nothing but the note may change.
CREATE TRIGGER runs_immutable BEFORE UPDATE ON runs
WHEN (NEW.id, NEW.project_id, NEW.job_id, NEW.number, NEW.created_at, NEW.title, NEW.device_id, NEW.device_kind,
      NEW.model_id, NEW.recipe_id, NEW.dataset_id, NEW.valid, NEW.latency_ms, NEW.qps, NEW.ratio, NEW.size_bytes,
      NEW.sqnr_db)
  IS NOT (OLD.id, OLD.project_id, OLD.job_id, OLD.number, OLD.created_at, OLD.title, OLD.device_id, OLD.device_kind,
      OLD.model_id, OLD.recipe_id, OLD.dataset_id, OLD.valid, OLD.latency_ms, OLD.qps, OLD.ratio, OLD.size_bytes,
      OLD.sqnr_db)
BEGIN SELECT RAISE(ABORT, 'runs are immutable'); END;
CREATE TRIGGER run_summaries_immutable BEFORE UPDATE ON run_summaries
BEGIN SELECT RAISE(ABORT, 'runs are immutable'); END;
CREATE TRIGGER run_details_immutable BEFORE UPDATE ON run_details
BEGIN SELECT RAISE(ABORT, 'runs are immutable'); END;
`,
  },
  {
    version: 2,
    sql: `
-- Votes name the two sides they were about, and which of them the rater saw on the left.
ALTER TABLE ratings ADD COLUMN first TEXT NOT NULL DEFAULT '';
ALTER TABLE ratings ADD COLUMN second TEXT NOT NULL DEFAULT '';
ALTER TABLE ratings ADD COLUMN first_was_left INTEGER NOT NULL DEFAULT 1;
CREATE INDEX ratings_by_pair ON ratings(run_id, first, second, rater);
`,
  },
]

export const latestVersion: number = migrations.at(-1)?.version ?? 0
