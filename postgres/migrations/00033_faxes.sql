-- Faxes: one row for each job that a fax server was given, written before it is
-- submitted, so that a submission nobody answered can be looked for. A delivery
-- whose first job got only some pages through has further ones for the others.
-- What they say goes with the member, or the delivery.

-- +goose Up
CREATE TABLE faxes (
    info         text COLLATE "C" PRIMARY KEY,       -- our id of the job, which the server keeps with it
    delivery_id  uuid NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    member_id    bigint NOT NULL REFERENCES members ON DELETE CASCADE,
    attempt      integer NOT NULL,                   -- at the delivery, as dispatch counts
    account      text COLLATE "C" NOT NULL,
    further      smallint NOT NULL DEFAULT 0,        -- jobs of this attempt before this one
    job          text NOT NULL DEFAULT '',           -- the server's id; empty while it is not known
    first_page   smallint NOT NULL,                  -- of the fax, that this job begins with
    pages        smallint NOT NULL,                  -- of the whole fax
    state        text NOT NULL CHECK (state IN ('waiting', 'submitting', 'open', 'ended')),
    outcome      text NOT NULL DEFAULT '',           -- fax.Outcome, once it has ended
    sent         smallint NOT NULL DEFAULT 0,        -- pages of this job that were confirmed
    dials        smallint NOT NULL DEFAULT 0,
    tries        smallint NOT NULL DEFAULT 0,        -- calls that were answered
    vain         smallint NOT NULL DEFAULT 0,        -- dials that a person may have answered
    dials_before smallint NOT NULL DEFAULT 0,        -- of the attempt's jobs before
    code         integer NOT NULL DEFAULT 0,         -- the server's, of why the last try failed; 0: none
    text         text NOT NULL DEFAULT '',           -- the server's words for it
    source       jsonb,                              -- pages.Fax: for further jobs; null once it is not kept any more
    document     bytea,                              -- the whole fax as PDF; null in further jobs, and once it is not kept any more
    expires_at   timestamptz NOT NULL,               -- not sent after this
    begun_at     timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,               -- when a waiting one is to be submitted
    submitted_at timestamptz,                        -- when it was last given to the server
    sent_at      timestamptz,                        -- when the last page was seen to be confirmed
    ended_at     timestamptz,
    told         boolean NOT NULL DEFAULT false      -- what came of it was reported, or there is nothing to report
);
CREATE INDEX faxes_delivery ON faxes (delivery_id, begun_at);
CREATE INDEX faxes_member ON faxes (member_id);
CREATE INDEX faxes_untold ON faxes (account, begun_at) WHERE NOT told;
CREATE INDEX faxes_kept ON faxes (begun_at) WHERE document IS NOT NULL OR source IS NOT NULL;
-- A delivery has one job at a time on an account.
CREATE UNIQUE INDEX faxes_under_way ON faxes (delivery_id, account) WHERE state <> 'ended';
