-- What a node's index of subscription_anchors is kept up to date by; see
-- matcher/follower.

-- +goose Up

-- A row says, in the transaction that changes them, that a subscription's
-- anchors or validity may be others now.
CREATE TABLE anchor_changes (
    seq             bigint GENERATED ALWAYS AS IDENTITY,
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),
    trigger         text NOT NULL,
    subscription_id bigint,                          -- null: every subscription of the trigger
    PRIMARY KEY (xid, seq)
);

-- Changes of transactions before this one have been deleted.
CREATE TABLE anchor_changes_pruned (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    before xid8 NOT NULL
);
INSERT INTO anchor_changes_pruned (before) VALUES ('0');

-- Which line of transactions this is. PostgreSQL empties an unlogged table
-- whenever it may have lost transactions (after a crash, on a standby that is
-- promoted, in a restored backup), and their ids may then be given out again.
CREATE UNLOGGED TABLE anchor_line (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id  uuid NOT NULL DEFAULT gen_random_uuid()
);

-- Anchors go with their subscription, and that with its member, by foreign
-- keys: the note of it is made by the database too.
-- +goose StatementBegin
CREATE FUNCTION note_gone_anchors() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO anchor_changes (trigger, subscription_id) VALUES (OLD.trigger, OLD.id);
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER subscriptions_gone AFTER DELETE ON subscriptions FOR EACH ROW EXECUTE FUNCTION note_gone_anchors();
