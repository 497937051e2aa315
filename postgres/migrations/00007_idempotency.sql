-- What an API key was answered, so that a repeated request gets the same answer.

-- +goose Up
CREATE TABLE replays (
    api_key_id   bigint NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    operation    text NOT NULL,                      -- "POST /api/v1/members"
    key          text NOT NULL,                      -- the sender's Idempotency-Key
    fingerprint  bytea NOT NULL,                     -- of the request, by a secret that is not kept here
    status       integer,                            -- HTTP; null while the first request is under way
    content_type text NOT NULL DEFAULT '',
    location     text NOT NULL DEFAULT '',
    body         bytea NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (api_key_id, operation, key)
);
CREATE INDEX replays_created ON replays (created_at);
