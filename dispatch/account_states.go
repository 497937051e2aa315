package dispatch

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/subscriptions"
)

// AccountState is how an account stands, on all nodes together.
type AccountState struct {
	Name     string                `json:"name"`
	Channel  subscriptions.Channel `json:"channel"`
	Sessions int                   `json:"sessions"` // open now
	InUse    int                   `json:"in_use"`
	Maximum  int                   `json:"maximum"` // at a time
	Waiting  int                   `json:"waiting"` // slices of messages that wait for a session
	// SentLastMinute is how many it took in the last whole minute.
	SentLastMinute int64 `json:"sent_last_minute"`
	// Circuit is closed (it works), open (it fails and is left alone) or
	// half_open (it is being tried); the worst of the nodes'.
	Circuit     string      `json:"circuit"`
	Failure     string      `json:"failure,omitempty"`      // the last one's class and code, while the circuit is not closed
	NextTry     *time.Time  `json:"next_try,omitempty"`     // while the circuit is open
	PausedUntil *time.Time  `json:"paused_until,omitempty"` // by the provider
	Nodes       []NodeShare `json:"nodes" nullable:"false"`
}

// NodeShare is a node's part of an account.
type NodeShare struct {
	Node     string `json:"node"`
	Sessions int    `json:"sessions"`
	Share    int    `json:"share"` // the most that it may open now
}

const tellAccountSQL = `
INSERT INTO account_states AS s (node, account, channel, sessions, in_use, share, maximum, waiting, circuit, next_try, paused_until, failure, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (node, account) DO UPDATE
SET channel = excluded.channel, sessions = excluded.sessions, in_use = excluded.in_use, share = excluded.share,
    maximum = excluded.maximum, waiting = excluded.waiting, circuit = excluded.circuit, next_try = excluded.next_try,
    paused_until = excluded.paused_until, failure = excluded.failure, at = excluded.at`

// tellAccounts writes how this node's accounts stand, for the other nodes' pages.
func (b *Bookkeeper) tellAccounts(ctx context.Context) error {
	if b.cfg.Accounts == nil {
		return nil
	}
	now := b.store.now()
	var batch pgx.Batch
	for _, a := range b.cfg.Accounts.Stats() {
		failure := ""
		if a.LastError != nil {
			e := asSendError(a.LastError)
			failure = storable(string(e.Class) + " " + e.Code)
		}
		batch.Queue(tellAccountSQL, b.cfg.Node, a.Name, a.Channel, a.Open, a.InUse, a.Limit, a.Max, a.WaitingUrgent+a.WaitingBulk,
			a.Circuit, future(a.NextTry, now), future(a.PausedUntil, now), failure, now)
	}
	if err := b.store.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("tell how the accounts stand: %w", err)
	}
	return nil
}

// future is an instant that is still to come, else nil.
func future(at, now time.Time) *time.Time {
	if !at.After(now) {
		return nil
	}
	return &at
}

// forgetAccounts is a node's last word: it has none any more.
func (b *Bookkeeper) forgetAccounts(ctx context.Context) {
	if b.cfg.Accounts == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Every)
	defer cancel()
	if _, err := b.store.pool.Exec(ctx, `DELETE FROM account_states WHERE node = $1`, b.cfg.Node); err != nil {
		b.cfg.Logger.WarnContext(ctx, "the node's accounts are still listed", "node", b.cfg.Node, "error", err)
	}
}

// accountsSQL reads what nodes that live told lately.
const accountsSQL = `
SELECT s.account, s.channel, s.node, s.sessions, s.in_use, s.share, s.maximum, s.waiting, s.circuit, s.next_try, s.paused_until, s.failure,
       coalesce((SELECT sum(m.n) FROM minutes m
                 WHERE m.minute = date_trunc('minute', $1::timestamptz) - interval '1 minute' AND m.account = s.account AND m.outcome = 'accepted'), 0)::bigint
FROM account_states s
JOIN nodes n ON n.name = s.node AND n.beat_at > now() - $2::interval
WHERE s.at > $1::timestamptz - interval '1 minute'
ORDER BY s.channel, s.account, s.node`

// Accounts are the accounts of all living nodes, by channel and name.
func (s *Store) Accounts(ctx context.Context) ([]AccountState, error) {
	rows, err := s.pool.Query(ctx, accountsSQL, s.now(), silentAfter)
	if err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	var (
		list []AccountState
		on   AccountState
		node NodeShare
	)
	_, err = pgx.ForEachRow(rows, []any{
		&on.Name, &on.Channel, &node.Node, &node.Sessions, &on.InUse, &node.Share, &on.Maximum, &on.Waiting,
		&on.Circuit, &on.NextTry, &on.PausedUntil, &on.Failure, &on.SentLastMinute,
	}, func() error {
		if len(list) == 0 || list[len(list)-1].Name != on.Name {
			list = append(list, AccountState{Name: on.Name, Channel: on.Channel, Circuit: "closed", SentLastMinute: on.SentLastMinute})
		}
		list[len(list)-1].add(on, node)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	return list, nil
}

// add counts what one node says.
func (a *AccountState) add(on AccountState, node NodeShare) {
	a.Sessions += node.Sessions
	a.InUse += on.InUse
	a.Waiting += on.Waiting
	a.Maximum = max(a.Maximum, on.Maximum)
	a.Nodes = append(a.Nodes, node)
	if on.Circuit != "closed" && a.Circuit != "open" {
		a.Circuit, a.Failure, a.NextTry = on.Circuit, on.Failure, on.NextTry
	}
	if on.PausedUntil != nil && (a.PausedUntil == nil || on.PausedUntil.After(*a.PausedUntil)) {
		a.PausedUntil = on.PausedUntil
	}
}
