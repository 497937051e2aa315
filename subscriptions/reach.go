package subscriptions

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Refusal is why a member may not be contacted on a channel; "" when they may.
type Refusal string

// The refusals. A suppressed address gives "suppressed_" and the reason of its
// Suppression, such as "suppressed_bounced".
const (
	NoAddress   Refusal = "no_address"   // no contact point on the channel
	NoConsent   Refusal = "no_consent"   // refused, or never agreed to this purpose
	NotVerified Refusal = "not_verified" // nobody has shown that the address is theirs
	AddressDead Refusal = "address_dead" // the provider says that there is no such address
)

// suppressedFor is the refusal of a suppressed address.
func suppressedFor(reason string) Refusal { return Refusal("suppressed_" + reason) }

// Reach is what must be known to contact a member: who they are, where they
// can be reached and what they agreed to.
type Reach struct {
	Member       Member
	Contacts     []ContactPoint // in the order they were added
	Consents     []Consent
	Suppressions []Suppression // of the contact points' addresses
}

// Choose names the contact point to use on a channel for a purpose, or says
// why there is none.
//
// Transactional messages are allowed unless the member refused them, service
// and marketing only when granted. Of the channel's contact points the first
// that can be used is taken. One that cannot work (dead, bounced, not yet
// verified) gives way to the next; one whose owner asked for silence does not,
// because going round that wish by another address would be a trick. Being
// unsubscribed silences service and marketing, every other suppression all.
// When none can be used the refusal is that wish, or else that of the first;
// the contact point returned with it is the one it is about, zero for NoAddress.
func (r Reach) Choose(ch Channel, p Purpose) (ContactPoint, Refusal) {
	var refused ContactPoint
	refusal := NoAddress
	for _, c := range r.Contacts {
		if c.Channel != ch {
			continue
		}
		if !r.Agreed(ch, p) {
			return c, NoConsent
		}
		why, final := r.obstacle(c, p)
		if why == "" {
			return c, ""
		}
		if refusal == NoAddress || final {
			refused, refusal = c, why
		}
		if final {
			break
		}
	}
	return refused, refusal
}

// Agreed applies the rule of consent: opt-out for transactional, opt-in for the rest.
func (r Reach) Agreed(ch Channel, p Purpose) bool {
	for _, c := range r.Consents {
		if c.Channel == ch && c.Purpose == p {
			return c.Granted
		}
	}
	return p == Transactional
}

// obstacle is what keeps a contact point from being used, and whether that
// ends the search for another.
func (r Reach) obstacle(c ContactPoint, p Purpose) (why Refusal, final bool) {
	// First of all, because a wish counts only when its owner is the member.
	if c.VerifiedAt == nil {
		return NotVerified, false
	}
	if why := r.suppressed(c, p); why != "" {
		return why, why != suppressedFor(Bounced)
	}
	if c.Standing == Dead {
		return AddressDead, false
	}
	return "", false
}

// ChooseToConfirm is the contact point with an ID, for a confirmation code, or
// says why none may go there. A code needs neither verification nor consent,
// and it may go where mail came back before: that it arrives is how the owner
// shows that the address works now.
func (r Reach) ChooseToConfirm(ch Channel, id int64) (ContactPoint, Refusal) {
	return r.chooseOne(ch, id, Bounced)
}

// ChooseToAnswer is the contact point with an ID, for the answer to what was
// written from there, or says why none may go there. Who wrote shows by it that
// the address works and is theirs; and the word that stops an address, or that
// asks for help at one that is stopped, is answered like any other.
func (r Reach) ChooseToAnswer(ch Channel, id int64) (ContactPoint, Refusal) {
	return r.chooseOne(ch, id, Bounced, Stopped)
}

// chooseOne is the contact point with an ID, unless it is suppressed for
// another reason than those let pass.
func (r Reach) chooseOne(ch Channel, id int64, pass ...string) (ContactPoint, Refusal) {
	for _, c := range r.Contacts {
		if c.ID != id || c.Channel != ch {
			continue
		}
		why := r.suppressed(c, Transactional)
		if slices.ContainsFunc(pass, func(reason string) bool { return why == suppressedFor(reason) }) {
			return c, ""
		}
		return c, why
	}
	return ContactPoint{}, NoAddress
}

