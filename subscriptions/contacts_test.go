package subscriptions

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/problem"
)

func TestAnAddressIsNormalisedWhenAdded(t *testing.T) {
	p := newPeople(t)
	m := p.register(t, Registration{Account: "wei", Locale: "zh-CN"})
	c, err := p.contacts.Add(t.Context(), m.ID, NewContact{Channel: SMS, Address: "138 0013 8000"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Address != "+8613800138000" || c.VerifiedAt != nil || c.Standing != Good || !c.CreatedAt.Equal(p.time) {
		t.Errorf("added %+v", c)
	}
}

func TestAddRefuses(t *testing.T) {
	p := newPeople(t)
	m, _ := p.registered(t, "wei")
	add := func(memberID int64, ch Channel, address string) error {
		_, err := p.contacts.Add(t.Context(), memberID, NewContact{Channel: ch, Address: address})
		return err
	}
	wantField(t, add(m.ID, "pigeon", "loft 3"), "channel", "options")
	wantField(t, add(m.ID, Email, "nobody"), "address", "email")
	wantField(t, add(m.ID, SMS, "13800138000"), "address", "international")
	wantCode(t, add(m.ID, Email, "wei@EXAMPLE.com"), problem.Conflict)
	wantCode(t, add(m.ID+1, Email, "li@example.com"), problem.NotFound)
	for i := 1; i < maxContacts; i++ {
		if err := add(m.ID, Email, fmt.Sprintf("wei%d@example.com", i)); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, add(m.ID, Email, "one-too-many@example.com"), problem.Conflict)
}

func TestAnAddressIsRemovedOnlyByItsMember(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	other, _ := p.registered(t, "lin")
	wantCode(t, p.contacts.Remove(t.Context(), other.ID, c.ID), problem.NotFound)
	if err := p.contacts.Remove(t.Context(), m.ID, c.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, p.contacts.Remove(t.Context(), m.ID, c.ID), problem.NotFound)
}

func TestTheCodeThatWasSentVerifies(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
		t.Fatal(err)
	}
	code := p.codes.last()
	if len(code) != 6 || p.codes.to[0].Address != "wei@example.com" {
		t.Fatalf("sent %q to %+v", code, p.codes.to[0])
	}
	p.time = p.time.Add(29 * time.Minute)
	if err := p.contacts.Verify(t.Context(), m.ID, c.ID, " "+code[:3]+" "+code[3:]); err != nil {
		t.Fatal(err)
	}
	if got := p.reach(t, m.ID).Contacts[0]; got.VerifiedAt == nil || !got.VerifiedAt.Equal(p.time) {
		t.Errorf("after the code: %+v", got)
	}
	if err := p.contacts.Verify(t.Context(), m.ID, c.ID, "000000"); err != nil {
		t.Errorf("a verified address was asked for its code: %v", err)
	}
	wantCode(t, p.contacts.SendCode(t.Context(), m.ID, c.ID), problem.Conflict)
}

func TestACodeIsKeptOnlyAsAHash(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
		t.Fatal(err)
	}
	var row string
	if err := p.pool.QueryRow(t.Context(), `SELECT code_hash::text || verifications::text FROM verifications`).Scan(&row); err != nil {
		t.Fatal(err)
	}
	if hash := fmt.Sprintf("%x", p.codes.last()); len(row) < 64 || strings.Contains(row, hash) || strings.Contains(row, p.codes.last()) {
		t.Errorf("the code %s can be read in %s", p.codes.last(), row)
	}
}

func TestVerifyRefuses(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	other, _ := p.registered(t, "lin")
	wantField(t, p.contacts.Verify(t.Context(), m.ID, c.ID, "123456"), "code", "expired")
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
		t.Fatal(err)
	}
	code := p.codes.last()
	wantCode(t, p.contacts.Verify(t.Context(), other.ID, c.ID, code), problem.NotFound)
	for range codeTries {
		wantField(t, p.contacts.Verify(t.Context(), m.ID, c.ID, wrong(code)), "code", "wrong")
	}
	wantField(t, p.contacts.Verify(t.Context(), m.ID, c.ID, code), "code", "tries")

	p.time = p.time.Add(codeGap)
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
		t.Fatal(err)
	}
	if code != p.codes.last() { // one in a million draws the same again
		wantField(t, p.contacts.Verify(t.Context(), m.ID, c.ID, code), "code", "wrong")
	}
	p.time = p.time.Add(codeLasts)
	wantField(t, p.contacts.Verify(t.Context(), m.ID, c.ID, p.codes.last()), "code", "expired")
}

// wrong is a code of the same shape that is not code.
func wrong(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

func TestTriesAtOnceAreCountedOneByOne(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
		t.Fatal(err)
	}
	var looked atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			var e *problem.Error
			if errors.As(p.contacts.Verify(t.Context(), m.ID, c.ID, wrong(p.codes.last())), &e) && e.Fields[0].Rule == "wrong" {
				looked.Add(1)
			}
		})
	}
	wg.Wait()
	if looked.Load() != codeTries {
		t.Errorf("%d codes were compared, want %d", looked.Load(), codeTries)
	}
}

