package receipts

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/sms/gateway"
	"herald/e2e/peers"
	"herald/hardware/sim/smsc"
	"herald/subscriptions"
	"herald/templates"
)

const (
	kannelToken   = "a-token-for-callbacks"
	kannelRefuses = "+4915100000000"
	kannelLoses   = "+8613800138009" // its phone is never reached
)

const kannelConf = `
group = core
log-level = 1
admin-port = ADMIN
admin-interface = 127.0.0.1
admin-password = nobody
smsbox-port = BOX
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
dlr-storage = internal

group = smsc
smsc = smpp
host = 127.0.0.1
port = SMSC
smsc-username = kannel
smsc-password = secret
system-type = ""
transceiver-mode = true
msg-id-type = 0x00
reconnect-delay = 1

group = smsbox
log-level = 1
bearerbox-host = 127.0.0.1
sendsms-port = SEND
sendsms-interface = 127.0.0.1
global-sender = 1069
mo-recode = false
http-request-retry = 10
http-queue-delay = 1

group = sendsms-user
username = herald
password = secret
concatenation = true
max-messages = 10
black-list-regex = "49151"

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "INBOUND&from=%p&to=%P&text=%b&charset=%C&id=%I&at=%T"
`

// kannel is Kannel's bearerbox and smsbox, bound to the simulated centre, which
// it believes (hardware/sim/smsc).
type kannel struct {
	t       *testing.T
	box     *peers.Process
	phones  *smsc.SMSC
	gateway *gateway.Gateway
	account gateway.Account

	mu      sync.Mutex
	reports []dispatch.Report  // guarded by mu
	inbound []dispatch.Inbound // guarded by mu
	refusal int                // how many calls are refused yet; guarded by mu
}

func startKannel(t *testing.T) *kannel {
	t.Helper()
	k := &kannel{t: t, refusal: 1}
	face := httptest.NewServer(nil)
	t.Cleanup(face.Close)
	send := peers.Address(t)
	k.account = gateway.Account{
		Name: "kannel", CallbackURL: face.URL,
		Settings: map[string]string{"url": "http://" + send + "/cgi-bin/sendsms", "username": "herald", "country": "CN"},
		Secrets:  map[string]string{"password": "secret", "callback": kannelToken},
	}
	k.gateway = k.open(k.account)
	handler, err := New(Config{
		Taker: k, Inbound: k.takeInbound, Gateways: []*gateway.Gateway{k.gateway}, PublicURL: face.URL,
		Away: func(err error) bool { return errors.Is(err, errAway) }, Now: time.Now, Logger: discard(),
	})
	if err != nil {
		t.Fatal(err)
	}
	face.Config.Handler = handler

	k.phones = smsc.New(smsc.Config{Accounts: map[string]string{"kannel": "secret"}})
	if err := k.phones.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.phones.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := k.phones.SetFaults(smsc.Fault{Number: strings.TrimPrefix(kannelLoses, "+"), Kind: smsc.Undelivered, Error: "008"}); err != nil {
		t.Fatal(err)
	}
	admin, smsbox := peers.Address(t), peers.Address(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "kannel.conf")
	writeFile(t, conf, strings.NewReplacer(
		"ADMIN", port(t, admin), "BOX", port(t, smsbox), "SMSC", port(t, k.phones.Addr()), "SEND", port(t, send),
		"INBOUND", k.gateway.CallbackAddress(gateway.KindInbound),
	).Replace(kannelConf))
	bearer := peers.Start(t, exec.Command(peers.Program(t, "bearerbox", "kannel"), conf))
	bearer.UntilListening(smsbox)
	bearer.Until("it is bound", func() bool { return k.phones.Sessions() > 0 })
	k.box = peers.Smsbox(t, conf)
	return k
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (k *kannel) open(a gateway.Account) *gateway.Gateway {
	k.t.Helper()
	d, err := gateway.Load("kannel")
	if err != nil {
		k.t.Fatal(err)
	}
	g, err := gateway.New(d, a, nil, time.Now)
	if err != nil {
		k.t.Fatal(err)
	}
	return g
}

// Report and takeInbound refuse the first call: what Kannel tells must come again.
func (k *kannel) Report(_ context.Context, reports []dispatch.Report) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reports = append(k.reports, reports...)
	return nil
}

