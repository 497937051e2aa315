package access

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/problem"
)

// How sign-ins are slowed down.
const (
	freeTries        = 5  // failures of a subject before it waits
	freeAddressTries = 30 // of a network address, which many people may share
	// freeAccountTries is of an account from all networks together: many more
	// than one network is let make, so that nobody locks the owner out alone,
	// and no more than NIST SP 800-63B, section 5.2.2, allows in a row.
	freeAccountTries = 100
	firstWait        = time.Second
	longestWait      = 15 * time.Minute
	// forgottenAfter is how long after its last failure a subject starts afresh.
	forgottenAfter = 24 * time.Hour
	// forgottenAtOnce is how many old subjects each failure clears away: more
	// than it can add, so that guesses at made-up names do not pile up.
	forgottenAtOnce = 10
)

// How subjects begin that have more free tries than others.
const (
	addressSubject = "address:"    // the network address a try came from
	accountSubject = "everywhere:" // an account, wherever it is tried from
)

// Throttle slows down guessing. It counts the failures of subjects: names such
// as "member:wei" or "address:203.0.113.7". After five failures a subject
// waits a second before its next try, then two, four, and so on up to 15
// minutes; after a day without one it starts afresh. Addresses have 30 free
// tries, and those of IPv6 count by their /64, which is what one customer has.
//
// SignIn and SignedIn are for sign-ins: an account is counted for each network
// that tries it, so that who guesses waits and its owner, elsewhere, does not.
// Try counts a try as failed before the password is looked at, so that tries
// made at the same moment cannot share one chance.
type Throttle struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewThrottle counts in the database that pool leads to.
func NewThrottle(pool *pgxpool.Pool, now func() time.Time) *Throttle {
	return &Throttle{pool: pool, now: now}
}

// Check says whether all subjects may try now. It is Throttled, with After,
// when one has to wait.
func (t *Throttle) Check(ctx context.Context, subjects ...string) error {
	rows, err := t.pool.Query(ctx, `
		SELECT subject, failures, last_at FROM sign_in_failures WHERE subject = ANY($1)`,
		normalise(subjects))
	if err != nil {
		return fmt.Errorf("check sign-in failures: %w", err)
	}
	return t.decide(rows)
}

// Fail counts a failure of each subject.
func (t *Throttle) Fail(ctx context.Context, subjects ...string) error {
	now := t.now()
	// The order keeps two failures at once from waiting for each other.
	_, err := t.pool.Exec(ctx, `
		INSERT INTO sign_in_failures AS known (subject, failures, last_at)
		SELECT subject, 1, $2 FROM unnest($1::text[]) AS subject ORDER BY subject
		ON CONFLICT (subject) DO UPDATE
		SET failures = CASE WHEN known.last_at <= $3 THEN 1 ELSE known.failures + 1 END,
		    last_at = excluded.last_at`,
		normalise(subjects), now, now.Add(-forgottenAfter))
	if err != nil {
		return fmt.Errorf("count a sign-in failure: %w", err)
	}
	return t.forget(ctx, now)
}

