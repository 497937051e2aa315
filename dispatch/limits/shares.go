package limits

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Claim is what one node says of one account.
type Claim struct {
	Max    int // connections that the account may have on all nodes; the same on each
	Wanted int // sessions this node could use now
	Open   int // sessions it has, those that are being opened or closed included
}

// Shares is this node's part of the connections of accounts that have a
// maximum. Use it from one goroutine: call Run, or Turn every second or two.
//
// Each account is divided among the living nodes as Divide does, those that
// hold most first, so that a single connection stays with its holder while it
// is wanted there. A node that must give back is counted with what it had
// until it has learnt of it and says that its sessions are closed: so the sum
// never exceeds the maximum. A node that is silent in the table nodes for the
// agreed time is counted no more, and must have closed its sessions by then.
type Shares struct {
	node   string
	silent time.Duration
	now    func() time.Time
	logger *slog.Logger
	turn   func(ctx context.Context, claims map[string]Claim) (grants map[string]int, age time.Duration, err error)

	granted map[string]int // what the node believes it may have
	until   time.Time      // when the others may hold it for dead, unless it turns again
}

// ErrNotAlive is wrapped when the node has not beaten lately, so that the
// others hold it for dead: it may have no session.
var ErrNotAlive = errors.New("this node has no beat")

// closeWithin is what Run leaves a node that is held for dead soon to close
// its sessions.
const closeWithin = 3 * time.Second

// NewShares makes the shares of the node called so in the table nodes, which
// is dead to the others when it was silent for so long.
func NewShares(pool *pgxpool.Pool, node string, silent time.Duration, now func() time.Time, logger *slog.Logger) *Shares {
	s := &Shares{node: node, silent: silent, now: now, logger: logger, granted: map[string]int{}}
	s.turn = func(ctx context.Context, claims map[string]Claim) (grants map[string]int, age time.Duration, err error) {
		err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			grants, age, err = s.turnTx(ctx, tx, claims)
			return err
		})
		return grants, age, err
	}
	return s
}

// Turn reports the node's claims and tells how many sessions of each account
// it may have from now on. Fewer than are open: close what is idle first, and
// open none. An account that is not claimed is given back: have no session of
// it open. After an error what was granted before still holds, until Run says
// otherwise; ErrNotAlive takes it away.
func (s *Shares) Turn(ctx context.Context, claims map[string]Claim) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.silent/3)
	defer cancel()
	began := s.now()
	granted, age, err := s.turn(ctx, claims)
	if errors.Is(err, ErrNotAlive) {
		clear(s.granted)
	}
	if err != nil {
		return nil, fmt.Errorf("turn shares: %w", err)
	}
	s.granted = granted
	s.until = began.Add(s.silent - age)
	return maps.Clone(granted), nil
}

// Run turns at once and then every so often until ctx ends. Before each turn
// it asks for the claims, and after it gives what was granted. When no turn
// succeeds it gives nothing at all, three seconds before the others may hold
// the node for dead: by then every session must be closed. Both functions are
// called by the goroutine of Run; give must have stopped new sessions when it
// returns.
func (s *Shares) Run(ctx context.Context, every time.Duration, claims func() map[string]Claim, give func(granted map[string]int)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		lapse := max(0, s.until.Add(-closeWithin).Sub(s.now()))
		turning, cancel := ctx, context.CancelFunc(func() {})
		if len(s.granted) > 0 {
			turning, cancel = context.WithTimeout(ctx, lapse)
		}
		granted, err := s.Turn(turning, claims())
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			give(granted)
		default:
			s.logger.WarnContext(ctx, "node could not turn its shares", "node", s.node, "error", err)
			if len(s.granted) == 0 || !s.now().Before(s.until.Add(-closeWithin)) {
				clear(s.granted)
				give(nil)
			}
		}
		if !s.rest(ctx, tick.C) {
			return
		}
	}
}

// rest waits for the next turn, or less when what is granted lapses before it;
// it reports false when ctx ends.
func (s *Shares) rest(ctx context.Context, tick <-chan time.Time) bool {
	var lapsed <-chan time.Time
	if len(s.granted) > 0 {
		timer := time.NewTimer(max(0, s.until.Add(-closeWithin).Sub(s.now())))
		defer timer.Stop()
		lapsed = timer.C
	}
	select {
	case <-tick:
	case <-lapsed:
	case <-ctx.Done():
		return false
	}
	return true
}

