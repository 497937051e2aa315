-- What triggers remember between events: of a change trigger the newest event
-- of each key, of an absence trigger what it waits for.

-- +goose Up
-- The newest event of each key. A row without a time was made only to be locked.
CREATE TABLE trigger_states (
    trigger    text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,            -- predicate.KeyOf
    attributes jsonb,
    time       timestamptz,                          -- the event's
    event_id   uuid,
    forget_on  date NOT NULL,                        -- the first day on which nothing can ask for it; a day, so that most updates change no index
    PRIMARY KEY (trigger, key)
) WITH (fillfactor = 80);
CREATE INDEX trigger_states_forget_on ON trigger_states (forget_on);

-- Openers that nothing has answered yet.
CREATE TABLE watches (
    trigger   text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,             -- predicate.KeyOf
    opened_at timestamptz NOT NULL,                  -- the opener's time
    event_id  uuid NOT NULL,                         -- the opener
    due_at    timestamptz NOT NULL,
    version   integer NOT NULL,                      -- the trigger's when it was opened
    subject   text NOT NULL,
    data      jsonb NOT NULL,                        -- the opener's: events are kept for some days only
    PRIMARY KEY (trigger, key, opened_at, event_id)
);
CREATE INDEX watches_due ON watches (due_at);

-- What ended watches, or will end those of openers that come late.
CREATE TABLE watch_ends (
    trigger   text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,
    ended_at  timestamptz NOT NULL,                  -- the closer's time, or when a watch that fired was due
    event_id  uuid NOT NULL,                         -- the closer, or the opener of the watch that fired
    opens     boolean NOT NULL,                      -- the closer is an opener as well
    forget_at timestamptz NOT NULL,
    PRIMARY KEY (trigger, key, ended_at, event_id)
);
CREATE INDEX watch_ends_forget_at ON watch_ends (forget_at);