// Try is Check and Fail in one step that nothing can come between. A try that
// then succeeds is taken back by Clear or Forgive. One that has to wait is
// not counted.
func (t *Throttle) Try(ctx context.Context, subjects ...string) error {
	now, subjects := t.now(), normalise(subjects)
	err := pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		// This locks each row, and makes the missing ones.
		rows, err := tx.Query(ctx, `
			INSERT INTO sign_in_failures AS known (subject, failures, last_at)
			SELECT subject, 0, $2 FROM unnest($1::text[]) AS subject ORDER BY subject
			ON CONFLICT (subject) DO UPDATE SET failures = known.failures
			RETURNING subject, failures, last_at`,
			subjects, now)
		if err != nil {
			return fmt.Errorf("count a sign-in: %w", err)
		}
		if err := t.decide(rows); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			UPDATE sign_in_failures
			SET failures = CASE WHEN last_at <= $3 THEN 1 ELSE failures + 1 END, last_at = $2
			WHERE subject = ANY($1)`,
			subjects, now, now.Add(-forgottenAfter))
		if err != nil {
			return fmt.Errorf("count a sign-in: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.forget(ctx, now)
}

// SignIn is Try for an account, such as "member:wei", from a network address:
// of the two together, of the address, and of the account from everywhere.
func (t *Throttle) SignIn(ctx context.Context, account, remote string) error {
	return t.Try(ctx, accountFrom(account, remote), accountSubject+account, addressSubject+remote)
}

// SignedIn takes back a SignIn that succeeded. The address keeps its earlier
// failures: who has one account could go on guessing at all others.
func (t *Throttle) SignedIn(ctx context.Context, account, remote string) error {
	if err := t.Clear(ctx, accountFrom(account, remote), accountSubject+account); err != nil {
		return err
	}
	return t.Forgive(ctx, addressSubject+remote)
}

// Pardon forgets the failures of an account from every network.
func (t *Throttle) Pardon(ctx context.Context, account string) error {
	_, err := t.pool.Exec(ctx, `
		DELETE FROM sign_in_failures WHERE subject IN (
			SELECT subject FROM sign_in_failures WHERE subject = $1 OR starts_with(subject, $2)
			ORDER BY subject FOR UPDATE)`,
		accountSubject+account, accountFrom(account, ""))
	if err != nil {
		return fmt.Errorf("clear sign-in failures: %w", err)
	}
	return nil
}

// accountFrom is the subject of an account tried from a network. The network
// stands last: no made-up account can spell that of another network.
func accountFrom(account, remote string) string { return account + " from " + Network(remote) }

// inOrder locks the rows of subjects as Try and Fail do, so that two sign-ins
// at once wait for each other and never in a circle.
const inOrder = `SELECT subject FROM sign_in_failures WHERE subject = ANY($1) ORDER BY subject FOR UPDATE`

// Clear forgets all failures of the subjects. Do not clear an address: who has
// one account could go on guessing at all others.
func (t *Throttle) Clear(ctx context.Context, subjects ...string) error {
	_, err := t.pool.Exec(ctx, `
		DELETE FROM sign_in_failures WHERE subject IN (`+inOrder+`)`, normalise(subjects))
	if err != nil {
		return fmt.Errorf("clear sign-in failures: %w", err)
	}
	return nil
}

// Forgive takes one failure of each subject back: that of a Try that succeeded.
func (t *Throttle) Forgive(ctx context.Context, subjects ...string) error {
	_, err := t.pool.Exec(ctx, `
		UPDATE sign_in_failures SET failures = failures - 1
		WHERE subject IN (`+inOrder+`) AND failures > 0`,
		normalise(subjects))
	if err != nil {
		return fmt.Errorf("take back a sign-in failure: %w", err)
	}
	return nil
}

// decide reads (subject, failures, last_at) rows and is Throttled for the
// longest wait among them.
func (t *Throttle) decide(rows pgx.Rows) error {
	var (
		subject  string
		failures int
		last     time.Time
		after    time.Duration
	)
	now := t.now()
	_, err := pgx.ForEachRow(rows, []any{&subject, &failures, &last}, func() error {
		after = max(after, remaining(subject, failures, now.Sub(last)))
		return nil
	})
	if err != nil {
		return fmt.Errorf("read sign-in failures: %w", err)
	}
	if after <= 0 {
		return nil
	}
	return &problem.Error{Code: problem.Throttled, Message: "too many wrong tries: wait before the next", After: after}
}

// remaining is how long a subject still waits, some time after its last failure.
func remaining(subject string, failures int, since time.Duration) time.Duration {
	free := freeTries
	switch {
	case strings.HasPrefix(subject, addressSubject):
		free = freeAddressTries
	case strings.HasPrefix(subject, accountSubject):
		free = freeAccountTries
	}
	if failures < free || since >= forgottenAfter {
		return 0
	}
	wait := longestWait
	if doublings := failures - free; doublings < 10 { // 2^10 s is above longestWait
		wait = min(wait, firstWait<<doublings)
	}
	// Another node's clock may be ahead: since is negative then.
	return min(wait, wait-since)
}

// forget clears some subjects away that have not failed for a day.
func (t *Throttle) forget(ctx context.Context, now time.Time) error {
	_, err := t.pool.Exec(ctx, `
		DELETE FROM sign_in_failures
		WHERE subject IN (
			SELECT subject FROM sign_in_failures WHERE last_at <= $1
			ORDER BY last_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
		now.Add(-forgottenAfter), forgottenAtOnce)
	if err != nil {
		return fmt.Errorf("forget old sign-in failures: %w", err)
	}
	return nil
}

// normalise writes subjects as they are stored, each once.
func normalise(subjects []string) []string {
	stored := make([]string, len(subjects))
	for i, subject := range subjects {
		if address, ok := strings.CutPrefix(subject, addressSubject); ok {
			subject = addressSubject + Network(address)
		}
		// PostgreSQL's text holds neither; it must not fail on made-up names.
		stored[i] = strings.ToValidUTF8(strings.ReplaceAll(subject, "\x00", "\uFFFD"), "\uFFFD")
	}
	slices.Sort(stored)
	return slices.Compact(stored)
}

// Network is what a network address counts as where tries are limited: itself,
// or the /64 of an IPv6 one. A port is left out; what is no address stays as it is.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		withPort, err := netip.ParseAddrPort(address)
		if err != nil {
			return address
		}
		ip = withPort.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
