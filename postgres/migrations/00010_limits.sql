-- What accounts, recipient domains, operator prefixes and campaigns may use, shared by all nodes.

-- +goose Up
-- One row for each thing that is limited: "account:main", "domain:main:gmail.com", "campaign:42",
-- and one for each day of a daily quota: "warmup:main@2026-03-01". No index but the key's, so that an
-- update stays on its page; the sweep reads the whole table, and means to.
CREATE TABLE limit_slots (
    key     text COLLATE "C" PRIMARY KEY,            -- the order in which rows are locked
    free_at timestamptz NOT NULL,                    -- the theoretical arrival time; of a quota: the end of its day
    used    bigint NOT NULL DEFAULT 0                -- of a day's quota
) WITH (fillfactor = 50);

-- reserve_slots gives the messages of a slice their moments; limits.Rates calls it and says what it means.
-- Times inside are seconds from now. Messages with the same keys and units form a class and go in their order.
-- +goose StatementBegin
CREATE FUNCTION reserve_slots(
    keys           text[],                           -- distinct, in the order of their bytes
    steps          double precision[],               -- a key's seconds between two units; 0: it is a quota
    bursts         integer[],                        -- units that may go at once
    maxima         bigint[],                         -- a quota's units in its day
    opens          timestamptz[],                    -- when a quota's day begins
    closes         timestamptz[],                    -- when it ends
    class_ends     integer[],                        -- where each class's keys end in the next two
    class_keys     integer[],                        -- places in keys, the widest first
    class_units    integer[],
    message_class  integer[],
    message_next   integer[],                        -- the next message of the same class; 0: none
    horizon        double precision,                 -- moments that are further away are not reserved
    gap            double precision,                 -- the longest that a wider key may be left unused
    far            double precision,                 -- what was ever reserved begins no further away
    OUT reserved   boolean[],
    OUT after      double precision[],
    OUT clock      timestamptz                       -- what after counts from
) LANGUAGE plpgsql AS $$
DECLARE
    found    timestamptz[];                          -- by key, as are the next four
    due     double precision[];
    spent     bigint[];
    starts   double precision[];
    touched  boolean[];
    head     integer[];                              -- by class: the first message that waits; 0: none; -1: no more of it
    again    double precision[];                     -- by class: when its next message could go
    pace     double precision[];                     -- by class: the step of the key that holds it back
    wake     double precision[];                     -- by class: reached must come to this before one that waits is tried
    ripe     double precision := 'infinity';         -- the least wake of the classes that wait, and its class
    ripe_in  integer;
    reached  double precision := 0;                  -- where the widest key's next moment is
    following integer := 1;
    inserted bigint;
    c integer; m integer; i integer; n integer; p integer; u integer;
    t double precision; at double precision; room double precision; busy double precision; until double precision;
    rates_only boolean; leaves_gap boolean;
