package fax

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"herald/dispatch"
	"herald/e2e/peers"
)

// TestHylaFAX sends faxes by a real HylaFAX, over lines that are played, to
// machines that speak T.30. What arrived is asked of the machines.
func TestHylaFAX(t *testing.T) {
	t.Parallel()
	const speed = 50
	calls, drops, person := peers.StartFaxLine(t, speed), peers.StartFaxLine(t, speed), peers.StartFaxLine(t, speed)
	drops.Play("drop 1")
	person.Play("human", "human", "human")
	far := peers.HylaFAX(t, calls.Device, drops.Device, person.Device)
	b := start(t, nil)
	send := func(number int, line *peers.FaxLine, change func(*Account)) (dispatch.Message, *Sender) {
		s := b.another(func(a *Account, s *settings) {
			s.every = 200 * time.Millisecond
			if a.Name == "" { // it is about the settings only
				return
			}
			a.Host, a.Port = split(t, far.Address)
			a.Name, a.Username, a.Password, a.Modem, a.Timeout = line.Modem(), peers.FaxUser, peers.FaxPassword, line.Modem(), 0
			a.RetryAfter, a.Dial = time.Second, []DialRule{{Prefix: "+8621", Replace: ""}}
			if change != nil {
				change(a)
			}
		})
		m := b.message(number, 2)
		session, err := s.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close(context.Background()) //nolint:errcheck // it has served its turn
		if _, err := session.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		return m, s
	}
	whole, byWhole := send(1, calls, nil)
	dropped, byDropped := send(2, drops, func(a *Account) { a.MaxTries = 1 }) // HylaFAX would go on by itself
	human, byHuman := send(3, person, func(a *Account) { a.MaxDials = 10 })

	t.Run("two Chinese pages arrive as they were made", func(t *testing.T) {
		ending{dispatch.ReportDelivered, "", "2 of 2"}.check(t, whole, b.follow(byWhole, 1)[0])
		call := calls.Call()
		if call.Pages != 2 || call.Number != "55550001" {
			t.Fatalf("the call was %+v", call)
		}
		made := b.made(far, whole)
		peers.SamePage(t, made, 0, call.File, 0)
		peers.SamePage(t, made, 1, call.File, 1)
	})
	t.Run("a fax that broke off is finished without its first page", func(t *testing.T) {
		ending{dispatch.ReportDelivered, "", "2 of 2"}.check(t, dropped, b.follow(byDropped, 1)[0])
		first, second := drops.Call(), drops.Call()
		if first.Pages != 1 || first.End != "dropped" || second.Pages != 1 || drops.Calls() != 0 {
			t.Fatalf("the calls were %+v and %+v", first, second)
		}
		made := b.made(far, dropped)
		peers.SamePage(t, made, 0, first.File, 0)
		peers.SamePage(t, made, 1, second.File, 0)
		// HylaFAX had sent the second page into the void, and waited for a word.
		if rows := b.rows(dropped); len(rows) != 2 || rows[0].Sent != 1 || rows[0].Outcome == delivered || rows[1].First != 2 {
			t.Errorf("its jobs are %+v", rows)
		}
	})
	t.Run("a person is called twice at most", func(t *testing.T) {
		ending{dispatch.ReportBounced, "no_carrier", "0 of 2"}.check(t, human, b.follow(byHuman, 1)[0])
		for n := 0; person.Calls() > 0; n++ {
			if call := person.Call(); call.Pages != 0 || n == mostInVain {
				t.Errorf("there was the call %+v", call)
			}
		}
	})
}

// made is what HylaFAX makes of the fax that was handed over.
func (b *bench) made(far peers.Fax, m dispatch.Message) string {
	b.t.Helper()
	document, err := b.store.Document(b.t.Context(), m.DeliveryID)
	if err != nil {
		b.t.Fatal(err)
	}
	return far.Rendered(b.t, document)
}

func split(t *testing.T, address string) (host string, port int) {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(text); err != nil {
		t.Fatal(err)
	}
	return host, port
}
