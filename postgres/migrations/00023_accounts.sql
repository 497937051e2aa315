-- What accounts sent, how their hardware stands, and a look at its line.

-- +goose Up
ALTER TABLE account_states
    ADD COLUMN failing_since timestamptz,              -- while the circuit is not closed
    ADD COLUMN setup         jsonb NOT NULL DEFAULT '{}', -- dispatch.AccountSetup
    ADD COLUMN device        jsonb;                    -- dispatch.DeviceState; null: no hardware of ours, or not on this node

-- Parts that accounts sent in a day of the company's time zone, added up from minutes.
CREATE TABLE account_days (
    day     date NOT NULL,
    account text COLLATE "C" NOT NULL,
    parts   bigint NOT NULL,
    PRIMARY KEY (day, account)
);
CREATE INDEX minutes_parts ON minutes (account) WHERE NOT merged AND outcome = 'parts';

-- Who looked at an account's line and when, which stays, and what was seen, which does not.
CREATE TABLE account_traces (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account  text COLLATE "C" NOT NULL,
    asked_by text NOT NULL,                            -- "operator:ann"
    asked_at timestamptz NOT NULL,
    until    timestamptz NOT NULL,                     -- the node that has the hardware watches until then
    lines    jsonb                                     -- dispatch.TraceLine; null: nothing yet, or erased
);
CREATE INDEX account_traces_account ON account_traces (account, id);
CREATE INDEX account_traces_lines ON account_traces (until) WHERE lines IS NOT NULL;
