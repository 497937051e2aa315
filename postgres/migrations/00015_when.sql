-- What is gathered to go together, and when.

-- +goose Up
ALTER TABLE notifications ADD COLUMN digest text NOT NULL DEFAULT '' CHECK (digest IN ('', 'hourly', 'daily'));

-- Digests that gather. Whoever adds to one holds its row until it commits,
-- and whoever sends it takes the row away: so no item comes too late unseen.
CREATE TABLE digests (
    member_id bigint NOT NULL,
    channel   text NOT NULL,
    purpose   text NOT NULL,
    due_at    timestamptz NOT NULL,
    first     uuid NOT NULL,                           -- the delivery it was begun for
    PRIMARY KEY (member_id, channel, purpose, due_at)
);
-- Apart from the deliveries, whose changes stay one write each because they
-- touch no index.
CREATE TABLE digest_items (
    member_id   bigint NOT NULL,
    channel     text NOT NULL,
    purpose     text NOT NULL,
    due_at      timestamptz NOT NULL,
    delivery_id uuid NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    PRIMARY KEY (member_id, channel, purpose, due_at, delivery_id)
);
