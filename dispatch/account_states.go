package dispatch

import (
	"context"
	"encoding/json"
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
	Circuit     string     `json:"circuit"`
	Failure     string     `json:"failure,omitempty"`      // the last one's class and code, while the circuit is not closed
	NextTry     *time.Time `json:"next_try,omitempty"`     // while the circuit is open
	PausedUntil *time.Time `json:"paused_until,omitempty"` // by the provider
	// FailingSince is since when it does not work, while the circuit is not closed.
	FailingSince *time.Time `json:"failing_since,omitempty"`
	// Volume is what it sent, in parts; nil: its provider does not count them.
	Volume *Volume      `json:"volume,omitempty"`
	Setup  AccountSetup `json:"setup"`
	// Device is how its hardware stands, as the node tells that has it; nil:
	// it is a provider's, or not known.
	Device *DeviceState `json:"device,omitempty"`
	Nodes  []NodeShare  `json:"nodes" nullable:"false"`
}

// NodeShare is a node's part of an account.
type NodeShare struct {
	Node     string `json:"node"`
	Sessions int    `json:"sessions"`
	Share    int    `json:"share"` // the most that it may open now
}

const tellAccountSQL = `
INSERT INTO account_states AS s (node, account, channel, sessions, in_use, share, maximum, waiting, circuit, next_try, paused_until, failure, at, failing_since, setup, device)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, CASE WHEN $9::text <> 'closed' THEN $13::timestamptz END, $14, $15)
ON CONFLICT (node, account) DO UPDATE
SET channel = excluded.channel, sessions = excluded.sessions, in_use = excluded.in_use, share = excluded.share,
    maximum = excluded.maximum, waiting = excluded.waiting, circuit = excluded.circuit, next_try = excluded.next_try,
    paused_until = excluded.paused_until, failure = excluded.failure, at = excluded.at,
    failing_since = CASE WHEN excluded.circuit <> 'closed' THEN coalesce(s.failing_since, excluded.at) END,
    setup = excluded.setup, device = excluded.device`

// tellAccounts writes how this node's accounts stand, for the other nodes' pages.
func (b *Bookkeeper) tellAccounts(ctx context.Context) error {
	if b.cfg.Accounts == nil {
		return nil
	}
	b.hear(ctx)
	now := b.store.now()
	var batch pgx.Batch
	for i, a := range b.cfg.Accounts.Stats() {
		failure := ""
		if a.LastError != nil {
			e := asSendError(a.LastError)
			failure = storable(string(e.Class) + " " + e.Code)
		}
		batch.Queue(tellAccountSQL, b.cfg.Node, a.Name, a.Channel, a.Open, a.InUse, a.Limit, a.Max, a.WaitingUrgent+a.WaitingBulk,
			a.Circuit, future(a.NextTry, now), future(a.PausedUntil, now), failure, now,
			b.cfg.Accounts.list[i].setup(), b.heard[a.Name].state)
	}
	if err := b.store.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("tell how the accounts stand: %w", err)
	}
	return nil
}

// heard is what a node heard of its hardware last.
type heard struct {
	state *DeviceState
	at    time.Time
	able  bool // it could take messages
}

// hearEvery is how often hardware is asked how it stands, when nothing seems
// to have changed.
const hearEvery = 10 * time.Second

// devices is this node's hardware, by account.
func (b *Bookkeeper) devices() map[string]Device {
	if b.cfg.Accounts == nil {
		return nil
	}
	devices := map[string]Device{}
	for _, one := range b.cfg.Accounts.list {
		if device, is := one.Sender.(Device); is {
			devices[one.name] = device
		}
	}
	return devices
}

// hear asks the hardware how it stands, now and then and on a change. What
// cannot be known keeps what was heard last.
func (b *Bookkeeper) hear(ctx context.Context) {
	now := b.store.now()
	for _, one := range b.cfg.Accounts.list {
		device, is := one.Sender.(Device)
		last := b.heard[one.name]
		able := is && one.weight() > 0
		if !is || last.able == able && b.watches[one.name].id == 0 && now.Sub(last.at).Abs() < hearEvery {
			continue
		}
		state, err := device.DeviceState(ctx)
		if err != nil {
			b.cfg.Logger.WarnContext(ctx, "how an account's hardware stands is not known", "account", one.name, "error", err)
			continue
		}
		state.LastError = storable(state.LastError)
		b.heard[one.name] = heard{&state, now, able}
	}
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
       s.failing_since, s.setup, s.device,
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

		setup, device []byte
	)
	_, err = pgx.ForEachRow(rows, []any{
		&on.Name, &on.Channel, &node.Node, &node.Sessions, &on.InUse, &node.Share, &on.Maximum, &on.Waiting,
		&on.Circuit, &on.NextTry, &on.PausedUntil, &on.Failure, &on.FailingSince, &setup, &device, &on.SentLastMinute,
	}, func() error {
		on.Setup, on.Device = AccountSetup{}, nil
		if err := json.Unmarshal(setup, &on.Setup); err != nil {
			return err
		}
		if device != nil {
			if err := json.Unmarshal(device, &on.Device); err != nil {
				return err
			}
		}
		if len(list) == 0 || list[len(list)-1].Name != on.Name {
			list = append(list, AccountState{Name: on.Name, Channel: on.Channel, Circuit: "closed", SentLastMinute: on.SentLastMinute, Setup: on.Setup})
		}
		list[len(list)-1].add(on, node)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the accounts: %w", err)
	}
	return list, s.addVolumes(ctx, list)
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
	if on.FailingSince != nil && (a.FailingSince == nil || on.FailingSince.Before(*a.FailingSince)) {
		a.FailingSince = on.FailingSince
	}
	if on.Device.nearer(a.Device) {
		a.Device = on.Device
	}
	if on.PausedUntil != nil && (a.PausedUntil == nil || on.PausedUntil.After(*a.PausedUntil)) {
		a.PausedUntil = on.PausedUntil
	}
}
