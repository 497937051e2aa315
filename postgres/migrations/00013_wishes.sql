-- When members want to hear, and how often they may be written to.

-- +goose Up
ALTER TABLE members ADD COLUMN quiet_from  smallint CHECK (quiet_from BETWEEN 0 AND 1439);  -- minutes of the local day;
ALTER TABLE members ADD COLUMN quiet_until smallint CHECK (quiet_until BETWEEN 0 AND 1439); -- both null: the company's
ALTER TABLE members ADD COLUMN digest_hour smallint NOT NULL DEFAULT 9 CHECK (digest_hour BETWEEN 0 AND 23);
ALTER TABLE members ADD CONSTRAINT members_quiet_pair CHECK ((quiet_from IS NULL) = (quiet_until IS NULL));

-- Empty: at once.
ALTER TABLE subscriptions ADD COLUMN digest text NOT NULL DEFAULT '' CHECK (digest IN ('', 'hourly', 'daily'));
ALTER TABLE ended_subscriptions ADD COLUMN digest text NOT NULL DEFAULT '';

-- What was sent lately, as far as frequency caps ask: for each member and
-- purpose the newest notifications, oldest first, and when each was decided.
CREATE TABLE cap_counts (
    member_id bigint NOT NULL,
    purpose   text NOT NULL,
    ids       uuid[] NOT NULL,
    taken     timestamptz[] NOT NULL,                -- as many as ids
    PRIMARY KEY (member_id, purpose)
);
