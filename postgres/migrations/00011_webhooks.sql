-- What the company's systems are told became of their messages.

-- +goose Up
CREATE SEQUENCE webhook_endpoint_ids AS bigint;

CREATE TABLE webhook_endpoints (
    id               bigint PRIMARY KEY,             -- of webhook_endpoint_ids: known before the secret is sealed, which is bound to it
    url              text NOT NULL UNIQUE,
    description      text NOT NULL DEFAULT '',
    types            text[] NOT NULL,                -- "delivery.failed", "campaign.*" or "*"
    enabled          boolean NOT NULL DEFAULT true,
    disabled_for     text NOT NULL DEFAULT '' CHECK (disabled_for IN ('', 'operator', 'gone', 'failing')),
    secret           bytea NOT NULL,                 -- AES-256-GCM under a key that the database does not hold
    old_secret       bytea,                          -- signs beside it until the moment below
    old_secret_until timestamptz,
    failures         integer NOT NULL DEFAULT 0,     -- since the last success; those of one moment count once
    failing_since    timestamptz,                    -- the first of them
    hold_until       timestamptz,                    -- nothing is sent before: it asked for patience, or could not be reached
    version          integer NOT NULL DEFAULT 1,
    created_by       text NOT NULL,                  -- "key:shop", "operator:ann"
    changed_by       text NOT NULL,
    created_at       timestamptz NOT NULL,
    changed_at       timestamptz NOT NULL
);

-- One event for one endpoint. There is no reference to the endpoint: whoever
-- announces must not fail, or wait, because one is removed at that moment.
CREATE TABLE webhook_messages (
    endpoint_id     bigint NOT NULL,
    id              uuid NOT NULL,                   -- version 7: the event's, the same for every endpoint and attempt
    type            text NOT NULL,
    body            text NOT NULL,                   -- JSON, exactly as it is sent and signed
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,      -- ever made
    tries           integer NOT NULL DEFAULT 0,      -- of them since it was announced or last replayed
    next_attempt_at timestamptz,
    status          integer NOT NULL DEFAULT 0,      -- the last answer's, 0 where there was none
    error           text NOT NULL DEFAULT '',        -- the last attempt's; empty when it succeeded
    created_at      timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL,
    PRIMARY KEY (endpoint_id, id)
);
CREATE INDEX webhook_messages_failed ON webhook_messages (endpoint_id, id) WHERE error <> '';
CREATE INDEX webhook_messages_done ON webhook_messages (changed_at) WHERE state <> 'pending';

CREATE TABLE webhook_attempts (
    endpoint_id  bigint NOT NULL,
    message_id   uuid NOT NULL,
    number       integer NOT NULL,
    id           uuid NOT NULL,                      -- version 7, of the moment it began
    type         text NOT NULL,
    at           timestamptz NOT NULL,
    microseconds bigint NOT NULL,                    -- how long it took
    status       integer NOT NULL,
    error        text NOT NULL,
    PRIMARY KEY (endpoint_id, message_id, number),
    FOREIGN KEY (endpoint_id, message_id) REFERENCES webhook_messages (endpoint_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_attempts_endpoint ON webhook_attempts (endpoint_id, id DESC);
