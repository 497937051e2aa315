-- What providers say of messages after they took them.

-- +goose Up
CREATE TABLE receipts (
    delivery_id uuid NOT NULL,                         -- deliveries.id
    key         text NOT NULL,                         -- tells one that is given twice: a hash
    event       text NOT NULL CHECK (event IN ('delivered', 'bounced', 'delayed', 'expired', 'read', 'complained', 'unsubscribed')),
    account     text NOT NULL,                         -- empty: not known
    code        text NOT NULL,                         -- the provider's, such as "5.1.1"
    detail      text NOT NULL,
    happened_at timestamptz NOT NULL,                  -- by the provider's clock
    taken_at    timestamptz NOT NULL,
    PRIMARY KEY (delivery_id, key)
);

-- Reports of provider's ids that no attempt has yet: a provider can be faster
-- than the record of what it took. They are kept for some minutes.
CREATE TABLE early_reports (
    account     text NOT NULL,
    provider_id text NOT NULL,
    key         text NOT NULL,
    report      jsonb NOT NULL,                        -- dispatch.Report
    taken_at    timestamptz NOT NULL,
    PRIMARY KEY (provider_id, account, key)
);
CREATE INDEX early_reports_taken ON early_reports (taken_at);
