-- What happened, and which subscriptions it met.

-- +goose Up
CREATE TABLE events (
    id          uuid PRIMARY KEY,                    -- ours (version 7); the sender's is (source, source_id)
    source      text NOT NULL,
    source_id   text NOT NULL,
    type        text NOT NULL,
    subject     text NOT NULL DEFAULT '',
    time        timestamptz NOT NULL,
    data        jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source, source_id)
);
CREATE INDEX events_received ON events (received_at);

-- One row for each (subscription, event) that met, whatever was decided.
CREATE TABLE matches (
    subscription_id bigint NOT NULL,
    event_id        uuid NOT NULL,
    outcome         text NOT NULL CHECK (outcome IN ('notified', 'cool_down', 'cap_reached', 'paused', 'not_valid')),
    notification_id uuid,
    at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription_id, event_id)
);
CREATE INDEX matches_event ON matches (event_id);
