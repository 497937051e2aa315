-- What members write back.

-- +goose Up
-- A notification that answers what somebody wrote goes to their address even
-- when that is stopped.
ALTER TABLE notifications ADD COLUMN answers boolean NOT NULL DEFAULT false;

CREATE TABLE replies (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account     text NOT NULL,                       -- that it came to
    channel     text NOT NULL,
    address     text NOT NULL,                       -- who wrote: as contact points have it
    sent_to     text NOT NULL,                       -- our number; may be empty
    text        text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('stop', 'start', 'help', 'message')),
    done        text NOT NULL,                       -- replies.Done
    answer      text NOT NULL,                       -- replies.Answer
    inbox       boolean NOT NULL,                    -- somebody should read it
    member_id   bigint REFERENCES members ON DELETE CASCADE, -- who probably wrote; null: nobody we know
    delivery_id uuid,                                -- deliveries.id that it probably answers
    sent_at     timestamptz NOT NULL,
    taken_at    timestamptz NOT NULL,
    read_at     timestamptz,
    read_by     text NOT NULL DEFAULT ''
);
CREATE INDEX replies_inbox ON replies (id DESC) WHERE inbox;
CREATE INDEX replies_unread ON replies (id DESC) WHERE inbox AND read_at IS NULL;
CREATE INDEX replies_address ON replies (address, id DESC);
CREATE INDEX replies_member ON replies (member_id);
CREATE INDEX replies_taken ON replies (taken_at);

-- Everybody whose number it is: it shows in the record of each.
CREATE TABLE reply_members (
    member_id bigint NOT NULL REFERENCES members ON DELETE CASCADE,
    reply_id  bigint NOT NULL REFERENCES replies ON DELETE CASCADE,
    PRIMARY KEY (member_id, reply_id)
);
CREATE INDEX reply_members_reply ON reply_members (reply_id);

-- What was taken already, for a while: it tells no more of a message than that.
CREATE TABLE inbound_taken (
    account  text NOT NULL,
    key      text NOT NULL,                          -- a hash
    taken_at timestamptz NOT NULL,
    PRIMARY KEY (account, key)
);
CREATE INDEX inbound_taken_at ON inbound_taken (taken_at);

-- When a word from an address was last answered.
CREATE TABLE reply_answers (
    channel     text NOT NULL,
    address     text NOT NULL,
    kind        text NOT NULL,
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (channel, address, kind)
);
CREATE INDEX reply_answers_at ON reply_answers (answered_at);
