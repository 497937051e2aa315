-- Subscriptions that wait for a figure between two of their own, and which
-- planner made what subscriptions wait on.

-- +goose Up
-- The upper constant where the trigger's range term has two sides, bound then
-- being the lower one; null where it has not.
ALTER TABLE subscription_anchors ADD COLUMN upper double precision;
CREATE INDEX subscription_anchors_between ON subscription_anchors (trigger, key, bound, upper) INCLUDE (subscription_id)
    WHERE upper IS NOT NULL;

-- Raised in predicate.Planner when a condition is looked up otherwise: anchors
-- of an older planner are made anew when Herald starts.
ALTER TABLE triggers ADD COLUMN planner integer NOT NULL DEFAULT 1;

-- +goose Down
ALTER TABLE triggers DROP COLUMN planner;
DROP INDEX subscription_anchors_between;
ALTER TABLE subscription_anchors DROP COLUMN upper;
