package dispatch

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch/limits"
	"herald/subscriptions"
)

// counting is a sender whose provider takes messages in three parts.
type counting struct{ *scripted }

func (counting) Parts(Message) int { return 3 }

func TestPartsAreCountedByAccountAndMonth(t *testing.T) {
	b := newIdleBench(t)
	sender := counting{b.sender}
	_, w := b.newWorkerOf("node-2", []AccountConfig{{Sender: sender, MaxSessions: 1, tune: patient}}, func(c *WorkerConfig) {
		c.Doubt = DoubtPolicies{{Channel: subscriptions.Email}: WaitReceipt}
	})
	b.sender.does(outcomesInTurn(nil, &SendError{Class: Doubt}, &SendError{Class: Permanent}, nil))
	ids := b.enqueue(b.note(), b.note(), b.note(), b.note())
	events := b.start("node-2", w)
	waitFor(t, events, len(ids))
	check := func(when string) {
		t.Helper()
		got, err := b.store.volumes(t.Context())
		// The month may have ended meanwhile.
		if v := got["main"]; err != nil || len(got) != 1 || v.ThisMonth+v.LastMonth != 9 || v.PastWeek != 9 {
			t.Errorf("%s: %+v, %v; want the parts of three messages of four", when, got, err)
		}
	}
	check("at once")
	keeper := b.bookkeeper()
	b.exec(`UPDATE minutes SET minute = minute - interval '5 minutes'`)
	for range 2 {
		if err := keeper.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := scalar[int](b, `SELECT count(*) FROM minutes WHERE outcome = 'parts'`); n != 0 {
		t.Errorf("%d figures are left in the minutes", n)
	}
	check("as days")
}

// outcomesInTurn is a script that answers with one outcome after the other.
func outcomesInTurn(errs ...error) func(context.Context, Message) (Receipt, error) {
	var mu sync.Mutex
	return func(context.Context, Message) (Receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		err := errs[0]
		errs = errs[1:]
		return Receipt{ProviderID: "p"}, err
	}
}

func TestMonthsAreTheCompanys(t *testing.T) {
	b := newIdleBench(t)
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	b.store.volume = VolumeRule{Zone: shanghai}.withDefaults()
	b.clock.ahead = time.Until(time.Date(2026, 12, 1, 1, 0, 0, 0, shanghai)) // still November in UTC
	for at, n := range map[string]int{"2026-11-30 15:59Z": 5, "2026-11-30 16:00Z": 7, "2026-10-31 15:59Z": 100} {
		b.exec(`INSERT INTO minutes (minute, channel, account, outcome, n) VALUES ($1, 'sms', 'modem', 'parts', $2)`, at, n)
	}
	for _, when := range []string{"at once", "as days"} {
		got, err := b.store.volumes(t.Context())
		if v := got["modem"]; err != nil || v.Month != "2026-12" || v.ThisMonth != 7 || v.LastMonth != 5 || v.PastWeek != 12 {
			t.Errorf("%s: %+v, %v", when, v, err)
		}
		b.clock.advance(2 * time.Minute)
		if err := b.bookkeeper().tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.exec(`INSERT INTO account_days VALUES ('2025-01-01', 'modem', 1)`)
	if err := b.bookkeeper().tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := scalar[int](b, `SELECT count(*) FROM account_days WHERE day < '2026-01-01'`); n != 0 {
		t.Error("more than a year is kept")
	}
}

// Pages read the volumes every two seconds, beside campaigns.
func TestVolumesAreReadByIndex(t *testing.T) {
	b := newIdleBench(t)
	b.exec(`INSERT INTO minutes (minute, channel, account, outcome, n) SELECT now(), 'email', 'main', 'accepted', 1 FROM generate_series(1, 20000)`)
	b.exec(`INSERT INTO minutes (minute, channel, account, outcome, n) SELECT now(), 'sms', 'modem', 'parts', 1 FROM generate_series(1, 20)`)
	b.exec(`ANALYZE`)
	plan := explain(t.Context(), t, b, volumesSQL, "UTC", time.Now(), time.Now(), time.Now())
	if strings.Contains(plan, "Seq Scan on minutes") {
		t.Error(plan)
	}
}

func TestVolumesAdviseTheOtherWay(t *testing.T) {
	utc := func(month time.Month, day int) time.Time { return time.Date(2026, month, day, 0, 0, 0, 0, time.UTC) }
	account := func(device bool, v Volume) AccountState {
		return AccountState{Channel: subscriptions.SMS, Volume: &v, Setup: AccountSetup{Device: device}}
	}
	modem := func(v Volume) AccountState { return account(true, v) }
	gateway := func(v Volume) AccountState { return account(false, v) }
	tests := map[string]struct {
		threshold int
		accounts  []AccountState
		want      []VolumeAdvice
	}{
		"little over modems":       {0, []AccountState{modem(Volume{ThisMonth: 20_000, PastWeek: 10_000})}, nil},
		"two modems over together": {0, []AccountState{modem(Volume{ThisMonth: 60_000}), modem(Volume{ThisMonth: 40_001})}, []VolumeAdvice{{ModemsOver, 100_001, 100_000, utc(11, 1)}}},
		"modems will be over": {0, []AccountState{modem(Volume{ThisMonth: 90_000, PastWeek: 14_000})}, []VolumeAdvice{
			{ModemsWillBeOver, 90_000, 100_000, utc(11, 21)}, // 10,001 at 2,000 a day, from the 15th
		}},
		"not before the month ends":     {0, []AccountState{modem(Volume{ThisMonth: 90_000, PastWeek: 4_000})}, nil},
		"its own threshold":             {500, []AccountState{modem(Volume{ThisMonth: 501})}, []VolumeAdvice{{ModemsOver, 501, 500, utc(11, 1)}}},
		"no advice wanted":              {-1, []AccountState{modem(Volume{ThisMonth: 1_000_000})}, nil},
		"a busy gateway":                {0, []AccountState{gateway(Volume{LastMonth: 300_000, first: utc(5, 2)})}, nil},
		"an idle gateway":               {0, []AccountState{gateway(Volume{LastMonth: 812, first: utc(5, 2)})}, []VolumeAdvice{{GatewayIdle, 812, 100_000, utc(10, 1)}}},
		"not there all of last month":   {0, []AccountState{gateway(Volume{LastMonth: 812, first: utc(10, 2)})}, nil},
		"the modems could not take it":  {0, []AccountState{gateway(Volume{LastMonth: 812, first: utc(5, 2)}), modem(Volume{LastMonth: 95_000})}, nil},
		"a gateway that sent nothing":   {0, []AccountState{gateway(Volume{})}, nil},
		"accounts of another channel":   {0, []AccountState{{Channel: subscriptions.Voice, Volume: &Volume{ThisMonth: 1e6}}}, nil},
		"one that does not count parts": {0, []AccountState{{Channel: subscriptions.SMS}}, nil},
	}
	for name, tt := range tests {
		s := &Store{volume: VolumeRule{Threshold: tt.threshold}.withDefaults(), now: func() time.Time { return utc(11, 15).Add(12 * time.Hour) }}
		if diff := cmp.Diff(tt.want, s.VolumeAdvice(tt.accounts)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// weighing is a sender that says how well it would take a message.
type weighing struct {
	*scripted
	weight float64
}

func (w *weighing) Weight() float64 { return w.weight }

func TestWhatCannotTakeAMessageIsPassedOver(t *testing.T) {
	modem, gateway := &weighing{named("modem"), 0}, named("gateway")
	tests := map[string][]AccountConfig{
		"a modem that is cheaper":               {{Sender: modem}, {Sender: gateway, Cost: 1}},
		"a modem that is made for the receiver": {{Sender: modem, Recipients: []string{"example.com"}}, {Sender: gateway}},
	}
	for name, list := range tests {
		t.Run(name, func(t *testing.T) {
			a := &Accounts{list: openAccounts(t, list...)}
			defer closeAccounts(t, a.list)
			first := func(weight float64) string {
				modem.weight = weight
				return a.route(subscriptions.Email, subscriptions.Service, "wei@example.com")[0].name
			}
			if got := first(0); got != "gateway" {
				t.Errorf("while the modem has no network, %s is first", got)
			}
			if got := first(0.1); got != "modem" {
				t.Errorf("when it has one, %s is first", got)
			}
			a.list[0].spend(time.Hour)
			if got := first(1); got != "gateway" {
				t.Errorf("when its quota is used up, %s is first", got)
			}
		})
	}
}

func TestAmongEqualsThoseThatCanDoMoreGetMore(t *testing.T) {
	a := &Accounts{list: openAccounts(t, AccountConfig{Sender: &weighing{named("weak"), 0.25}}, AccountConfig{Sender: &weighing{named("strong"), 0.75}})}
	defer closeAccounts(t, a.list)
	const trials = 20_000
	strong := 0
	for range trials {
		if a.route(subscriptions.Email, subscriptions.Service, "wei@example.com")[0].name == "strong" {
			strong++
		}
	}
	if share := float64(strong) / trials; share < 0.725 || share > 0.775 {
		t.Errorf("three of four should be its share, and %.3f are", share)
	}
}

// A warm-up's quota that is used up makes messages wait only where there is no
// other account, whichever way they would go first.
func TestMessagesTakeTheOtherAccountWhenAQuotaIsUsedUp(t *testing.T) {
	rules := limits.Rules{WarmUp: limits.WarmUp{Start: "2020-01-01", Days: make([]int, 10_000), Spread: 1}}
	for i := range rules.WarmUp.Days {
		rules.WarmUp.Days[i] = 3_600_000 // no wait between two
	}
	b := newIdleBench(t)
	day := b.clock.now().UTC().Format(time.DateOnly)
	other := named("other")
	_, w := b.newWorkerOf("node-2", []AccountConfig{
		{Sender: b.sender, MaxSessions: 1, Rules: rules, tune: patient},
		{Sender: other, MaxSessions: 1, Cost: 1, tune: patient},
	})
	b.exec(`INSERT INTO limit_slots (key, free_at, used) VALUES ($1, now(), 3600000 - 4)`, "warmup:main@"+day)
	ids := b.chunk(10)
	b.events = b.start("node-2", w)
	b.worked(1)
	for _, id := range ids {
		if d := b.delivery(id); d.State != Accepted || d.Attempts != 1 {
			t.Errorf("it is %s after %d attempts", d.State, d.Attempts)
		}
	}
	if main, beside := len(b.sender.sent()), len(other.sent()); main != 4 || beside != 6 {
		t.Errorf("%d went by the first and %d by the other, want 4 and 6", main, beside)
	}
}

func TestAQuotaThatIsUsedUpEverywhereMakesMessagesWait(t *testing.T) {
	rules := limits.Rules{WarmUp: limits.WarmUp{Start: "2020-01-01", Days: make([]int, 10_000)}} // none at all
	b := newIdleBench(t)
	other := named("other")
	_, w := b.newWorkerOf("node-2", []AccountConfig{
		{Sender: b.sender, MaxSessions: 1, Rules: rules, tune: patient},
		{Sender: other, MaxSessions: 1, Rules: rules, tune: patient},
	})
	ids := b.enqueue(b.note())
	b.events = b.start("node-2", w)
	b.worked(1)
	if d := b.delivery(ids[0]); d.State != Pending || d.Attempts != 0 || len(b.sender.sent())+len(other.sent()) != 0 {
		t.Errorf("it is %s after %d attempts", d.State, d.Attempts)
	}
}
