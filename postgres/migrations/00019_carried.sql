-- A digest is one message of many deliveries. It bears the id of one of them,
-- in its return path too; what is reported of that one is said of them all.

-- +goose Up
ALTER TABLE attempts ADD COLUMN carried_by uuid;       -- deliveries.id that the message bore; null: its own
CREATE INDEX attempts_carried ON attempts (carried_by) WHERE carried_by IS NOT NULL;
