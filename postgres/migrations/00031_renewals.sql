-- When a member was offered to extend a subscription that ends soon.

-- +goose Up
ALTER TABLE subscriptions ADD COLUMN renewal_offered_at timestamptz; -- null: not yet for this valid_until
ALTER TABLE ended_subscriptions ADD COLUMN renewal_offered_at timestamptz;

-- What may still be offered, by its end.
CREATE INDEX subscriptions_renewals ON subscriptions (valid_until)
    WHERE valid_until IS NOT NULL AND renewal_offered_at IS NULL AND repeats = '';
