-- What marketers plan, and what came of it.

-- +goose Up
CREATE TABLE campaigns (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state         text NOT NULL CHECK (state IN ('draft', 'scheduled', 'preparing', 'sending', 'paused', 'finished', 'stopped')),
    plan          jsonb NOT NULL,                    -- campaigns.Plan: what the marketer filled in
    template      text NOT NULL DEFAULT '',          -- the name its messages have in templates
    version       integer NOT NULL DEFAULT 1,        -- counts the saves of the plan
    due_at        timestamptz,                       -- when to look at it next; null: nothing is planned
    planned_until timestamptz,                       -- of an occasion: hours up to here have been planned
    created_by    text NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);
CREATE INDEX campaigns_due ON campaigns (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX campaigns_state ON campaigns (state, id DESC);

CREATE TABLE campaign_changes (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id bigint NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    change      text NOT NULL,                       -- created, changed, copied, started, fired, missed, paused, resumed, finished, stopped
    actor       text NOT NULL,                       -- "operator:ann", "key:shop", "herald"
    detail      jsonb NOT NULL,
    at          timestamptz NOT NULL
);
CREATE INDEX campaign_changes_campaign ON campaign_changes (campaign_id, id DESC);

-- One firing of a campaign; its id is the campaign of its notifications and of
-- its ledger.
CREATE TABLE campaign_runs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id bigint NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    due_at      timestamptz NOT NULL,
    state       text NOT NULL CHECK (state IN ('preparing', 'sending', 'finished', 'stopped')),
    occasions   jsonb,                               -- the dates it is about, with the time zones where their hour has come
    expires_at  timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,                -- also the moment the segment is asked at
    prepared_at timestamptz,
    ended_at    timestamptz,
    UNIQUE (campaign_id, due_at)                     -- whoever fires it, it fires once
);
CREATE INDEX campaign_runs_campaign ON campaign_runs (campaign_id, id DESC);
CREATE INDEX campaign_runs_open ON campaign_runs (state, id) WHERE state IN ('preparing', 'sending');

-- The members of a run, by id, in parts that are read side by side.
CREATE TABLE campaign_ranges (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id   bigint NOT NULL REFERENCES campaign_runs ON DELETE CASCADE,
    first_id bigint NOT NULL,
    last_id  bigint NOT NULL,
    next_id  bigint NOT NULL,                        -- members before it have been asked
    targeted integer NOT NULL DEFAULT 0,             -- notifications made so far
    done     boolean NOT NULL DEFAULT false
);
CREATE INDEX campaign_ranges_run ON campaign_ranges (run_id, id);

-- Who was told of which date: nobody hears of one birthday twice.
CREATE TABLE campaign_occasions (
    campaign_id bigint NOT NULL REFERENCES campaigns ON DELETE CASCADE,
    member_id   bigint NOT NULL REFERENCES members ON DELETE CASCADE,
    date        date NOT NULL,
    PRIMARY KEY (campaign_id, member_id, date)
);
CREATE INDEX campaign_occasions_member ON campaign_occasions (member_id);

-- What a campaign would do, counted in the background: the last one asked for.
CREATE TABLE campaign_dry_runs (
    campaign_id bigint PRIMARY KEY REFERENCES campaigns ON DELETE CASCADE,
    number      bigint NOT NULL,                     -- a new one ends the one before it
    version     integer NOT NULL,                    -- of the plan that it is about
    state       text NOT NULL CHECK (state IN ('counting', 'done', 'cancelled')),
    next_id     bigint NOT NULL,
    last_id     bigint NOT NULL,
    result      jsonb NOT NULL,                      -- campaigns.Outlook, so far
    asked_by    text NOT NULL,
    asked_at    timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL
);

-- Birthdays by day of the year: 229 is 29 February.
CREATE INDEX members_birthday ON members (((extract(month FROM birthday) * 100 + extract(day FROM birthday))::integer), id)
    WHERE birthday IS NOT NULL;