// suppressed is the refusal of a contact point whose address is suppressed for
// a purpose, and "" when it is not.
func (r Reach) suppressed(c ContactPoint, p Purpose) Refusal {
	key := suppressionKey(c.Channel, c.Address)
	for _, s := range r.Suppressions {
		if s.Channel == c.Channel && s.Address == key && s.blocks(p) {
			return suppressedFor(s.Reason)
		}
	}
	return ""
}

// blocks reports whether the suppression is meant for a purpose.
func (s Suppression) blocks(p Purpose) bool {
	return s.Reason != Unsubscribed || p != Transactional
}

// Reach is what must be known to contact each of the members, in one round
// trip whatever their number. A member who does not exist is not in it.
func (c *Consents) Reach(ctx context.Context, q Querier, memberIDs []int64) (map[int64]Reach, error) {
	reach := make(reaches, len(memberIDs))
	batch := &pgx.Batch{}
	batch.Queue(`SELECT `+memberColumns+` FROM members WHERE id = ANY($1)`, memberIDs).Query(reach.addMembers)
	batch.Queue(`SELECT `+contactColumns+` FROM contact_points WHERE member_id = ANY($1) ORDER BY id`, memberIDs).Query(reach.addContacts)
	batch.Queue(`SELECT member_id, channel, purpose, granted, changed_at FROM consents WHERE member_id = ANY($1)`, memberIDs).Query(reach.addConsents)
	// The collations make lower-casing that of ASCII whatever the database's
	// language, and the comparison one that the index serves; the limit makes
	// it look there instead of reading the whole list.
	batch.Queue(`
		SELECT c.member_id, s.*
		FROM contact_points c
		CROSS JOIN LATERAL (
			SELECT channel, address, reason, detail, created_at FROM suppressions
			WHERE channel = c.channel AND address = lower(c.address COLLATE "C") COLLATE "default"
			LIMIT 1) s
		WHERE c.member_id = ANY($1)`, memberIDs).Query(reach.addSuppressions)
	if err := q.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("how to reach %d members: %w", len(memberIDs), err)
	}
	return reach, nil
}

// reaches is a result while it is put together. Rows of members that are not
// in it, because they were registered a moment ago, are passed over.
type reaches map[int64]Reach

func (r reaches) addMembers(rows pgx.Rows) error {
	members, err := pgx.CollectRows(rows, scanMember)
	for _, m := range members {
		r[m.ID] = Reach{Member: m}
	}
	return err
}

func (r reaches) addContacts(rows pgx.Rows) error {
	contacts, err := pgx.CollectRows(rows, scanContact)
	for _, c := range contacts {
		r.amend(c.MemberID, func(m *Reach) { m.Contacts = append(m.Contacts, c) })
	}
	return err
}

func (r reaches) addConsents(rows pgx.Rows) error {
	var memberID int64
	var k Consent
	_, err := pgx.ForEachRow(rows, []any{&memberID, &k.Channel, &k.Purpose, &k.Granted, &k.ChangedAt}, func() error {
		k.ChangedAt = k.ChangedAt.UTC()
		r.amend(memberID, func(m *Reach) { m.Consents = append(m.Consents, k) })
		return nil
	})
	return err
}

func (r reaches) addSuppressions(rows pgx.Rows) error {
	var memberID int64
	var s Suppression
	_, err := pgx.ForEachRow(rows, []any{&memberID, &s.Channel, &s.Address, &s.Reason, &s.Detail, &s.CreatedAt}, func() error {
		s.CreatedAt = s.CreatedAt.UTC()
		r.amend(memberID, func(m *Reach) { m.Suppressions = append(m.Suppressions, s) })
		return nil
	})
	return err
}

func (r reaches) amend(memberID int64, change func(*Reach)) {
	if m, ok := r[memberID]; ok {
		change(&m)
		r[memberID] = m
	}
}
