package ismg

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"herald/dispatch/sms/wire"
	"herald/hardware/sim"
	"herald/hardware/sim/simtest"
	"herald/hardware/sim/texts"
	"herald/problem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFaultsAreTakenInTurn(t *testing.T) {
	f := NewFaults()
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
	_, first := f.Meet("", Close)
	_, second := f.Meet("", Close)
	if !first || second || len(f.All()) != 1 {
		t.Errorf("left are %+v", f.All())
	}
}

// far is a gateway whose phones write nothing.
type far struct{ Front }

func (far) Say(string, string, string) error { return nil }

func TestIncompleteFaults(t *testing.T) {
	f := NewFaults()
	err := f.Set(Fault{Kind: "explode"}, Fault{Kind: Lose, Times: -1}, Fault{Kind: Delay}, Fault{Kind: Refuse, Delay: 1}, Fault{Kind: Close, Number: "1"}, Fault{Kind: Lose, Number: "["})
	var p *problem.Error
	if !errors.As(err, &p) || len(p.Fields) != 6 || len(f.All()) != 0 {
		t.Fatalf("it gives %v", err)
	}
	ask := simtest.Asker(t, texts.Handler(texts.NewBox(1), far{NewFront(f, NewPhones(1), &sim.Door{})}))
	for _, list := range []string{`7`, `[{"what":1}]`, `[{"kind":"delay","delay":"soon"}]`} {
		if code, answer := ask("PUT", "/faults", `{"faults":`+list+`}`); code != http.StatusUnprocessableEntity {
			t.Errorf("%s gives %d %s", list, code, answer)
		}
	}
	const want = `{"faults":[{"number":"138*","kind":"delay","delay":"1.5s"}]}`
	if code, answer := ask("PUT", "/faults", `{"faults":[{"kind":"delay","number":"138*","delay":"1.5s"}]}`); code != http.StatusOK || strings.TrimSpace(answer) != want {
		t.Errorf("the faults are %d %s", code, answer)
	}
}

func TestPhonesJoinParts(t *testing.T) {
	p := NewPhones(10)
	long := strings.Repeat("降价提醒", 40)
	var written []Written
	err := NewPhones(1).Say(texts.Text{Text: long}, 9, func(w Written) { written = append(written, w) })
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
	if p.texts.Count() != 0 {
		t.Error("a text without its last part is shown")
	}
	get(1, "138")
	if all := p.texts.All(); len(all) != 1 || all[0].Text != long || all[0].Parts != 3 || strings.Join(all[0].IDs, "") != "012" || all[0].Encoding != "UCS-2" {
		t.Errorf("the phone has %+v", all)
	}
	p.Get(Message{Format: wire.ASCII, HasUDH: true, Content: []byte{200, 1}})
	p.Get(Message{Format: wire.Binary, Content: []byte{1}})
	if all := p.texts.All(); all[1].Problem == "" || all[2].Problem == "" || all[2].Encoding != "binary" {
		t.Errorf("the phone has %+v", all[1:])
	}
	for i := range mostWaiting + 10 {
		get(0, fmt.Sprint(i))
	}
	if len(p.waiting) > mostWaiting {
		t.Errorf("%d wait for parts", len(p.waiting))
	}
	if err := p.Say(texts.Text{Text: strings.Repeat("价", 70*256)}, 1, nil); problem.CodeOf(err) != problem.Invalid {
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
