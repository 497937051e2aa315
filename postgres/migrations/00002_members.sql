-- Members, how to reach them, and what they agreed to.

-- +goose Up
CREATE TABLE members (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account       text NOT NULL UNIQUE,              -- lower case; never changes
    password_hash text,                              -- argon2id, PHC string; null until one is set
    customer_type text NOT NULL DEFAULT 'person' CHECK (customer_type IN ('person', 'company')),
    display_name  text NOT NULL DEFAULT '',
    locale        text NOT NULL DEFAULT 'en',        -- BCP 47
    time_zone     text NOT NULL DEFAULT 'UTC',       -- IANA name
    birthday      date,
    attributes    jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
-- A search takes the beginning of either.
CREATE INDEX members_account_prefix ON members (account text_pattern_ops);
CREATE INDEX members_name_prefix ON members (lower(display_name) text_pattern_ops);

CREATE TABLE contact_points (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id   bigint NOT NULL REFERENCES members ON DELETE CASCADE,
    channel     text NOT NULL CHECK (channel IN ('email', 'sms', 'voice', 'fax')),
    address     text NOT NULL,                       -- normalised: lower-case domain, or E.164
    verified_at timestamptz,
    standing    text NOT NULL DEFAULT 'good' CHECK (standing IN ('good', 'failing', 'dead')),
    standing_reason text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (member_id, channel, address)
);
CREATE INDEX contact_points_address ON contact_points (channel, address);

-- The code that proves a contact point is the member's own: at most one open at a time.
CREATE TABLE verifications (
    contact_point_id bigint PRIMARY KEY REFERENCES contact_points ON DELETE CASCADE,
    code_hash        bytea NOT NULL,
    tries            integer NOT NULL DEFAULT 0,
    expires_at       timestamptz NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now()
);

-- How often codes went out, so that nobody can have Herald pester a stranger.
-- One row for each thing that is limited ("address:email:wei@example.com", "member:7").
CREATE TABLE code_sends (
    subject text PRIMARY KEY,
    sends   integer NOT NULL,                        -- since the moment below
    since   timestamptz NOT NULL,
    last_at timestamptz NOT NULL
);
CREATE INDEX code_sends_last ON code_sends (last_at);

-- What a member agrees to now, and below it how it came to be so.
CREATE TABLE consents (
    member_id bigint NOT NULL REFERENCES members ON DELETE CASCADE,
    channel   text NOT NULL,
    purpose   text NOT NULL CHECK (purpose IN ('transactional', 'service', 'marketing')),
    granted   boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (member_id, channel, purpose)
);
CREATE TABLE consent_changes (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id bigint NOT NULL REFERENCES members ON DELETE CASCADE,
    channel   text NOT NULL,
    purpose   text NOT NULL,
    granted   boolean NOT NULL,
    source    text NOT NULL,                         -- registration, portal, api, import, one-click, operator
    evidence  text NOT NULL,                         -- what was shown or received, in words
    at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX consent_changes_member ON consent_changes (member_id, id);

CREATE TABLE suppressions (
    channel    text NOT NULL,
    address    text NOT NULL,                        -- normalised, and mail addresses in lower case
    reason     text NOT NULL CHECK (reason IN ('unsubscribed', 'bounced', 'complained', 'stopped', 'operator')),
    detail     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (channel, address)
);
