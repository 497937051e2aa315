-- Events and their matches are kept in one partition for each day, by the time
-- in the event's id, so that old days are dropped whole.

-- +goose Up
-- What a sender calls an event, kept apart: no index over all partitions can
-- be unique without the partitions' key. The digest is the first half of
-- SHA-256 of the source, a zero byte and the sender's id.
CREATE TABLE event_keys (
    digest   uuid PRIMARY KEY,
    event_id uuid NOT NULL
);
INSERT INTO event_keys (digest, event_id)
SELECT encode(substr(sha256(convert_to(source, 'UTF8') || '\x00'::bytea || convert_to(source_id, 'UTF8')), 1, 16), 'hex')::uuid, id
FROM events;

ALTER TABLE events RENAME TO events_until_now;
ALTER TABLE events_until_now RENAME CONSTRAINT events_pkey TO events_until_now_pkey;
ALTER TABLE events_until_now DROP CONSTRAINT events_source_source_id_key;
DROP INDEX events_received;

ALTER TABLE matches RENAME TO matches_until_now;
ALTER TABLE matches_until_now RENAME CONSTRAINT matches_pkey TO matches_until_now_pkey;
ALTER INDEX matches_event RENAME TO matches_until_now_event;

CREATE TABLE events (
    id          uuid PRIMARY KEY,                    -- ours (version 7); the sender's is (source, source_id)
    source      text NOT NULL,
    source_id   text NOT NULL,
    type        text NOT NULL,
    subject     text NOT NULL DEFAULT '',
    time        timestamptz NOT NULL,
    data        jsonb NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (id);
CREATE INDEX events_type ON events (type, id);

-- One row for each (subscription, event) that met, whatever was decided.
CREATE TABLE matches (
    subscription_id bigint NOT NULL,
    event_id        uuid NOT NULL,
    outcome         text NOT NULL CONSTRAINT matches_outcome_check CHECK (outcome IN ('notified', 'cool_down', 'cap_reached', 'paused', 'not_valid')),
    notification_id uuid,
    at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription_id, event_id)
) PARTITION BY RANGE (event_id);
CREATE INDEX matches_event ON matches (event_id);

-- What there is becomes the first day, with all before it; package
-- matcher/history makes and drops the days after it. A partition's name ends in
-- the last day that it holds.
-- +goose StatementBegin
DO $$
DECLARE
    last_day date := (now() AT TIME ZONE 'UTC')::date;
    newest   uuid := (SELECT id FROM events_until_now ORDER BY id DESC LIMIT 1);
    bound    uuid;
    old      text;
BEGIN
    IF newest IS NULL THEN
        DROP TABLE events_until_now, matches_until_now;
        RETURN;
    END IF;
    last_day := greatest(last_day, (to_timestamp(
        ('x' || translate(left(newest::text, 13), '-', ''))::bit(48)::bigint / 1000.0) AT TIME ZONE 'UTC')::date);
    bound := regexp_replace(
        lpad(to_hex((extract(epoch FROM (last_day + 1)::timestamp AT TIME ZONE 'UTC') * 1000)::bigint), 12, '0'),
        '(.{8})(.{4})', '\1-\2-7000-8000-000000000000')::uuid;
    FOREACH old IN ARRAY ARRAY['events', 'matches'] LOOP
        EXECUTE format('ALTER TABLE %I RENAME TO %I', old || '_until_now', old || to_char(last_day, '_YYYYMMDD'));
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
            old, old || to_char(last_day, '_YYYYMMDD'), bound);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- The safety net: what comes while its day's partition is missing.
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE TABLE matches_default PARTITION OF matches DEFAULT;
