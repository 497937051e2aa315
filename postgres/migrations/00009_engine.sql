-- The engine: chunks of deliveries, counted as they move.

-- +goose Up
ALTER TABLE notifications
    ADD COLUMN campaign_id bigint,
    ADD COLUMN patience    interval;                   -- how long a rung of the ladder has to be confirmed; null: for ever
-- Lists are made of deliveries: these were written and never read.
DROP INDEX notifications_trigger;
DROP INDEX notifications_member;
DROP INDEX notifications_event;

ALTER TABLE deliveries
    ADD COLUMN campaign_id bigint,
    ADD COLUMN hour   timestamptz NOT NULL DEFAULT date_trunc('hour', now(), 'UTC'), -- of the notification: where the ledger counts it
    ADD COLUMN counts boolean NOT NULL DEFAULT true,      -- its notification is counted by this rung
    ADD COLUMN turn   integer NOT NULL DEFAULT 0;         -- which of its jobs may act on it: it is given to one after another
UPDATE deliveries d
SET hour = date_trunc('hour', n.created_at, 'UTC'),
    counts = NOT EXISTS (SELECT FROM deliveries h WHERE h.notification_id = d.notification_id AND h.rung > d.rung)
FROM notifications n
WHERE n.id = d.notification_id;

-- A row and what it belongs to are written in one transaction; checking that
-- again costs more than writing the row.
ALTER TABLE deliveries DROP CONSTRAINT deliveries_notification_id_fkey;
ALTER TABLE attempts DROP CONSTRAINT attempts_delivery_id_fkey;

-- What changes with every hand-over has no index, and each page has room for
-- the changed row: the change is then one write (PostgreSQL: heap-only tuples).
DROP INDEX deliveries_state;
DROP INDEX deliveries_channel;
DROP INDEX deliveries_trigger;
ALTER TABLE deliveries SET (fillfactor = 50);
CREATE INDEX deliveries_trigger ON deliveries (trigger, id DESC) WHERE trigger <> '';
CREATE INDEX deliveries_campaign ON deliveries (campaign_id, id DESC) WHERE campaign_id IS NOT NULL;
-- How a receipt that knows only the provider's id finds its delivery: by the attempt.
ALTER TABLE attempts ADD COLUMN provider_id text NOT NULL DEFAULT '';
CREATE INDEX attempts_provider ON attempts (provider_id) WHERE provider_id <> '';
DROP INDEX attempts_accepted;

-- The deliveries that somebody may have to look at. They are few, and kept
-- apart so that they can be found by their state.
CREATE TABLE troubles (
    delivery_id uuid PRIMARY KEY,
    state       text NOT NULL CHECK (state IN ('failed', 'in_doubt', 'deferred')),
    reason      text NOT NULL
);
CREATE INDEX troubles_state ON troubles (state, delivery_id DESC);
INSERT INTO troubles (delivery_id, state, reason)
SELECT id, state, reason FROM deliveries WHERE state IN ('failed', 'in_doubt', 'deferred');

-- What is in somebody's hands: a row is written before the first byte of its
-- messages, and goes with their outcome.
CREATE TABLE hand_overs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id     bigint NOT NULL,                        -- River's
    node       text NOT NULL,
    account    text NOT NULL,
    deliveries uuid[] NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX hand_overs_job ON hand_overs (job_id);

-- An attempt without an outcome was in the hands of a job of the old kind.
UPDATE attempts SET ended_at = now(), outcome = 'in_doubt' WHERE ended_at IS NULL;
UPDATE deliveries SET state = 'in_doubt' WHERE state IN ('pending', 'deferred') AND id IN (SELECT delivery_id FROM attempts WHERE outcome = 'in_doubt');
UPDATE river_job
SET args = jsonb_build_object('deliveries', jsonb_build_array(args -> 'delivery'), 'turn', 0)
WHERE kind = 'dispatch_hand_over' AND args ? 'delivery' AND finalized_at IS NULL;

-- The ledger, added up; and what has moved since.
CREATE TABLE ledger (
    hour        timestamptz NOT NULL,
    trigger     text NOT NULL,
    campaign_id bigint NOT NULL,                       -- 0: none
    channel     text NOT NULL,
    state       text NOT NULL,                         -- a delivery's, or 'targeted'
    reason      text NOT NULL,                         -- of what failed or was suppressed; otherwise empty
    n           bigint NOT NULL,
    PRIMARY KEY (hour, trigger, campaign_id, channel, state, reason)
);
CREATE INDEX ledger_campaign ON ledger (campaign_id) WHERE campaign_id <> 0;
CREATE TABLE ledger_moves (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hour        timestamptz NOT NULL,
    trigger     text NOT NULL,
    campaign_id bigint NOT NULL,
    channel     text NOT NULL,
    state       text NOT NULL,
    reason      text NOT NULL,
    n           bigint NOT NULL
);
INSERT INTO ledger (hour, trigger, campaign_id, channel, state, reason, n)
SELECT hour, trigger, 0, channel, state, CASE WHEN state IN ('failed', 'suppressed') THEN reason ELSE '' END, count(*)
FROM deliveries WHERE counts GROUP BY 1, 2, 4, 5, 6
UNION ALL
SELECT date_trunc('hour', created_at, 'UTC'), trigger, 0, '', 'targeted', '', count(*)
FROM notifications GROUP BY 1, 2;

-- How many attempts ended how, minute by minute; kept for some days.
CREATE TABLE minutes (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    minute  timestamptz NOT NULL,
    channel text NOT NULL,
    account text NOT NULL,
    outcome text NOT NULL,
    n       bigint NOT NULL
);
CREATE INDEX minutes_minute ON minutes (minute);
INSERT INTO minutes (minute, channel, account, outcome, n)
SELECT date_trunc('minute', a.ended_at), d.channel, a.account, a.outcome, count(*)
FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
WHERE a.ended_at > now() - interval '2 days'
GROUP BY 1, 2, 3, 4;
