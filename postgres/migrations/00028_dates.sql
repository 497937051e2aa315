-- Dates as events, and calendars that were imported.

-- +goose Up
-- How far the dates of a trigger have been told: whoever tells more moves it on
-- in the same transaction.
CREATE TABLE trigger_clocks (
    trigger    text PRIMARY KEY REFERENCES triggers (name) ON DELETE CASCADE,
    told_until timestamptz NOT NULL
);

CREATE TABLE calendars (
    name       text COLLATE "C" PRIMARY KEY,         -- small letters, digits, - and _
    title      text NOT NULL,
    body       text NOT NULL,                        -- iCalendar (RFC 5545), as it was given
    dates      integer NOT NULL,                     -- how many it comes to
    version    integer NOT NULL,                     -- counts the saves
    saved_by   text NOT NULL,                        -- "operator:ann", "key:shop"
    updated_at timestamptz NOT NULL
);

-- The zones that members live in, by jumping from one to the next.
CREATE INDEX members_time_zone ON members (time_zone);
