package subscriptions

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/access"
	"herald/postgres/pgtest"
	"herald/problem"
)

// people are the stores of members on a database and a clock of their own.
type people struct {
	pool     *pgxpool.Pool
	members  *Members
	contacts *Contacts
	consents *Consents
	codes    *codes
	time     time.Time // what the clock shows
}

func newPeople(t testing.TB) *people {
	t.Helper()
	p := &people{pool: pgtest.New(t), codes: &codes{}, time: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)}
	now := func() time.Time { return p.time }
	p.members = NewMembers(p.pool, access.NewPasswords(2), access.NewThrottle(p.pool, now), now)
	p.contacts = NewContacts(p.pool, p.codes, now)
	p.consents = NewConsents(p.pool, now)
	return p
}

func (p *people) register(t testing.TB, r Registration) Member {
	t.Helper()
	m, err := p.members.Register(t.Context(), r)
	if err != nil {
		t.Fatalf("register %s: %v", r.Account, err)
	}
	return m
}

// registered is a member with one address, not verified.
func (p *people) registered(t testing.TB, account string) (Member, ContactPoint) {
	t.Helper()
	m := p.register(t, Registration{Account: account, Contacts: []NewContact{{Channel: Email, Address: account + "@example.com"}}})
	contacts, err := p.contacts.ForMember(t.Context(), m.ID)
	if err != nil || len(contacts) != 1 {
		t.Fatalf("contacts of %s: %v, %v", account, contacts, err)
	}
	return m, contacts[0]
}

func (p *people) reach(t testing.TB, memberID int64) Reach {
	t.Helper()
	reach, err := p.consents.Reach(t.Context(), p.pool, []int64{memberID})
	if err != nil {
		t.Fatalf("reach: %v", err)
	}
	return reach[memberID]
}

// codes is a Confirmer that keeps what it is given to send, and can fail.
type codes struct {
	sent []string
	to   []ContactPoint
	err  error
}

func (c *codes) SendCodeTx(_ context.Context, _ pgx.Tx, _ Member, to ContactPoint, code string) error {
	if c.err != nil {
		return c.err
	}
	c.sent, c.to = append(c.sent, code), append(c.to, to)
	return nil
}

func (c *codes) last() string { return c.sent[len(c.sent)-1] }

func wantCode(t testing.TB, err error, code problem.Code) {
	t.Helper()
	if problem.CodeOf(err) != code {
		t.Fatalf("error %v has code %q, want %q", err, problem.CodeOf(err), code)
	}
}

// wantField asks that err names a mistake at path that breaks rule.
func wantField(t testing.TB, err error, path, rule string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || !slices.ContainsFunc(p.Fields, func(f problem.Field) bool { return f.Path == path && f.Rule == rule }) {
		t.Errorf("error %v names no mistake at %s that breaks %s", err, path, rule)
	}
}
