-- What messages say: every save is a new version, the highest is in force.

-- +goose Up
CREATE TABLE templates (
    name     text NOT NULL,
    channel  text NOT NULL,
    locale   text NOT NULL,                          -- BCP 47; 'en' is the last fallback
    version  integer NOT NULL,
    subject  text NOT NULL DEFAULT '',
    html     text NOT NULL DEFAULT '',
    body     text NOT NULL DEFAULT '',               -- plain text; made from html when empty
    saved_by text NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, channel, locale, version)
);