func (k *kannel) takeInbound(_ context.Context, messages []dispatch.Inbound) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refusal--; k.refusal >= 0 {
		return errAway
	}
	k.inbound = append(k.inbound, messages...)
	return nil
}

func (k *kannel) reported() []dispatch.Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]dispatch.Report(nil), k.reports...)
}

func (k *kannel) received() []dispatch.Inbound {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]dispatch.Inbound(nil), k.inbound...)
}

// send hands a text over, by an account as it is.
func (k *kannel) send(g *gateway.Gateway, to, text string) (uuid.UUID, dispatch.Receipt, error) {
	k.t.Helper()
	s, err := g.Open(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			k.t.Error(err)
		}
	}()
	id := uuid.Must(uuid.NewV7())
	r, err := s.Send(k.t.Context(), dispatch.Message{
		DeliveryID: id, WireID: id.String(), Address: to, Content: templates.Content{Text: text}, ExpiresAt: time.Now().Add(time.Hour),
	})
	return id, r, err
}

func (k *kannel) refuses(g *gateway.Gateway, to string, class dispatch.Class) {
	k.t.Helper()
	_, _, err := k.send(g, to, "hello")
	var failure *dispatch.SendError
	if !errors.As(err, &failure) || failure.Class != class || strings.Contains(err.Error(), to) {
		k.t.Errorf("%s gives %v, want %s", to, err, class)
	}
}

// TestKannel is the whole way with a gateway that we did not write: texts go
// out in both alphabets and in parts, what became of them comes back, and so
// does what phones write, though it was refused at first.
func TestKannel(t *testing.T) {
	t.Parallel()
	k := startKannel(t)
	texts := []string{"The kettle is 39 € & 10 % off + {more}", "水壶降到 39 元 🫖", strings.TrimSpace(strings.Repeat("long ", 80))}
	want := map[uuid.UUID]dispatch.ReportEvent{}
	for i, text := range append(texts, "nobody reads this") {
		to, becomes := "+8613800138000", dispatch.ReportDelivered
		if i == len(texts) {
			to, becomes = kannelLoses, dispatch.ReportBounced
		}
		id, r, err := k.send(k.gateway, to, text)
		if err != nil || r.Account != "kannel" || r.Code != "0" {
			t.Fatalf("%q gives %+v, %v", text, r, err)
		}
		want[id] = becomes
	}
	k.box.Until("it reports of all", func() bool { return len(k.reported()) >= len(want) })
	for _, r := range k.reported() {
		if want[r.DeliveryID] != r.Event || r.Channel != subscriptions.SMS || r.Account != "kannel" || r.At.IsZero() {
			t.Errorf("the report is %+v, want %s", r, want[r.DeliveryID])
		}
	}
	for _, got := range k.phones.Texts().All() {
		if !slices.Contains(texts, got.Text) && got.To != strings.TrimPrefix(kannelLoses, "+") || got.Problem != "" {
			t.Errorf("a phone has %+v", got)
		}
	}
	if n := k.phones.Texts().Count(); n != int64(len(want)) {
		t.Errorf("the phones have %d texts", n)
	}

	if err := k.phones.Say("8613800138000", "1069", "退订"); err != nil {
		t.Fatal(err)
	}
	k.box.Until("a message comes in that was refused once", func() bool { return len(k.received()) > 0 })
	got := k.received()[0]
	if got.From != "+8613800138000" || got.Text != "退订" || got.To != "1069" || got.Key == "" || got.At.IsZero() || got.Account != "kannel" {
		t.Errorf("what came in is %+v", got)
	}

	k.refuses(k.gateway, kannelRefuses, dispatch.Permanent)
	wrong := k.account
	wrong.Secrets = map[string]string{"password": "wrong", "callback": kannelToken}
	k.refuses(k.open(wrong), "+8613800138000", dispatch.Configuration)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
