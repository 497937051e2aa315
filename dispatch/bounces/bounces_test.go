package bounces

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testDomain = "bounces.shop.example"
	testPath   = "bounce+{token}@" + testDomain
)

var (
	testNow      = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	testDelivery = uuid.MustParse("0196a0b0-0000-7000-8000-000000000001")
)

// desk is a listener and what it was told, until the test ends.
type desk struct {
	*Listener
	tokens SignedTokens
	stop   func()

	mu      sync.Mutex
	refuse  error             // guarded by mu; what take answers
	reports []dispatch.Report // guarded by mu
	told    chan struct{}     // has one waiting while there is news
}

func newDesk(t *testing.T, change func(*Config)) *desk {
	t.Helper()
	cfg := Config{
		Addr: "127.0.0.1:0", ReturnPaths: []string{testPath}, Complaints: "fbl@" + testDomain,
		Now: func() time.Time { return testNow }, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	d := &desk{tokens: testTokens(t), told: make(chan struct{}, 1)}
	var err error
	if d.Listener, err = Listen(t.Context(), cfg, d.tokens); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Reports(ctx, d.take) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Cleanup(d.stop)
	return d
}

func (d *desk) take(_ context.Context, reports []dispatch.Report) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse != nil {
		return d.refuse
	}
	d.reports = append(d.reports, reports...)
	select {
	case d.told <- struct{}{}:
	default:
	}
	return nil
}

func (d *desk) answer(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuse = err
}

func (d *desk) all() []dispatch.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.reports)
}

func (d *desk) address() string { return d.addressOf(testDelivery) }

func (d *desk) addressOf(delivery uuid.UUID) string {
	return strings.Replace(testPath, "{token}", d.tokens.Token(delivery), 1)
}

