CREATE TABLE series (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  exchange TEXT NOT NULL,
  market_id TEXT,
  symbol TEXT NOT NULL,
  "interval" TEXT NOT NULL,
  anchor_ms BIGINT NOT NULL,
  generation BIGINT NOT NULL,
  candles BIGINT NOT NULL DEFAULT 0,
  first_listed BIGINT,
  written_at BIGINT NOT NULL,
  UNIQUE (exchange, symbol, "interval", anchor_ms, generation)
);

CREATE TABLE candles (
  series_id BIGINT NOT NULL,
  ts BIGINT NOT NULL,
  open DOUBLE PRECISION,
  high DOUBLE PRECISION,
  low DOUBLE PRECISION,
  close DOUBLE PRECISION,
  volume DOUBLE PRECISION,
  meta SMALLINT NOT NULL,
  PRIMARY KEY (series_id, ts)
);

CREATE TABLE revisions (
  series_id BIGINT NOT NULL,
  ts BIGINT NOT NULL,
  rev BIGINT NOT NULL,
  open DOUBLE PRECISION,
  high DOUBLE PRECISION,
  low DOUBLE PRECISION,
  close DOUBLE PRECISION,
  volume DOUBLE PRECISION,
  source TEXT NOT NULL,
  seen_at BIGINT,
  replaced_at BIGINT NOT NULL,
  disputed BIGINT NOT NULL,
  PRIMARY KEY (series_id, ts, rev)
);
CREATE INDEX revisions_by_time ON revisions (series_id, replaced_at);

CREATE TABLE coverage (
  series_id BIGINT NOT NULL,
  from_ts BIGINT NOT NULL,
  to_ts BIGINT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  source TEXT NOT NULL,
  checked_min BIGINT NOT NULL,
  checked_max BIGINT NOT NULL,
  first_seen BIGINT NOT NULL,
  recheck_at BIGINT,
  PRIMARY KEY (series_id, from_ts)
);
CREATE INDEX coverage_by_end ON coverage (series_id, to_ts);

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  number BIGINT NOT NULL,
  exchange TEXT NOT NULL,
  symbol TEXT NOT NULL,
  "interval" TEXT NOT NULL,
  from_ts BIGINT NOT NULL,
  to_ts BIGINT,
  origin TEXT NOT NULL,
  state TEXT NOT NULL,
  percent DOUBLE PRECISION NOT NULL DEFAULT 0,
  pages BIGINT NOT NULL DEFAULT 0,
  candles BIGINT NOT NULL DEFAULT 0,
  reached BIGINT,
  eta_seconds BIGINT,
  waiting_for TEXT,
  error TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state, exchange);

CREATE TABLE due (
  series_id BIGINT NOT NULL,
  at BIGINT NOT NULL,
  from_ts BIGINT NOT NULL,
  to_ts BIGINT NOT NULL,
  PRIMARY KEY (series_id, at, from_ts)
);

CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  until BIGINT NOT NULL,
  fence BIGINT NOT NULL
);

-- For people: times as times.
CREATE VIEW candles_readable AS
  SELECT s.exchange, s.symbol, s."interval", s.generation, to_timestamp(c.ts / 1000.0) AS time,
    c.open, c.high, c.low, c.close, c.volume
  FROM candles c JOIN series s ON s.id = c.series_id;
