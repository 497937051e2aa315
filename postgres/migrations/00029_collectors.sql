-- Collectors: what fetches events from elsewhere.

-- +goose Up
CREATE TABLE collectors (
    name          text PRIMARY KEY,
    kind          text NOT NULL,                   -- collectors.Kind
    position      jsonb NOT NULL DEFAULT 'null',   -- where it stands; only its kind can read it
    holder        text NOT NULL DEFAULT '',        -- the node that runs it
    held_until    timestamptz,                     -- by the database's clock; null or past: nobody does
    accepted      bigint NOT NULL DEFAULT 0,       -- events, since the beginning
    duplicates    bigint NOT NULL DEFAULT 0,
    refused       bigint NOT NULL DEFAULT 0,       -- what became a dead letter
    waiting       bigint,                          -- outside, as last seen; null: not known
    lag           double precision,                -- seconds between the last event and its being taken; null: not known
    taken_at      timestamptz,                     -- when the last event was taken
    began_at      timestamptz,                     -- the last run
    ended_at      timestamptz,
    next_at       timestamptz,
    failing_since timestamptz,
    error         text NOT NULL DEFAULT ''         -- why the last run failed
);

-- What a collector found and could not be taken, until it can or somebody
-- throws it away.
CREATE TABLE collector_dead_letters (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collector text NOT NULL REFERENCES collectors ON DELETE CASCADE,
    key       text NOT NULL,                       -- what it is within its collector
    batch     text NOT NULL,                       -- what it came with, such as a file's reading; may be empty
    place     text NOT NULL,                       -- where it was found, for people
    reason    text NOT NULL,
    original  bytea NOT NULL,                      -- as it was found
    cut       boolean NOT NULL,                    -- the original was longer
    at        timestamptz NOT NULL,
    tries     integer NOT NULL DEFAULT 0,          -- since, in vain
    again_at  timestamptz,                         -- when a new try was asked for that has not been made
    again_by  text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX collector_dead_letters_key ON collector_dead_letters (collector, key);
CREATE INDEX collector_dead_letters_newest ON collector_dead_letters (collector, id DESC);
CREATE INDEX collector_dead_letters_batch ON collector_dead_letters (collector, batch, id);
CREATE INDEX collector_dead_letters_again ON collector_dead_letters (collector, id) WHERE again_at IS NOT NULL;
