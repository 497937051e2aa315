-- The ledger is folded and checked, and operators decide about what is stuck.

-- +goose Up
-- By the account that was last tried, and by the reason: how operators look for them.
ALTER TABLE troubles ADD COLUMN account text NOT NULL DEFAULT '';
UPDATE troubles t SET account = d.account FROM deliveries d WHERE d.id = t.delivery_id AND d.account <> '';
CREATE INDEX troubles_reason ON troubles (state, reason, delivery_id DESC);
CREATE INDEX troubles_account ON troubles (state, account, delivery_id DESC);

-- What is still open is asked for all the time, and of all hours; a trigger's figures, too.
CREATE INDEX ledger_open ON ledger (state, hour) WHERE state IN ('pending', 'deferred', 'in_doubt');
CREATE INDEX ledger_trigger ON ledger (trigger, hour);
-- Rows come and go fast: they are cleared away by their number, not by their part of the table.
ALTER TABLE ledger_moves SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- Complete minutes are added up: one row for each channel, account and outcome.
ALTER TABLE minutes ADD COLUMN merged boolean NOT NULL DEFAULT false;
CREATE INDEX minutes_loose ON minutes (id) WHERE NOT merged;

-- Each time the ledger was held against the rows it counts.
CREATE TABLE ledger_checks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,                         -- "herald" on its schedule, "operator:ann", "key:shop"
    since       timestamptz NOT NULL,                  -- the first hour that was counted whole
    hours       integer NOT NULL,                      -- how many were counted
    counted     bigint NOT NULL,                       -- notifications in them
    took        interval NOT NULL,
    found       integer NOT NULL,                      -- differences; 0: it balances
    differences jsonb NOT NULL,                        -- the first of them
    repaired_by text NOT NULL DEFAULT '',
    repaired_at timestamptz
);

-- What an operator does with many deliveries at once.
CREATE TABLE bulk_actions (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verb       text NOT NULL CHECK (verb IN ('retry', 'discard', 'assume_sent')),
    filter     jsonb NOT NULL,                         -- dispatch.Search
    actor      text NOT NULL,
    state      text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'cancelled')),
    total      bigint NOT NULL,                        -- deliveries that the filter found at first
    done       bigint NOT NULL DEFAULT 0,
    refused    bigint NOT NULL DEFAULT 0,              -- had moved meanwhile, were in a worker's hands, or private
    before     uuid NOT NULL,                          -- the deliveries from this one on are dealt with
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);

-- How the accounts stand on each node, for the pages of all nodes.
CREATE TABLE account_states (
    node         text NOT NULL,                        -- nodes.name
    account      text NOT NULL,
    channel      text NOT NULL,
    sessions     integer NOT NULL,                     -- open now
    in_use       integer NOT NULL,
    share        integer NOT NULL,                     -- the node's part of the maximum
    maximum      integer NOT NULL,                     -- of all nodes together
    waiting      integer NOT NULL,                     -- slices that wait for a session
    circuit      text NOT NULL,                        -- pool.CircuitState
    next_try     timestamptz,                          -- while the circuit is open
    paused_until timestamptz,                          -- by the provider
    failure      text NOT NULL,                        -- the last one's class and code
    at           timestamptz NOT NULL,
    PRIMARY KEY (node, account)
);
