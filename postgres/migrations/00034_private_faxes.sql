-- A fax whose content is for its receiver alone, such as a code: nobody else is
-- shown it, and it is forgotten as soon as it has ended.

-- +goose Up
ALTER TABLE faxes ADD COLUMN private boolean NOT NULL DEFAULT false;
