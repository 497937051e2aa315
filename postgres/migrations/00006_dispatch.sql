-- From decision to recorded delivery.

-- +goose Up
CREATE TABLE notifications (
    id              uuid PRIMARY KEY,                -- version 7: ordered by time
    member_id       bigint NOT NULL,
    trigger         text NOT NULL DEFAULT '',        -- empty for Herald's own, such as a confirmation code
    subscription_id bigint,
    event_id        uuid,
    purpose         text NOT NULL,
    priority        smallint NOT NULL,               -- River's: 1 first, 4 last
    template        text NOT NULL,
    data            jsonb NOT NULL,                  -- what the template is filled from
    ladder          text[] NOT NULL,                 -- the channels, first choice first
    contact_point_id bigint,                         -- where it must go although it is not verified
    private         boolean NOT NULL DEFAULT false,  -- data is shown to nobody, and erased when it is final
    decision        jsonb NOT NULL,                  -- dispatch.Decision: why, step by step
    expires_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notifications_member ON notifications (member_id, id DESC);
CREATE INDEX notifications_trigger ON notifications (trigger, id DESC);
CREATE INDEX notifications_event ON notifications (event_id) WHERE event_id IS NOT NULL;

CREATE TABLE deliveries (
    id               uuid PRIMARY KEY,
    notification_id  uuid NOT NULL REFERENCES notifications ON DELETE CASCADE,
    member_id        bigint NOT NULL,
    trigger          text NOT NULL,
    rung             smallint NOT NULL,              -- place on the ladder, from 0
    channel          text NOT NULL,
    contact_point_id bigint,
    address          text NOT NULL DEFAULT '',
    state            text NOT NULL CHECK (state IN
                       ('pending', 'deferred', 'in_doubt', 'accepted', 'delivered', 'suppressed', 'failed')),
    reason           text NOT NULL DEFAULT '',       -- a code: why it is in this state
    attempts         integer NOT NULL DEFAULT 0,
    repeated         integer NOT NULL DEFAULT 0,     -- hand-overs made although an earlier one was in doubt
    account          text NOT NULL DEFAULT '',
    provider_id      text NOT NULL DEFAULT '',
    next_attempt_at  timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    changed_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (notification_id, rung)
);
CREATE INDEX deliveries_member ON deliveries (member_id, id DESC);
CREATE INDEX deliveries_trigger ON deliveries (trigger, id DESC);
CREATE INDEX deliveries_address ON deliveries (address, id DESC);
CREATE INDEX deliveries_state ON deliveries (state, id DESC);
CREATE INDEX deliveries_channel ON deliveries (channel, id DESC);

-- One hand-over each. ended_at is null from the moment we may have spoken to the provider.
CREATE TABLE attempts (
    delivery_id uuid NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    number      integer NOT NULL,
    node        text NOT NULL,
    account     text NOT NULL DEFAULT '',
    started_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    repeats     boolean NOT NULL DEFAULT false,      -- made although an earlier one was in doubt
    outcome     text NOT NULL DEFAULT '',            -- dispatch.Class, 'accepted' or 'template_failed'
    code        text NOT NULL DEFAULT '',            -- the provider's, such as "550 5.1.1"
    detail      text NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_id, number)
);
CREATE INDEX attempts_accepted ON attempts (ended_at) WHERE outcome = 'accepted';

CREATE TABLE nodes (
    name       text PRIMARY KEY,                     -- River's client id
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at    timestamptz NOT NULL DEFAULT now()
);