BEGIN
    -- Wait here, at the first: the next statement then sees the rows as those before left them, and need not
    -- follow each from version to version.
    PERFORM FROM limit_slots s WHERE s.key = keys[1] FOR UPDATE;
    LOOP
        SELECT array_agg(l.free_at), array_agg(l.used) INTO found, spent
        FROM (SELECT s.free_at, s.used FROM limit_slots s WHERE s.key = ANY (keys) ORDER BY s.key FOR UPDATE) l;
        n := coalesce(cardinality(found), 0);
        EXIT WHEN n = cardinality(keys);
        INSERT INTO limit_slots (key, free_at)
        SELECT k, 'epoch' FROM unnest(keys) k ORDER BY k COLLATE "C"
        ON CONFLICT (key) DO NOTHING;
        GET DIAGNOSTICS inserted = ROW_COUNT;
        IF n + inserted < cardinality(keys) THEN
            -- Another made some of them. To lock those now could be out of order.
            RAISE serialization_failure USING MESSAGE = 'another reservation made the same keys';
        END IF;
    END LOOP;
    clock := clock_timestamp();                      -- not before the rows are ours
    SELECT array_agg(CASE WHEN steps[k] > 0
                          THEN least(extract(epoch FROM f - clock)::double precision, far + (bursts[k] + 255) * steps[k])
                          ELSE extract(epoch FROM closes[k] - clock)::double precision END ORDER BY k),
           array_agg(CASE WHEN steps[k] > 0 THEN 0 ELSE extract(epoch FROM opens[k] - clock)::double precision END ORDER BY k),
           array_agg(false),
           bool_and(steps[k] > 0)
    INTO due, starts, touched, rates_only
    FROM unnest(found) WITH ORDINALITY AS x(f, k);
    IF rates_only THEN                               -- a crash may forget their last moments, not a quota's count
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    n := cardinality(message_class);
    reserved := array_fill(false, ARRAY[n]);
    after := array_fill(0::double precision, ARRAY[n]);
    head := array_fill(0, ARRAY[cardinality(class_ends)]);
    again := array_fill(0::double precision, ARRAY[cardinality(class_ends)]);
    pace := again;
    wake := again;
    LOOP
        -- The next in order, unless one that waits has become ripe.
        IF ripe <= reached THEN
            c := ripe_in;
            m := head[c];
        ELSIF following <= n THEN
            m := following;
            following := following + 1;
            c := message_class[m];
            CONTINUE WHEN head[c] <> 0;
        ELSIF reached < horizon THEN
            reached := horizon;                      -- a last try for all that wait
            CONTINUE;
        ELSE
            EXIT;
        END IF;

        t := 0;
        room := 'infinity';
        until := 'infinity';
        leaves_gap := false;
        FOR p IN coalesce(class_ends[c - 1], 0) + 1 .. class_ends[c] LOOP
            i := class_keys[p];
            u := class_units[p];
            IF steps[i] > 0 THEN
                at := due[i] - greatest(bursts[i] - u, 0) * steps[i];
                busy := due[i];
            ELSE
                at := CASE WHEN spent[i] + u > maxima[i] THEN due[i] ELSE starts[i] END;
                until := least(until, due[i]);
                busy := 'infinity';
            END IF;
            IF at > t THEN
                t := at;
                pace[c] := u * steps[i];
                leaves_gap := leaves_gap OR t > room + gap;
            END IF;
            room := least(room, greatest(busy, 0));
        END LOOP;
        again[c] := t;

        IF t > horizon OR t >= until THEN
            head[c] := -1;
        ELSIF leaves_gap THEN
            head[c] := m;
            wake[c] := greatest(t, reached + 1e-6);  -- not before another has moved the wider key on
        ELSE
            reserved[m] := true;
            after[m] := t;
            p := coalesce(class_ends[c - 1], 0) + 1;
            reached := greatest(reached, t + least(class_units[p] * steps[class_keys[p]], gap));
            FOR p IN coalesce(class_ends[c - 1], 0) + 1 .. class_ends[c] LOOP
                i := class_keys[p];
                touched[i] := true;
                IF steps[i] > 0 THEN
                    due[i] := greatest(due[i], t) + class_units[p] * steps[i];
                ELSE
                    spent[i] := spent[i] + class_units[p];
                END IF;
            END LOOP;
            CONTINUE WHEN head[c] = 0;
            m := message_next[m];
            head[c] := CASE WHEN m < following THEN m ELSE 0 END;
        END IF;
        ripe := 'infinity';
        FOR k IN 1 .. cardinality(head) LOOP
            IF head[k] > 0 AND wake[k] < ripe THEN
                ripe := wake[k];
                ripe_in := k;
            END IF;
        END LOOP;
    END LOOP;

    FOR m IN 1 .. n LOOP
        IF NOT reserved[m] THEN
            c := message_class[m];
            -- So early that the question arrives in time.
            after[m] := CASE WHEN pace[c] > 0 THEN greatest(again[c] - gap, 0) ELSE again[c] END;
            again[c] := again[c] + pace[c];
        END IF;
    END LOOP;
    UPDATE limit_slots l
    SET free_at = clock + make_interval(secs => ceil(x.due * 1e6) / 1e6), used = x.spent
    FROM unnest(keys, due, spent, touched) AS x(key, due, spent, touched)
    WHERE l.key = x.key AND x.touched;
END
$$;
-- +goose StatementEnd

-- Who has how many connections of an account that has a maximum.
CREATE TABLE shared_accounts (
    account text COLLATE "C" PRIMARY KEY             -- locked by whoever divides it
);
CREATE TABLE account_shares (
    account text COLLATE "C" NOT NULL,
    node    text NOT NULL,                           -- nodes.name
    wanted  integer NOT NULL,
    granted integer NOT NULL,
    held    integer NOT NULL,                        -- what the others must count: what it was granted or has not yet closed
    PRIMARY KEY (account, node)
);
CREATE INDEX account_shares_node ON account_shares (node);