// send gives a message to the listener, from nobody as bounces are.
func (d *desk) send(t *testing.T, to, raw string) error {
	t.Helper()
	c := d.dial(t)
	if err := c.Mail("", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt(to, nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(raw)); err != nil {
		t.Fatal(err)
	}
	return w.Close()
}

func (d *desk) dial(t *testing.T) *smtp.Client {
	t.Helper()
	c, err := smtp.Dial(d.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	var reply *smtp.SMTPError
	if !errors.As(err, &reply) || reply.Code != code {
		t.Fatalf("the answer is %v, want %d", err, code)
	}
}

func TestABounceIsReportedOfTheDeliveryItsAddressNames(t *testing.T) {
	d := newDesk(t, nil)
	if err := d.send(t, strings.ToUpper(d.address()), string(sample(t, "postfix-unknown"))); err != nil {
		t.Fatal(err)
	}
	reports := d.all()
	if len(reports) != 1 || !strings.HasPrefix(reports[0].Key, "bounce:") || !strings.HasSuffix(reports[0].Key, ":"+testDelivery.String()) {
		t.Fatalf("the reports are %+v", reports)
	}
	reports[0].Key = ""
	want := []dispatch.Report{{
		DeliveryID: testDelivery, Channel: subscriptions.Email, Event: dispatch.ReportBounced,
		Code: "5.1.1", Detail: "550 5.1.1 <…>: Recipient address rejected: User … in virtual mailbox table",
		At: time.Date(2026, 11, 22, 8, 5, 3, 0, time.UTC), AddressDead: true,
	}}
	if diff := cmp.Diff(want, reports); diff != "" {
		t.Errorf("the report differs (-want +got):\n%s", diff)
	}
}

func TestABounceThatIsSentAgainHasTheSameKey(t *testing.T) {
	d := newDesk(t, nil)
	raw := string(sample(t, "postfix-unknown"))
	d.answer(errors.New("the database is away"))
	wantCode(t, d.send(t, d.address(), raw), 451)
	if got := d.all(); len(got) != 0 {
		t.Fatalf("%d reports were taken", len(got))
	}
	d.answer(nil)
	for _, again := range []string{raw, "Received: from elsewhere\r\n" + raw} {
		if err := d.send(t, d.address(), again); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.all(); len(got) != 2 || got[0].Key != got[1].Key {
		t.Errorf("the reports are %+v", got)
	}
}

func TestOtherAddressesAreRefused(t *testing.T) {
	d := newDesk(t, nil)
	address := d.address()
	changed := strings.Replace(address, "bounce+", "bounce+a", 1)
	for _, to := range []string{
		"postmaster@" + testDomain, "bounce+@" + testDomain, changed, strings.Replace(address, "+", "-", 1),
		strings.Replace(address, testDomain, "other.example", 1), "fbl@other.example",
	} {
		wantCode(t, d.send(t, to, "Subject: x\r\n\r\nx\r\n"), 550)
	}
	if got := testutil.ToFloat64(d.metrics.refused.WithLabelValues("recipient")); got != 6 {
		t.Errorf("%v were counted", got)
	}
}

func TestWhatIsNoBounceIsTakenAndSaysNothing(t *testing.T) {
	d := newDesk(t, nil)
	d.answer(errors.New("nobody may be asked"))
	for _, name := range []string{"away", "away-chinese", "rfc3464-relayed", "arf-not-spam"} {
		if err := d.send(t, d.address(), string(sample(t, name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := testutil.ToFloat64(d.metrics.messages.WithLabelValues("auto_reply")); got != 2 {
		t.Errorf("%v answers were counted", got)
	}
}

func TestAComplaintFindsItsDelivery(t *testing.T) {
	another := uuid.MustParse("0196a0b0-0000-7000-8000-000000000002")
	d := newDesk(t, nil)
	abuse := string(sample(t, "arf-abuse"))
	for _, c := range []struct {
		rule, raw string
		want      uuid.UUID
	}{
		{"by the token it gives back", strings.Replace(abuse, "{ADDRESS}", d.addressOf(another), 1), another},
		{"by our header", abuse, testDelivery},
		{"by the Message-ID", strings.Replace(abuse, "X-Herald-Delivery", "X-Other", 1), testDelivery},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if err := d.send(t, "FBL@"+testDomain, c.raw); err != nil {
				t.Fatal(err)
			}
			all := d.all()
			if last := all[len(all)-1]; last.DeliveryID != c.want || last.Event != dispatch.ReportComplained {
				t.Errorf("the report is %+v", last)
			}
		})
	}
}

func TestTheComplaintAddressTakesNoBounces(t *testing.T) {
	d := newDesk(t, nil)
	if err := d.send(t, "fbl@"+testDomain, string(sample(t, "postfix-unknown"))); err != nil {
		t.Fatal(err)
	}
	if got := d.all(); len(got) != 0 {
		t.Errorf("the reports are %+v", got)
	}
}

func TestReturnedHeadersDoNotChangeTheDelivery(t *testing.T) {
	d := newDesk(t, nil)
	mine := uuid.MustParse("0196a0b0-0000-7000-8000-00000000000f")
	if err := d.send(t, d.addressOf(mine), string(sample(t, "arf-abuse"))); err != nil {
		t.Fatal(err)
	}
	if got := d.all(); len(got) != 1 || got[0].DeliveryID != mine {
		t.Errorf("the reports are %+v", got)
	}
}

func TestComplaintsComeFromTheirNetworksOnly(t *testing.T) {
	d := newDesk(t, func(c *Config) { c.ComplaintNetworks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	wantCode(t, d.send(t, "fbl@"+testDomain, string(sample(t, "arf-abuse"))), 550)
	d = newDesk(t, func(c *Config) { c.ComplaintNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	if err := d.send(t, "fbl@"+testDomain, string(sample(t, "arf-abuse"))); err != nil {
		t.Error(err)
	}
}

func TestATimeThatCannotBeIsNotTaken(t *testing.T) {
	l := &Listener{cfg: Config{Now: func() time.Time { return testNow }}}
	for at, want := range map[time.Time]time.Time{
		testNow.Add(-time.Hour):           testNow.Add(-time.Hour),
		testNow.Add(time.Minute):          {},
		testNow.Add(-31 * 24 * time.Hour): {},
		{}:                                {},
	} {
		if got := l.when(at); got != want {
			t.Errorf("%v becomes %v", at, got)
		}
	}
}

func TestTLSIsOffered(t *testing.T) {
	certificate := selfSigned(t)
	d := newDesk(t, func(c *Config) { c.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}} })
	c, err := smtp.DialStartTLS(d.Addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SendMail("", []string{d.address()}, strings.NewReader(string(sample(t, "qmail-unknown")))); err != nil {
		t.Error(err)
	}
	if got := d.all(); len(got) != 1 || got[0].Code != "5.1.1" {
		t.Errorf("the reports are %+v", got)
	}
}

func TestMistakesInTheConfiguration(t *testing.T) {
	_, err := Listen(t.Context(), Config{
		Addr: "nowhere", ReturnPaths: []string{"bounce@b", testPath}, Complaints: "fbl", Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}, testTokens(t))
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid || len(p.Fields) != 3 {
		t.Errorf("the mistakes are %v", err)
	}
}

func TestAListenerThatNeverServedCanBeClosed(t *testing.T) {
	l, err := Listen(t.Context(), Config{Addr: "127.0.0.1:0", ReturnPaths: []string{testPath}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}, testTokens(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReturnPaths(t *testing.T) {
	tokens := testTokens(t)
	token := tokens.Token(testDelivery)
	l := &Listener{tokens: tokens}
	for _, pattern := range []string{testPath, "{token}@b.example", "B-{token}-x@B.example"} {
		path, err := newReturnPath(pattern)
		if err != nil {
			t.Fatal(err)
		}
		l.paths = append(l.paths, path)
	}
	for address, ours := range map[string]bool{
		"bounce+" + token + "@" + testDomain:                true,
		"<Bounce+" + token + "@" + testDomain + ">":         true,
		token + "@b.example":                                true,
		"b-" + strings.ToUpper(token) + "-X@b.example":      true,
		"b-" + token + "@b.example":                         false,
		token + "@" + testDomain:                            false,
		"bounce+" + token + "@" + testDomain + "@b.example": false,
		"bounce+" + token:                                   false,
		"":                                                  false,
	} {
		if delivery, got := l.deliveryOf(address); got != ours || ours && delivery != testDelivery {
			t.Errorf("%q is %v, %v", address, delivery, got)
		}
	}
	for _, bad := range []string{"", "bounce@b.example", "{token}", "{token}@", "{token}{token}@b", "b@{token}.example", "a {token}@b"} {
		if _, err := newReturnPath(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
