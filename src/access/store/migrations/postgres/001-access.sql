CREATE TABLE access_version (one INT PRIMARY KEY CHECK (one = 1), v BIGINT NOT NULL);
INSERT INTO access_version VALUES (1, 0);

CREATE TABLE access_keys (
  id TEXT PRIMARY KEY,
  consumer_id TEXT NOT NULL,
  name TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  last4 TEXT NOT NULL,
  scopes TEXT NOT NULL,
  plan TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT,
  rotated_to TEXT,
  leaked_at BIGINT,
  version BIGINT NOT NULL
);
CREATE INDEX access_keys_version ON access_keys (version);
CREATE INDEX access_keys_created ON access_keys (created_at, id);

CREATE TABLE access_plans (name TEXT PRIMARY KEY, limits TEXT NOT NULL, version BIGINT NOT NULL);

CREATE TABLE access_usage (
  key_id TEXT NOT NULL,
  consumer_id TEXT NOT NULL,
  hour BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  units BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  stream_seconds BIGINT NOT NULL,
  refused BIGINT NOT NULL,
  PRIMARY KEY (key_id, hour)
);
CREATE INDEX access_usage_consumer ON access_usage (consumer_id, hour);

CREATE TABLE access_tickets (
  hash TEXT PRIMARY KEY,
  principal TEXT NOT NULL,
  purpose TEXT NOT NULL,
  origin TEXT,
  expires_at BIGINT NOT NULL
);
CREATE INDEX access_tickets_principal ON access_tickets (principal);

CREATE TABLE access_audit (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  detail TEXT NOT NULL
);
