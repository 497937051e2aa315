-- Who may use Herald: operators, API keys, sign-in failures, browser sessions.

-- +goose Up
CREATE TABLE operators (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE,              -- what they sign in with, lower case
    password_hash text NOT NULL,                     -- argon2id, PHC string
    role          text NOT NULL CHECK (role IN ('operator', 'marketer', 'admin')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz
);

CREATE TABLE api_keys (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL,                      -- who or what uses it
    prefix       text NOT NULL UNIQUE,               -- the part that may be shown
    hash         bytea NOT NULL,                     -- SHA-256 of the whole key
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    revoked_at   timestamptz
);

-- One row for each thing that is limited ("member:wei", "address:203.0.113.7").
CREATE TABLE sign_in_failures (
    subject    text PRIMARY KEY,
    failures   integer NOT NULL,
    last_at    timestamptz NOT NULL
);
CREATE INDEX sign_in_failures_last ON sign_in_failures (last_at);

-- The layout that alexedwards/scs expects.
CREATE TABLE sessions (
    token  text PRIMARY KEY,
    data   bytea NOT NULL,
    expiry timestamptz NOT NULL
);
CREATE INDEX sessions_expiry ON sessions (expiry);
