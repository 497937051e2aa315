-- Telephone calls: one row for each time that a number is dialled, written
-- before anything can ring, so that what a crash cut short is known. They and
-- their recordings go with the member, and with the delivery.

-- +goose Up
CREATE TABLE calls (
    id          uuid PRIMARY KEY,                    -- version 7: ordered by time
    delivery_id uuid NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    member_id   bigint NOT NULL REFERENCES members ON DELETE CASCADE,
    attempt     integer NOT NULL,                    -- at the delivery, as dispatch counts
    account     text COLLATE "C" NOT NULL,
    call_id     text NOT NULL,                       -- SIP's, by which the provider knows the call, too; empty: it was decided that this attempt is not made
    began_at    timestamptz NOT NULL,
    ended_at    timestamptz,                         -- null: it goes on, or its process died
    steps       jsonb NOT NULL DEFAULT '[]',         -- voice.step: what happened, in order
    answered_by text NOT NULL DEFAULT '' CHECK (answered_by IN ('', 'person', 'machine', 'unknown')),
    heard_ms    integer NOT NULL DEFAULT 0,          -- how much of the message was said into an ear
    of_ms       integer NOT NULL DEFAULT 0,          -- how long it is
    confirmed   boolean NOT NULL DEFAULT false,
    stopped     boolean NOT NULL DEFAULT false,      -- no more of these calls are wanted
    reached     boolean NOT NULL DEFAULT false,      -- a person heard it to its end, or confirmed it where it asks to
    outcome     text NOT NULL DEFAULT '',            -- voice.outcome; empty while it is not known
    code        integer NOT NULL DEFAULT 0,          -- the answer of SIP that ended it; 0: none
    told        boolean NOT NULL DEFAULT false       -- what is to be reported of it was, or there is nothing
);
CREATE INDEX calls_delivery ON calls (delivery_id, id);
CREATE INDEX calls_member ON calls (member_id);
CREATE INDEX calls_untold ON calls (account, began_at) WHERE NOT told;

-- What those said who had consented to be recorded.
CREATE TABLE call_recordings (
    id         uuid PRIMARY KEY,
    call       uuid NOT NULL REFERENCES calls ON DELETE CASCADE,
    made_at    timestamptz NOT NULL,
    lasts_ms   integer NOT NULL,
    wav        bytea NOT NULL,                       -- G.711 (µ-law), 8,000 samples a second
    keep_until timestamptz NOT NULL
);
CREATE INDEX call_recordings_call ON call_recordings (call);
CREATE INDEX call_recordings_keep_until ON call_recordings (keep_until);
