-- The subscriptions that an event may meet and that were too many to be decided
-- of in its own transaction, some hundreds a row. A row is a promise: it goes
-- with the transaction that decides of them.

-- +goose Up
CREATE TABLE fan_outs (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id      uuid NOT NULL,
    trigger       text NOT NULL,
    subscriptions bigint[] NOT NULL,                 -- in order
    previous      jsonb,                             -- of a trigger on a change: the event before
    attempts      integer NOT NULL DEFAULT 0,        -- that failed
    next_at       timestamptz NOT NULL,
    error         text NOT NULL DEFAULT ''           -- of the last attempt
);
CREATE INDEX fan_outs_next ON fan_outs (next_at, id);
