CREATE TABLE series (
  id INTEGER PRIMARY KEY,
  exchange TEXT NOT NULL,
  market_id TEXT,
  symbol TEXT NOT NULL,
  "interval" TEXT NOT NULL,
  anchor_ms INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  candles INTEGER NOT NULL DEFAULT 0,
  first_listed INTEGER,
  written_at INTEGER NOT NULL,
  UNIQUE (exchange, symbol, "interval", anchor_ms, generation)
) STRICT;

CREATE TABLE candles (
  series_id INTEGER NOT NULL,
  ts INTEGER NOT NULL,
  open REAL,
  high REAL,
  low REAL,
  close REAL,
  volume REAL,
  meta INTEGER NOT NULL,
  PRIMARY KEY (series_id, ts)
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
  series_id INTEGER NOT NULL,
  ts INTEGER NOT NULL,
  rev INTEGER NOT NULL,
  open REAL,
  high REAL,
  low REAL,
  close REAL,
  volume REAL,
  source TEXT NOT NULL,
  seen_at INTEGER,
  replaced_at INTEGER NOT NULL,
  disputed INTEGER NOT NULL,
  PRIMARY KEY (series_id, ts, rev)
) STRICT, WITHOUT ROWID;
CREATE INDEX revisions_by_time ON revisions (series_id, replaced_at);

CREATE TABLE coverage (
  series_id INTEGER NOT NULL,
  from_ts INTEGER NOT NULL,
  to_ts INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  source TEXT NOT NULL,
  checked_min INTEGER NOT NULL,
  checked_max INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  recheck_at INTEGER,
  PRIMARY KEY (series_id, from_ts)
) STRICT, WITHOUT ROWID;
CREATE INDEX coverage_by_end ON coverage (series_id, to_ts);

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  exchange TEXT NOT NULL,
  symbol TEXT NOT NULL,
  "interval" TEXT NOT NULL,
  from_ts INTEGER NOT NULL,
  to_ts INTEGER,
  origin TEXT NOT NULL,
  state TEXT NOT NULL,
  percent REAL NOT NULL DEFAULT 0,
  pages INTEGER NOT NULL DEFAULT 0,
  candles INTEGER NOT NULL DEFAULT 0,
  reached INTEGER,
  eta_seconds INTEGER,
  waiting_for TEXT,
  error TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, exchange);

CREATE TABLE due (
  series_id INTEGER NOT NULL,
  at INTEGER NOT NULL,
  from_ts INTEGER NOT NULL,
  to_ts INTEGER NOT NULL,
  PRIMARY KEY (series_id, at, from_ts)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  until INTEGER NOT NULL,
  fence INTEGER NOT NULL
) STRICT;
