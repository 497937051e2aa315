package subscriptions

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"herald/postgres/pgtest"
)

// These tests show that what changes the same rows takes them in one order.

// sharing are two members with the same address, and their contact points.
func (p *people) sharing(t *testing.T) (wei, an ContactPoint) {
	t.Helper()
	var points []ContactPoint
	for _, account := range []string{"wei", "ann"} {
		m := p.register(t, Registration{Account: account, Contacts: []NewContact{{Channel: Email, Address: "us@example.com"}}})
		of, err := p.contacts.ForMember(t.Context(), m.ID)
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, of...)
	}
	return points[0], points[1]
}

// dies is a step that learns that there is no such address.
func (p *people) dies(t *testing.T, c ContactPoint) func(pgx.Tx) error {
	return func(tx pgx.Tx) error { return p.contacts.SetStandingTx(t.Context(), tx, c.ID, Dead, "550 5.1.1") }
}

// A member confirms the address while messages to it come back.
func TestVerifyLocksContactPointsInOneOrder(t *testing.T) {
	p := newPeople(t)
	wei, an := p.sharing(t)
	if err := p.contacts.SendCode(t.Context(), wei.MemberID, wei.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := p.pool.Exec(t.Context(), `UPDATE contact_points SET standing = 'failing' WHERE id = $1`, an.ID); err != nil {
		t.Fatal(err)
	}
	pgtest.Cross(t, p.pool, p.dies(t, wei), p.dies(t, an), func() error {
		return p.contacts.Verify(t.Context(), wei.MemberID, wei.ID, p.codes.last())
	})
	for _, c := range []ContactPoint{wei, an} {
		got, err := p.contacts.ForMember(t.Context(), c.MemberID)
		if err != nil || got[0].Standing != Good || (got[0].VerifiedAt != nil) != (c.ID == wei.ID) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestAnImportLocksContactPointsInOneOrder(t *testing.T) {
	p := newPeople(t)
	wei, an := p.sharing(t)
	file := "account,email\nann,us@example.com\nwei,us@example.com\n"
	pgtest.Cross(t, p.pool, p.dies(t, wei), p.dies(t, an), func() error {
		_, err := p.members.Import(t.Context(), strings.NewReader(file), ImportOptions{File: "members.csv", Verified: true})
		return err
	})
}

func TestConsentsAreLockedInOneOrder(t *testing.T) {
	others := map[string]func(p *people, t *testing.T, memberID int64) error{
		"of a member elsewhere": func(p *people, t *testing.T, memberID int64) error {
			return p.consents.Record(t.Context(), memberID, agreed(SMS), agreed(Email))
		},
		"of an import": func(p *people, t *testing.T, _ int64) error {
			_, err := p.members.Import(t.Context(), strings.NewReader("account,consents\nwei,sms:service; email:service\n"), ImportOptions{File: "members.csv"})
			return err
		},
	}
	for name, other := range others {
		t.Run(name, func(t *testing.T) {
			p := newPeople(t)
			m, _ := p.registered(t, "wei")
			says := func(ch Channel) func(pgx.Tx) error {
				return func(tx pgx.Tx) error { return p.consents.RecordTx(t.Context(), tx, m.ID, agreed(ch)) }
			}
			pgtest.Cross(t, p.pool, says(Email), says(SMS), func() error { return other(p, t, m.ID) })
			if now, err := p.consents.ForMember(t.Context(), m.ID); err != nil || len(now) != 2 {
				t.Errorf("got %+v, %v", now, err)
			}
		})
	}
}

func agreed(ch Channel) NewConsent {
	return NewConsent{Channel: ch, Purpose: Service, Granted: true, Source: "api", Evidence: "said so"}
}
