-- The subscriptions that are not valid from their beginning and for good,
-- which loading an index asks for among all; see matcher/follower.

-- +goose Up
CREATE INDEX subscriptions_window ON subscriptions (id) WHERE valid_from > created_at OR valid_until IS NOT NULL;

-- +goose Down
DROP INDEX subscriptions_window;
