-- Triggers are data; subscriptions are members' choices of them.

-- +goose Up
CREATE TABLE triggers (
    name       text PRIMARY KEY,
    event_type text NOT NULL,
    definition jsonb NOT NULL,                       -- subscriptions.Trigger
    version    integer NOT NULL DEFAULT 1,
    enabled    boolean NOT NULL DEFAULT true,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE trigger_versions (
    name       text NOT NULL,
    version    integer NOT NULL,
    definition jsonb NOT NULL,
    saved_by   text NOT NULL,
    saved_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);

CREATE SEQUENCE subscription_ids AS bigint;

-- Only what can still fire lives here; the rest is in ended_subscriptions.
CREATE TABLE subscriptions (
    id                bigint PRIMARY KEY DEFAULT nextval('subscription_ids'),
    member_id         bigint NOT NULL REFERENCES members ON DELETE CASCADE,
    trigger           text NOT NULL REFERENCES triggers (name),
    params            jsonb NOT NULL,
    channels          text[] NOT NULL,               -- the ladder, first choice first
    paused            boolean NOT NULL DEFAULT false,
    valid_from        timestamptz NOT NULL DEFAULT now(),
    valid_until       timestamptz,                   -- the first instant at which it no longer fires
    max_notifications integer CHECK (max_notifications > 0),
    cool_down         interval,                      -- null: the trigger's
    repeats           text NOT NULL DEFAULT '' CHECK (repeats IN ('', 'daily', 'weekly', 'monthly', 'yearly')),
    periods_from      timestamptz,                   -- the end of the first period; later ones are counted from it
    follows           bigint,                        -- the subscription whose follow-up this is
    origin            text NOT NULL,                 -- portal, api, import: how it was ordered
    sent              integer NOT NULL DEFAULT 0,    -- notifications so far
    last_fired_at     timestamptz,
    version           integer NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    CHECK (valid_until > valid_from),
    CHECK (repeats = '' OR valid_until IS NOT NULL)
);
CREATE INDEX subscriptions_member ON subscriptions (member_id, id);
CREATE INDEX subscriptions_trigger ON subscriptions (trigger, id);
CREATE INDEX subscriptions_valid_until ON subscriptions (valid_until) WHERE valid_until IS NOT NULL;
CREATE INDEX subscriptions_capped ON subscriptions (id) WHERE max_notifications IS NOT NULL;

-- What an event is looked up by: one row for each key a subscription waits on.
-- bound is the constant of its range term, null where the condition has none.
CREATE TABLE subscription_anchors (
    subscription_id bigint NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    trigger         text NOT NULL,
    key             text NOT NULL,
    bound           double precision,
    PRIMARY KEY (subscription_id, key)
);
CREATE INDEX subscription_anchors_lookup ON subscription_anchors (trigger, key, bound) INCLUDE (subscription_id);

CREATE TABLE ended_subscriptions (
    LIKE subscriptions,
    ended_at timestamptz NOT NULL DEFAULT now(),
    ended_by text NOT NULL CHECK (ended_by IN ('expired', 'exhausted', 'cancelled', 'unsubscribed')),
    PRIMARY KEY (id)
);
CREATE INDEX ended_subscriptions_member ON ended_subscriptions (member_id, id);

CREATE TABLE subscription_changes (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id bigint NOT NULL,
    member_id       bigint NOT NULL,
    change          text NOT NULL,                   -- created, changed, paused, resumed, ended, renewed
    actor           text NOT NULL,                   -- "member", "key:shop", "operator:ann", "herald"
    before          jsonb,
    after           jsonb,
    at              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX subscription_changes_subscription ON subscription_changes (subscription_id, id);
