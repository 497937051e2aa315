package modem

import (
	"errors"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
	"herald/hardware/gsm"
	"herald/hardware/gsm/tpdu"
	sim "herald/hardware/sim/modem"
)

func TestWhatIsWrittenComesIn(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, nil)
	deliver := func(from, text string) {
		t.Helper()
		if err := b.sim.Deliver(from, text); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("很长的回复", 40)
	deliver("+8613900139000", "TD") // stored before anybody listens
	if err := b.modem.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := listen(t, b.Sender)
	h.until(t, func() bool { return len(h.inbound) == 1 })
	h.mu.Lock()
	h.failure = errors.New("the database is away")
	h.mu.Unlock()
	deliver("Operator", "Top up!")
	<-h.more
	h.mu.Lock()
	h.failure = nil
	h.mu.Unlock()
	deliver("+8613900139001", long)
	h.until(t, func() bool { return len(h.inbound) == 3 })
	got := map[string]string{}
	for _, in := range h.inbound {
		if in.Account != "modem" || in.Channel != "sms" || in.Key == "" {
			t.Errorf("came in as %+v", in)
		}
		got[in.From] = in.Text
	}
	if got["+8613900139000"] != "TD" || got["Operator"] != "Top up!" || got["+8613900139001"] != long {
		t.Errorf("came in: %q", got)
	}
	b.until(t, func() bool { return b.sim.Status().Memories["SM"] == 0 })
}

func TestDataForProgramsIsPassedOver(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, nil)
	h := listen(t, b.Sender)
	from := tpdu.Address{Type: tpdu.International, Digits: "8613900139000"}
	for _, unit := range []tpdu.Deliver{
		{From: from, UserData: tpdu.UserData{DCS: tpdu.Data8, Length: 3, Data: []byte{1, 2, 3}}},
		{From: from, PID: silent, UserData: tpdu.UserData{Length: 0}},
		{From: from, UserData: tpdu.UserData{Header: true, Length: 9, Data: []byte{6, 5, 4, 0x0b, 0x84, 0x23, 0xf0, 0x41}}},
	} {
		if err := b.sim.DeliverUnit(unit); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.sim.Deliver("+8613900139000", "for people"); err != nil {
		t.Fatal(err)
	}
	h.until(t, func() bool { return len(h.inbound) > 0 })
	b.until(t, func() bool { return b.sim.Status().Memories["SM"] == 0 })
	if len(h.inbound) != 1 || h.inbound[0].Text != "for people" {
		t.Errorf("came in: %+v", h.inbound)
	}
}

func TestAUsedUpQuotaClosesTheAccountUntilTheNextDay(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, func(a *Account) { a.DailyQuota, a.TimeZone = 2, "Asia/Shanghai" })
	session := open(t, b.Sender)
	if b.Weight() != 1 {
		t.Errorf("new, it weighs %v", b.Weight())
	}
	if _, err := session.Send(t.Context(), message(1, strings.Repeat("x", 400))); class(err) != dispatch.Transient {
		t.Errorf("three parts never fit: %v", err)
	}
	for i := range 2 {
		if _, err := session.Send(t.Context(), message(i, "hello")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := session.Send(t.Context(), message(3, "hello")); class(err) != dispatch.SessionFatal || !session.Broken() {
		t.Errorf("the third part: %v", err)
	}
	_, err := b.Open(t.Context())
	var failure *dispatch.SendError
	if !errors.As(err, &failure) || failure.Class != dispatch.Throttled || failure.After <= 0 || failure.After > 24*time.Hour || b.Weight() != 0 {
		t.Errorf("then it opens as %v, and weighs %v", err, b.Weight())
	}
	if b.sim.Texts().Count() != 2 {
		t.Errorf("%d arrived", b.sim.Texts().Count())
	}
	st, err := b.Status(t.Context())
	if err != nil || st.Usage.Today != 2 || st.Usage.Left() != 0 || st.Usage.Daily != 2 || !st.Usage.DayEnds.After(time.Now()) {
		t.Errorf("its status is %+v, %v", st, err)
	}
}

func TestWeightFollowsTheSignal(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{}, nil)
	open(t, b.Sender)
	for dBm, want := range map[int]float64{-51: 1, -85: 1, -99: 0.5, -113: leastWeight} {
		h := b.modem.Health()
		h.Signal = dBm
		if got := weight(h, nil); got != want {
			t.Errorf("%d dBm weigh %v, want %v", dBm, got, want)
		}
	}
	if got := weight(gsm.Health{State: gsm.Searching}, nil); got != 0 {
		t.Errorf("without a network it weighs %v", got)
	}
	if got := weight(gsm.Health{State: gsm.Ready, Signal: -70}, &Usage{Today: 75, Daily: 100}); got != 0.25 {
		t.Errorf("with a quarter left it weighs %v", got)
	}
}

func TestTheBalanceIsAskedOnSchedule(t *testing.T) {
	t.Parallel()
	for _, packed := range []bool{false, true} {
		b := start(t, sim.Config{USSDPacked: packed}, func(a *Account) {
			a.Balance = BalanceCheck{Code: "*100#", Low: 20}
			if packed {
				a.Balance.Coding = codingPacked
			}
		})
		var st Status
		b.until(t, func() bool {
			var err error
			st, err = b.Status(t.Context())
			return err == nil && st.Balance != nil
		})
		if st.Balance.Amount == nil || *st.Balance.Amount != 12.5 || !strings.Contains(st.Balance.Answer, "12.50") || !st.BalanceLow {
			t.Errorf("packed %v: the balance is %+v", packed, st.Balance)
		}
		if wait, err := b.untilBalance(t.Context()); err != nil || wait < 23*time.Hour {
			t.Errorf("it is asked again after %v, %v", wait, err)
		}
	}
}

func TestTheTraceIsForTheConsole(t *testing.T) {
	t.Parallel()
	b := start(t, sim.Config{SIM: sim.SIM{PIN: "4711"}}, func(a *Account) { a.PIN = "4711" })
	b.Trace().Switch(true)
	if _, err := open(t, b.Sender).Send(t.Context(), message(1, "hello")); err != nil {
		t.Fatal(err)
	}
	if st, err := b.Status(t.Context()); err != nil || !st.Tracing || st.SIM == "" {
		t.Errorf("%+v, %v", st, err)
	}
	b.Trace().Switch(false)
	var all strings.Builder // without the times, which may have any digits
	for _, line := range b.Trace().Lines() {
		all.WriteString(line.Text + "\n")
	}
	if !strings.Contains(all.String(), "AT+CMGS=") || strings.Contains(all.String(), "4711") {
		t.Errorf("it shows %s", all.String())
	}
}