func TestCodesAreThrottled(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	start := p.time
	for i := range codesPerDay {
		if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
			t.Fatalf("code %d: %v", i, err)
		}
		p.time = p.time.Add(codeGap - time.Second)
		if i < codesPerDay-1 {
			wantThrottled(t, p.contacts.SendCode(t.Context(), m.ID, c.ID), time.Second)
		}
		p.time = p.time.Add(time.Second)
	}
	wantThrottled(t, p.contacts.SendCode(t.Context(), m.ID, c.ID), start.Add(codePeriod).Sub(p.time))

	// Neither another member nor adding the address anew gives more of them.
	other := p.register(t, Registration{Account: "lin", Contacts: []NewContact{{Channel: Email, Address: "WEI@example.com"}}})
	wantCode(t, p.contacts.SendCode(t.Context(), other.ID, p.reach(t, other.ID).Contacts[0].ID), problem.Throttled)

	p.time = start.Add(codePeriod)
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

func wantThrottled(t *testing.T, err error, after time.Duration) {
	t.Helper()
	var e *problem.Error
	if !errors.As(err, &e) || e.Code != problem.Throttled || e.After != after {
		t.Fatalf("error %v, want to be throttled for %v", err, after)
	}
}

func TestOneMemberCannotPesterManyStrangers(t *testing.T) {
	p := newPeople(t)
	m, _ := p.registered(t, "wei")
	for i := range codesPerMember + 1 {
		c, err := p.contacts.Add(t.Context(), m.ID, NewContact{Channel: Email, Address: fmt.Sprintf("stranger%d@example.com", i)})
		if err != nil {
			t.Fatal(err)
		}
		err = p.contacts.SendCode(t.Context(), m.ID, c.ID)
		if i < codesPerMember && err != nil {
			t.Fatal(err)
		}
		if i == codesPerMember {
			wantCode(t, err, problem.Throttled)
		}
		if err := p.contacts.Remove(t.Context(), m.ID, c.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCountsOfYesterdayAreForgotten(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	other, otherPoint := p.registered(t, "lin")
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
		t.Fatal(err)
	}
	p.time = p.time.Add(codePeriod + time.Second)
	if err := p.contacts.SendCode(t.Context(), other.ID, otherPoint.ID); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := p.pool.QueryRow(t.Context(), `SELECT count(*) FROM code_sends`).Scan(&left); err != nil || left != 2 {
		t.Errorf("%d counts are left, want 2 (%v)", left, err)
	}
}

func TestNothingIsKeptWhenACodeCannotBeSent(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	p.codes.err = errors.New("the queue is full")
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); !errors.Is(err, p.codes.err) {
		t.Fatalf("error %v", err)
	}
	p.codes.err = nil
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
		t.Errorf("the failed attempt counted: %v", err)
	}
}

func TestNoCodeGoesToAnAddressWhoseOwnerWantsNone(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	for reason, want := range map[string]problem.Code{Unsubscribed: "", Bounced: "", Complained: problem.Conflict} {
		if err := p.consents.Suppress(t.Context(), Suppression{Channel: Email, Address: c.Address, Reason: reason}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, p.contacts.SendCode(t.Context(), m.ID, c.ID), want)
		if err := p.consents.Lift(t.Context(), Email, c.Address); err != nil {
			t.Fatal(err)
		}
		p.time = p.time.Add(codeGap)
	}
}

func TestStandingIsKeptAndACodeThatArrivedMendsIt(t *testing.T) {
	p := newPeople(t)
	m, c := p.registered(t, "wei")
	set := func(id int64, s Standing, reason string) {
		t.Helper()
		if err := pgx.BeginFunc(t.Context(), p.pool, func(tx pgx.Tx) error {
			return p.contacts.SetStandingTx(t.Context(), tx, id, s, reason)
		}); err != nil {
			t.Fatal(err)
		}
	}
	set(c.ID, Dead, "550 5.1.1 no such user\x00\xff")
	set(c.ID+1000, Dead, "gone")
	bounced := Suppression{Channel: Email, Address: c.Address, Reason: Bounced}
	if err := p.consents.Suppress(t.Context(), bounced); err != nil {
		t.Fatal(err)
	}
	if got := p.reach(t, m.ID).Contacts[0]; got.Standing != Dead || got.StandingReason != "550 5.1.1 no such user\uFFFD" {
		t.Fatalf("standing %+v", got)
	}
	if err := p.contacts.SendCode(t.Context(), m.ID, c.ID); err != nil {
		t.Fatal(err)
	}
	if err := p.contacts.Verify(t.Context(), m.ID, c.ID, p.codes.last()); err != nil {
		t.Fatal(err)
	}
	if got := p.reach(t, m.ID).Contacts[0]; got.Standing != Good || got.StandingReason != "" {
		t.Errorf("standing %+v", got)
	}
	if _, refusal := p.reach(t, m.ID).Choose(Email, Transactional); refusal != "" {
		t.Errorf("an address where a code arrived: %s", refusal)
	}

	set(c.ID, Dead, "550 5.1.1")
	if err := p.consents.Suppress(t.Context(), bounced); err != nil {
		t.Fatal(err)
	}
	if err := p.consents.Lift(t.Context(), Email, "WEI@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, refusal := p.reach(t, m.ID).Choose(Email, Transactional); refusal != "" {
		t.Errorf("an address that was lifted: %s", refusal)
	}
}
