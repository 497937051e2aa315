package dispatch

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/dispatch/caps"
	"herald/dispatch/timing"
	"herald/subscriptions"
)

// plan is what is decided of a delivery before it is made: where it goes,
// whether, and when.
type plan struct {
	choice
	state  State // Pending, Deferred or Suppressed
	reason string
	due    time.Time // of one that waits
	gather bool      // it waits for a digest
	// steps say why it waits; they come after what the caps say.
	steps Decision
}

// reasonCapped is why a member hears nothing who has heard enough.
const reasonCapped = "frequency_cap"

// plan decides about n from a rung of its ladder on, and adds to n's decision
// why the channel was chosen.
func (s *Store) plan(n *Notification, from int, r subscriptions.Reach, at time.Time) plan {
	p := plan{choice: s.chooseFrom(n, from, r, at), state: Pending}
	switch {
	case p.refusal != "":
		p.state, p.reason = Suppressed, string(p.refusal)
	case n.ContactPoint == 0: // a code is waited for
		s.wait(&p, n, r.Member, at)
	}
	return p
}

// priorityUrgent is the priority that goes at any hour.
const priorityUrgent = 1

// wait makes p wait until its member wants to hear.
//
// Nobody is woken, not even for what will be too late in the morning: what
// quiet hours outlast is suppressed at once as "expired". A digest is a wish
// for fewer messages, though, and not for silence: what would expire before it
// goes alone. What is urgent goes at any hour, unless its member chose to have
// it in a digest.
func (s *Store) wait(p *plan, n *Notification, m subscriptions.Member, at time.Time) {
	w := timing.Wishes{Zone: s.zones.Of(m.TimeZone), Quiet: s.quietOf(m), Digest: n.Digest, Hour: m.DigestHour}
	if n.Priority == priorityUrgent {
		w.Quiet = timing.Quiet{}
	}
	next := w.Next(at)
	if next.Reason == timing.NextDigest {
		args := map[string]any{"kind": w.Digest, "due": next.At.UTC()}
		if next.At.Before(n.ExpiresAt) {
			p.state, p.reason, p.due, p.gather = Deferred, string(next.Reason), next.At, true
			p.steps = Decision{{At: at, Code: "digest", OK: true, Args: args}}
			return
		}
		p.steps = Decision{{At: at, Code: "digest_too_late", Args: args}}
		w.Digest = ""
		next = w.Next(at)
	}
	if next.Reason != timing.QuietHours {
		return
	}
	steps, tooLate := quietSteps(at, next.At, w.Quiet, n.ExpiresAt)
	p.steps = append(p.steps, steps...)
	p.state, p.reason, p.due = Deferred, string(next.Reason), next.At
	if tooLate {
		p.state, p.reason, p.due = Suppressed, reasonExpired, time.Time{}
	}
}

// gatherAgain lets what was gathered on the rung below go together on this
// one, too: with what climbs in the same minute.
func (p *plan) gatherAgain(at, expires time.Time) {
	due := p.due
	if due.IsZero() {
		due = at.Truncate(time.Minute).Add(time.Minute)
	}
	if p.state != Suppressed && due.Before(expires) {
		p.state, p.reason, p.due, p.gather = Deferred, string(timing.NextDigest), due, true
	}
}

// reasonExpired is why what would come too late does not go.
const reasonExpired = "expired"

// quietOf are a member's own quiet hours, or else the company's.
func (s *Store) quietOf(m subscriptions.Member) timing.Quiet {
	if m.QuietFrom == nil || m.QuietUntil == nil {
		return s.quiet
	}
	return timing.Quiet{From: int(*m.QuietFrom), Until: int(*m.QuietUntil)}
}

// quietSteps say that a message waits for the end of quiet hours, and whether
// that is too late for it.
func quietSteps(at, until time.Time, q timing.Quiet, expires time.Time) (steps Decision, tooLate bool) {
	steps = Decision{{At: at, Code: "quiet_hours", OK: true, Args: map[string]any{
		"until":      until.UTC(),
		"from_local": subscriptions.Clock(q.From).String(), "until_local": subscriptions.Clock(q.Until).String(),
	}}}
	if until.Before(expires) {
		return steps, false
	}
	return append(steps, Step{At: at, Code: "expired"}), true
}

// hushed decides about a delivery whose time has come, in hours that its
// member wants quiet by now: it stays with its job until their end. The
// verdict has no state when it is to be left as it stands: what is in doubt
// stays so.
func (r *run) hushed(t *task, m subscriptions.Member) (v verdict, quiet bool) {
	if t.Priority == priorityUrgent || t.Forced != 0 {
		return verdict{}, false
	}
	now, hours := r.store.now(), r.store.quietOf(m)
	until, quiet := timing.EndOfQuiet(now, r.store.zones.Of(m.TimeZone), hours)
	if !quiet {
		return verdict{}, false
	}
	steps, tooLate := quietSteps(now, until, hours, t.ExpiresAt)
	switch {
	case tooLate:
		v = stop(t, Suppressed, reasonExpired)
		v.steps = steps
	case t.doubtful():
		r.later(until.Sub(now))
	default:
		r.later(until.Sub(now))
		v = verdict{state: Deferred, reason: string(timing.QuietHours), wait: until.Sub(now), stays: true, steps: steps}
	}
	return v, true
}

// capTx suppresses those notifications that their members' caps forbid, and
// counts the others.
func (s *Store) capTx(ctx context.Context, tx pgx.Tx, at time.Time, ns []Notification, plans []plan) error {
	var wants []caps.Want
	var places []int
	for i := range ns {
		if n := &ns[i]; plans[i].state != Suppressed && n.ContactPoint == 0 {
			wants = append(wants, caps.Want{MemberID: n.MemberID, Purpose: n.Purpose, ID: n.ID})
			places = append(places, i)
		}
	}
	verdicts, err := s.caps.TakeTx(ctx, tx, at, wants)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		if v.Cap.Max == 0 {
			continue
		}
		n, p := &ns[places[i]], &plans[places[i]]
		step := Step{At: at, Code: "frequency_cap_passed", OK: v.OK, Args: map[string]any{
			"max": v.Cap.Max, "within": subscriptions.Duration(v.Cap.Within), "sent": v.Sent,
		}}
		if !v.OK {
			step.Code = reasonCapped
			*p = plan{choice: p.choice, state: Suppressed, reason: reasonCapped}
		}
		n.Decision = append(n.Decision, step)
	}
	return nil
}

// giveBackTx takes notifications that have ended out of the caps' counts, as
// far as nothing of them was ever handed over.
func (s *Store) giveBackTx(ctx context.Context, tx pgx.Tx, ended []*task) error {
	var wants []caps.Want
	for _, t := range ended {
		if t.Attempts == 0 && t.Rung == 0 && !t.doubtful() {
			wants = append(wants, caps.Want{MemberID: t.MemberID, Purpose: t.Purpose, ID: t.NotificationID})
		}
	}
	return s.caps.GiveBackTx(ctx, tx, wants)
}