const (
	// A node that stands still while it holds the accounts' rows loses them.
	boundSQL = `SELECT set_config('idle_in_transaction_session_timeout', $1::bigint::text, true)`

	nameAccountsSQL = `
INSERT INTO shared_accounts (account)
SELECT a FROM unnest($1::text[]) a ORDER BY a COLLATE "C"
ON CONFLICT (account) DO NOTHING`

	// Whoever divides an account holds its row until the end, all in one order.
	lockAccountsSQL = `
SELECT account FROM shared_accounts WHERE account = ANY ($1) ORDER BY account FOR UPDATE`

	giveBackSQL = `DELETE FROM account_shares WHERE node = $1 AND account <> ALL ($2)`

	buryDeadSQL = `
DELETE FROM account_shares s
WHERE account = ANY ($1)
  AND NOT EXISTS (
      SELECT FROM nodes n WHERE n.name = s.node AND n.beat_at > clock_timestamp() - $2::interval)`

	beatAgeSQL = `
SELECT extract(epoch FROM clock_timestamp() - beat_at)::double precision FROM nodes WHERE name = $1`

	sharesSQL = `SELECT account, node, wanted, held FROM account_shares WHERE account = ANY ($1)`

	writeSharesSQL = `
INSERT INTO account_shares (account, node, wanted, granted, held)
SELECT account, $1, wanted, granted, held
FROM unnest($2::text[], $3::integer[], $4::integer[], $5::integer[]) AS x(account, wanted, granted, held)
ON CONFLICT (account, node) DO UPDATE
SET wanted = excluded.wanted, granted = excluded.granted, held = excluded.held`
)

// turnTx is one turn, and how long ago the node had last beaten. What others
// commit is read after the accounts are locked, each statement by itself.
func (s *Shares) turnTx(ctx context.Context, tx pgx.Tx, claims map[string]Claim) (map[string]int, time.Duration, error) {
	accounts := slices.AppendSeq([]string{}, maps.Keys(claims)) // never NULL
	slices.Sort(accounts)
	var age float64
	others := map[string][]share{}
	batch := &pgx.Batch{}
	batch.Queue(boundSQL, s.silent.Milliseconds()/3)
	batch.Queue(nameAccountsSQL, accounts)
	batch.Queue(lockAccountsSQL, accounts)
	batch.Queue(giveBackSQL, s.node, accounts)
	batch.Queue(buryDeadSQL, accounts, s.silent)
	batch.Queue(beatAgeSQL, s.node).QueryRow(func(row pgx.Row) error { return row.Scan(&age) })
	batch.Queue(sharesSQL, accounts).Query(func(rows pgx.Rows) error {
		var account string
		var one share
		_, err := pgx.ForEachRow(rows, []any{&account, &one.node, &one.wanted, &one.held}, func() error {
			if one.node != s.node {
				others[account] = append(others[account], one)
			}
			return nil
		})
		return err
	})
	err := tx.SendBatch(ctx, batch).Close()
	aged := time.Duration(age * float64(time.Second))
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && aged >= s.silent:
		return nil, 0, ErrNotAlive
	case err != nil:
		return nil, 0, err
	}
	granted := map[string]int{}
	var wanted, grants, held []int
	for _, account := range accounts {
		c := claims[account]
		me := share{node: s.node, wanted: max(0, c.Wanted), held: max(c.Open, s.granted[account])}
		granted[account] = grant(c.Max, me, others[account])
		wanted = append(wanted, me.wanted)
		grants = append(grants, granted[account])
		held = append(held, max(granted[account], me.held))
	}
	_, err = tx.Exec(ctx, writeSharesSQL, s.node, accounts, wanted, grants, held)
	return granted, aged, err
}

// share is one node's part of an account.
type share struct {
	node   string
	wanted int
	held   int
}

// grant is what a node may have of total: its fair share, and while every other
// has what it wants an equal part of the rest, so that what comes next need
// not wait for a turn; as far as the others have left it.
func grant(total int, me share, others []share) int {
	all := append(slices.Clone(others), me)
	slices.SortFunc(all, func(a, b share) int {
		return cmp.Or(cmp.Compare(b.held, a.held), cmp.Compare(a.node, b.node))
	})
	wants := make([]int, len(all))
	left := total + me.held
	for i, one := range all {
		wants[i] = one.wanted
		left -= one.held
	}
	divided := Divide(total, wants)
	mine := divided[slices.Index(all, me)]
	if !slices.ContainsFunc(others, func(one share) bool { return one.wanted > one.held }) {
		rest := total
		for _, part := range divided {
			rest -= part
		}
		mine += rest / len(all)
	}
	return max(0, min(left, mine))
}
