-- Modems: what a SIM may still send, the short messages it sent, which PINs
-- were tried, and what the operator said of the balance.

-- +goose Up
-- Parts sent in a day or a month of the account's time zone. A part that was
-- refused is taken off again.
CREATE TABLE modem_quotas (
    sim    text COLLATE "C" NOT NULL,                -- the beginning of the IMSI's SHA-256
    period text COLLATE "C" NOT NULL,                -- '2026-03-01' or '2026-03'
    parts  integer NOT NULL,
    PRIMARY KEY (sim, period)
);
CREATE INDEX modem_quotas_period ON modem_quotas (period);

-- The references (TP-MR) that a SIM's short messages have.
CREATE TABLE modem_references (
    sim  text COLLATE "C" PRIMARY KEY,
    last smallint NOT NULL,                          -- given last, 1 to 255
    own  boolean                                     -- the modem writes its own over them; null: not known
);

-- Short messages, one for each part of a delivery, for as long as the operator
-- may say something of them.
CREATE TABLE modem_parts (
    delivery_id  uuid NOT NULL,                      -- deliveries.id
    account      text COLLATE "C" NOT NULL,
    part         smallint NOT NULL,                  -- from 0
    of           smallint NOT NULL,
    text         bigint NOT NULL,                    -- a hash: another text is another message
    sim          text COLLATE "C" NOT NULL,
    reference    smallint NOT NULL,                  -- TP-MR
    recipient    bigint NOT NULL,                    -- a hash of the number's last digits
    -- waiting: not sent; doubt: it may have been; refused: nobody will ever take it so
    state        text NOT NULL CHECK (state IN ('waiting', 'doubt', 'accepted', 'refused')),
    provider_id  text NOT NULL DEFAULT '',
    detail       text NOT NULL DEFAULT '',           -- of a refusal
    day          text,                               -- the periods that it counts in; null: none
    month        text,
    at           timestamptz NOT NULL,               -- of the newest change
    PRIMARY KEY (delivery_id, account, part)
);
CREATE INDEX modem_parts_reference ON modem_parts (sim, reference, at);
CREATE INDEX modem_parts_doubt ON modem_parts (sim, recipient) WHERE state = 'doubt';
CREATE INDEX modem_parts_at ON modem_parts (at);

-- A PIN that was tried and not found right is not tried again.
CREATE TABLE modem_pins (
    key      text COLLATE "C" PRIMARY KEY,           -- a hash of SIM and PIN
    tried_at timestamptz NOT NULL
);

CREATE TABLE modem_balances (
    sim    text COLLATE "C" PRIMARY KEY,
    amount double precision,                         -- null: the answer has none
    answer text NOT NULL,                            -- the operator's
    at     timestamptz NOT NULL
);
