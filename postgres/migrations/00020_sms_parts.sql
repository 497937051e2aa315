-- Text messages that go in several parts: the number that holds the parts
-- together, and what became of each. Messages of one part have no rows here.

-- +goose Up
-- What was given to a recipient last, so that a phone is never given the same
-- number for two messages it may still be putting together.
CREATE TABLE sms_references (
    account text COLLATE "C" NOT NULL,
    address bigint NOT NULL,                         -- the number's hash
    first   integer NOT NULL,                        -- where the counting began: anywhere
    given   bigint NOT NULL,                         -- how many since; (first + given) mod 65536 is the last
    used_on date NOT NULL,
    PRIMARY KEY (account, address)
);
CREATE INDEX sms_references_used ON sms_references (used_on);

CREATE TABLE sms_messages (
    delivery_id uuid NOT NULL,                       -- deliveries.id
    account     text COLLATE "C" NOT NULL,
    reference   integer NOT NULL,
    parts       smallint NOT NULL,
    missing     smallint NOT NULL,                   -- how many of them the provider has not taken
    text        bigint NOT NULL,                     -- a hash: another text is another message
    begun_at    timestamptz NOT NULL,                -- at its newest attempt
    PRIMARY KEY (delivery_id, account)
);
CREATE INDEX sms_messages_in_hand ON sms_messages (account, begun_at) WHERE missing > 0;
CREATE INDEX sms_messages_begun ON sms_messages (begun_at);

-- What the provider took.
CREATE TABLE sms_parts (
    delivery_id  uuid NOT NULL,
    account      text COLLATE "C" NOT NULL,
    reference    integer NOT NULL,                   -- another than the message's: it was begun anew since
    part         smallint NOT NULL,                  -- from 0
    provider_id  text NOT NULL,
    state        text NOT NULL DEFAULT 'accepted' CHECK (state IN ('accepted', 'delivered', 'bounced', 'expired')),
    code         text NOT NULL DEFAULT '',
    detail       text NOT NULL DEFAULT '',
    address_dead boolean NOT NULL DEFAULT false,
    happened_at  timestamptz,                        -- by the provider's clock; null: nothing final is known
    accepted_at  timestamptz NOT NULL,
    PRIMARY KEY (delivery_id, account, reference, part)
) WITH (fillfactor = 80);
CREATE INDEX sms_parts_provider ON sms_parts (provider_id, account);
CREATE INDEX sms_parts_accepted ON sms_parts (accepted_at);

-- Reports of ids that may be those of parts that are being handed over.
CREATE TABLE sms_held_reports (
    account     text COLLATE "C" NOT NULL,
    provider_id text NOT NULL,
    key         text NOT NULL,                       -- tells one that is given twice
    report      jsonb NOT NULL,                      -- dispatch.Report
    taken_at    timestamptz NOT NULL,
    PRIMARY KEY (provider_id, account, key)
);
CREATE INDEX sms_held_reports_taken ON sms_held_reports (taken_at);

-- Messages that came in, piece by piece.
CREATE TABLE sms_pieces (
    account   text COLLATE "C" NOT NULL,
    message   text COLLATE "C" NOT NULL,             -- a hash of sender, receiver, reference and number of parts
    part      smallint NOT NULL,                     -- from 1
    content   text COLLATE "C" NOT NULL,             -- a hash of what it says, which tells a repetition
    piece     jsonb NOT NULL,                        -- sms.Piece
    came_at   timestamptz NOT NULL,
    done_at   timestamptz,                           -- null: others are missing, and there is time
    PRIMARY KEY (account, message, part, content)
);
CREATE INDEX sms_pieces_waiting ON sms_pieces (account, came_at) WHERE done_at IS NULL;
CREATE INDEX sms_pieces_came ON sms_pieces (came_at);
