package ismg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"herald/dispatch/sms/wire"
	"herald/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFaultsAreTakenInTurn(t *testing.T) {
	var f Faults
	if err := f.Set(Fault{Kind: Refuse, Number: "138*", Result: 13, Times: 2}, Fault{Kind: Lose}, Fault{Kind: Close, Times: 1}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, number := range []string{"13800138000", "139", "13800138001", "13800138000"} {
		got = append(got, string(f.Befall(number).Kind))
	}
	if want := []string{"refuse", "lose", "refuse", "lose"}; !slices.Equal(got, want) {
		t.Errorf("befallen were %v, want %v", got, want)
	}
	_, first := f.Take("", Close)
	_, second := f.Take("", Close)
	if !first || second || len(f.All()) != 1 {
		t.Errorf("left are %+v", f.All())
	}
}

func TestIncompleteFaults(t *testing.T) {
	var f Faults
	err := f.Set(Fault{Kind: "explode"}, Fault{Kind: Lose, Times: -1}, Fault{Kind: Delay}, Fault{Kind: Refuse, Delay: 1}, Fault{Kind: Close, Number: "1"}, Fault{Kind: Lose, Number: "["})
	var p *problem.Error
	if !errors.As(err, &p) || len(p.Fields) != 6 || len(f.All()) != 0 {
		t.Fatalf("it gives %v", err)
	}
	page := Page{Simulated: &f}
	for _, list := range []string{`7`, `[{"what":1}]`, `[{"kind":"delay","delay":"soon"}]`} {
		if err := page.SetFaults(json.RawMessage(list)); problem.CodeOf(err) != problem.Invalid {
			t.Errorf("%s gives %v", list, err)
		}
	}
	if err := page.SetFaults(json.RawMessage(`[{"kind":"delay","number":"138*","delay":"1.5s"}]`)); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(page.Faults())
	if err != nil || string(text) != `[{"number":"138*","kind":"delay","delay":"1.5s"}]` {
		t.Errorf("the faults are %s, %v", text, err)
	}
}

func TestPace(t *testing.T) {
	p := Pace{PerSecond: 2}
	at := time.Unix(100, 0)
	var got []bool
	for _, after := range []time.Duration{0, 1, 2, time.Second, time.Second + 1, time.Second + 2} {
		got = append(got, p.Allows(at.Add(after)))
	}
	if want := []bool{true, true, false, true, true, false}; !slices.Equal(got, want) {
		t.Errorf("allowed were %v", got)
	}
	if !new(Pace).Allows(at) {
		t.Error("without a pace it does not allow")
	}
}

func TestPhonesJoinParts(t *testing.T) {
	p := NewPhones(10)
	long := strings.Repeat("降价提醒", 40)
	written, err := Write(long, 9)
	if err != nil || len(written) != 3 {
		t.Fatalf("it is %d parts, %v", len(written), err)
	}
	get := func(part int, to string) {
		w := written[part]
		p.Get(Message{Account: "a", ID: fmt.Sprint(part), From: "1", To: to, Format: w.Format, HasUDH: w.HasUDH, Content: w.Content})
	}
	get(2, "138")
	get(0, "138")
	get(0, "138") // again
	get(1, "139") // another phone
	if p.Box.Count() != 0 {
		t.Error("a text without its last part is shown")
	}
	get(1, "138")
	if texts := p.Box.All(); len(texts) != 1 || texts[0].Text != long || texts[0].Parts != 3 || strings.Join(texts[0].IDs, "") != "012" || texts[0].Encoding != "UCS-2" {
		t.Errorf("the phone has %+v", texts)
	}
	p.Get(Message{Format: wire.ASCII, HasUDH: true, Content: []byte{200, 1}})
	p.Get(Message{Format: wire.Binary, Content: []byte{1}})
	if texts := p.Box.All(); texts[1].Problem == "" || texts[2].Problem == "" || texts[2].Encoding != "binary" {
		t.Errorf("the phone has %+v", texts[1:])
	}
	for i := range mostWaiting + 10 {
		get(0, fmt.Sprint(i))
	}
	if len(p.waiting) > mostWaiting {
		t.Errorf("%d wait for parts", len(p.waiting))
	}
	if _, err := Write(strings.Repeat("价", 70*256), 1); err == nil {
		t.Error("a text of 256 parts is written")
	}
}

func TestOutboxIsToldUntilItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Outbox[string]{Most: 3}
		over := make(chan struct{})
		var told []string
		var number atomic.Uint32
		var teller *Teller[string]
		began := time.Now()
		teller = &Teller[string]{
			Outbox: &o, Window: 2, Again: time.Second,
			Number: func(string) uint32 { return number.Add(1) },
			Send: func(n uint32, v string) error {
				told = append(told, fmt.Sprintf("%s after %v", v, time.Since(began)))
				switch {
				case v == "refused" && n < 3:
					teller.Answered(n, false)
				case v != "lost" || time.Since(began) > 0:
					teller.Answered(n, true)
				}
				return nil
			},
		}
		o.Add("forgotten", began)
		o.Add("refused", began)
		o.Add("lost", began)
		o.Add("later", began.Add(time.Minute))
		done := make(chan struct{})
		go func() {
			defer close(done)
			teller.Run(over)
		}()
		time.Sleep(time.Hour)
		close(over)
		<-done
		if want := []string{"refused after 0s", "lost after 0s", "refused after 1s", "lost after 2s", "later after 1m0s"}; !slices.Equal(told, want) {
			t.Errorf("told was %v, want %v", told, want)
		}
		if o.Len() != 0 {
			t.Errorf("%d are left", o.Len())
		}
		if o.Await(over) {
			t.Error("there is something to tell")
		}
	})
}

// TestTellerThatBreaks gives back what was not answered.
func TestTellerThatBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Outbox[int]{Most: 3}
		for i := range 3 {
			o.Add(i, time.Now())
		}
		sent := 0
		teller := &Teller[int]{Outbox: &o, Window: 5, Again: time.Hour, Number: func(v int) uint32 { return uint32(v) }, Send: func(uint32, int) error {
			if sent++; sent == 2 {
				return errors.New("broken")
			}
			return nil
		}}
		teller.Run(nil)
		if o.Len() != 3 || !o.Await(nil) {
			t.Errorf("%d are left", o.Len())
		}
		teller.Answered(0, true) // too late
		if o.Len() != 3 {
			t.Errorf("%d are left", o.Len())
		}
	})
}

func TestDoor(t *testing.T) {
	var faults Faults
	served := make(chan struct{}, 10)
	d := Door{Name: "door", Faults: &faults, Logger: slog.New(slog.DiscardHandler), Serve: func(c net.Conn) {
		served <- struct{}{}
		_, _ = c.Read(make([]byte, 1)) // until it is closed
	}}
	if d.Addr() != "" {
		t.Error("it has an address before it opens")
	}
	if err := d.Open(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context(), "127.0.0.1:0"); err == nil {
		t.Error("it opens twice")
	}
	if err := (&Door{}).Open(t.Context(), d.Addr()); err == nil {
		t.Error("two doors are at one place")
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", d.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	if err := faults.Set(Fault{Kind: Close, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("the closed door lets somebody in")
	}
	conn := dial()
	<-served
	d.DropAll()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that was dropped says something")
	}
	dial()
	<-served
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil || d.Inside() != 0 {
		t.Errorf("closing again gives %v, %d are inside", err, d.Inside())
	}
	said := ""
	page := Page{Write: func(from, to, text string) error { said = from + to + text; return nil }}
	if err := page.Say(context.Background(), "1", "2", "3"); err != nil || said != "123" {
		t.Errorf("said was %s, %v", said, err)
	}
}
