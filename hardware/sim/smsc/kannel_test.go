package smsc

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herald/e2e/peers"
	"herald/hardware/sim/simtest"
	"herald/hardware/sim/texts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, cfg Config) *SMSC {
	t.Helper()
	return simtest.Start(t, New(cfg))
}

func setFaults(t *testing.T, s *SMSC, faults ...Fault) {
	t.Helper()
	if err := s.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

// within bounds a wait for what must come.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// kannel is Kannel's bearerbox and smsbox, bound to an SMSC.
type kannel struct {
	t     *testing.T
	api   string           // of smsbox
	box   *peers.Process   // smsbox
	back  *httptest.Server // that Kannel calls
	calls chan url.Values  // receipts and messages, as Kannel tells them
	heard []url.Values     // calls that nobody asked for yet
}

const kannelConf = `
group = core
admin-port = %[1]s
admin-password = bar
smsbox-port = %[2]s
dlr-storage = internal
log-level = 1
sms-combine-concatenated-mo = true

group = smsc
smsc = smpp
host = 127.0.0.1
port = %[3]s
smsc-username = kannel
smsc-password = secret
system-type = ""
transceiver-mode = true
enquire-link-interval = 1
msg-id-type = %[6]s%[7]s
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = %[4]s
log-level = 1

group = sendsms-user
username = foo
password = bar
concatenation = true
max-messages = 10

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "%[5]s/mo?from=%%p&to=%%P&text=%%b&charset=%%C&coding=%%c"
`

// startKannel binds Kannel to the SMSC at addr; idType is its msg-id-type.
func startKannel(t *testing.T, addr, idType, charset string) *kannel {
	t.Helper()
	k := &kannel{t: t, api: peers.Address(t), calls: make(chan url.Values, 100)}
	k.back = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		values := r.URL.Query()
		values.Set("path", r.URL.Path)
		k.calls <- values
	}))
	t.Cleanup(k.back.Close)
	dir := t.TempDir()
	conf := filepath.Join(dir, "kannel.conf")
	admin, box := peers.Address(t), peers.Address(t)
	text := fmt.Sprintf(kannelConf, port(admin), port(box), port(addr), port(k.api), k.back.URL, idType, charset)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bearerbox := exec.Command(peers.Program(t, "bearerbox", "kannel"), "-v", "1", conf)
	bearerbox.Dir = dir
	peers.Start(t, bearerbox).UntilListening(box)
	k.box = peers.Smsbox(t, conf)
	return k
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}

// send hands a text to Kannel, which is to tell of its receipt under a name.
func (k *kannel) send(to, text, receipt string) {
	k.t.Helper()
	q := url.Values{"username": {"foo"}, "password": {"bar"}, "from": {"SHOP"}, "to": {to}, "text": {text}, "charset": {"UTF-8"}, "dlr-mask": {"19"}}
	q.Set("dlr-url", k.back.URL+"/receipt?name="+receipt+"&state=%d&said=%A")
	if strings.ContainsFunc(text, func(r rune) bool { return r > 0x2000 && r != '€' }) {
		q.Set("coding", "2")
	}
	answer, err := http.Get("http://" + k.api + "/cgi-bin/sendsms?" + q.Encode())
	if err != nil {
		k.t.Fatalf("%v\n%s", err, k.box.Said())
	}
	defer answer.Body.Close()
	if said, _ := io.ReadAll(answer.Body); answer.StatusCode/100 != 2 {
		k.t.Fatalf("Kannel does not take it: %s %s", answer.Status, said)
	}
}

// told waits for what Kannel calls at a path with values.
func (k *kannel) told(path string, want map[string]string) url.Values {
	k.t.Helper()
	fits := func(call url.Values) bool {
		for name, value := range want {
			if call.Get(name) != value {
				return false
			}
		}
		return call.Get("path") == path
	}
	limit := time.After(peers.Patience)
	for {
		if i := slices.IndexFunc(k.heard, fits); i >= 0 {
			call := k.heard[i]
			k.heard = slices.Delete(k.heard, i, i+1)
			return call
		}
		select {
		case call := <-k.calls:
			k.heard = append(k.heard, call)
		case <-limit:
			k.t.Fatalf("Kannel never called %s with %v, but %v", path, want, k.heard)
		}
	}
}

// TestKannelSendsAndReceives proves the centre with a client that is not ours:
// Kannel binds, sends texts of one and of four parts and in Chinese, gets
// their receipts, and gets what phones write, short and long.
func TestKannelSendsAndReceives(t *testing.T) {
	for name, c := range map[string]struct {
		cfg    Config
		idType string // Kannel's msg-id-type: bit 0 for the answer, bit 1 for the receipt, set when hexadecimal
	}{
		"ids alike":             {Config{}, "0x00"},
		"hexadecimal answers":   {Config{Receipts: Receipts{IDs: HexDecimal, Delay: 50 * time.Millisecond}, LongTexts: "sar"}, "0x01"},
		"hexadecimal receipts":  {Config{Receipts: Receipts{IDs: DecimalHex, Form: TextOnly}, LongTexts: "payload", Alphabet: Latin1}, "0x02"},
		"receipts as TLVs only": {Config{Receipts: Receipts{Form: TLVOnly}}, "0x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Accounts = map[string]string{"kannel": "secret"}
			s := start(t, c.cfg)
			charset, encoding := "", "GSM-7"
			if c.cfg.Alphabet == Latin1 {
				charset, encoding = "\nalt-charset = ISO-8859-1", "Latin-1"
			}
			k := startKannel(t, s.Addr(), c.idType, charset)
			four := strings.Repeat("Your order is on its way. {1} ", 18)
			setFaults(t, s, Fault{Number: "8613800000003", Kind: Undelivered, Error: "008"})
			k.send("8613800000001", "hello @ Straße", "short")
			k.send("8613800000002", four, "long")
			k.send("8613800000003", "您关注的商品降价了", "chinese")
			if err := s.Texts().WaitFor(within(t, peers.Patience), func(_ []texts.Text, total int64) bool { return total == 3 }); err != nil {
				t.Fatalf("%v: %+v", err, s.Texts().All())
			}
			sent := map[string]texts.Text{}
			for _, text := range s.Texts().All() {
				sent[text.To] = text
			}
			for to, want := range map[string]texts.Text{
				"8613800000001": {Text: "hello @ Straße", Parts: 1, Encoding: encoding},
				"8613800000002": {Text: four, Parts: 4, Encoding: encoding},
				"8613800000003": {Text: "您关注的商品降价了", Parts: 1, Encoding: "UCS-2"},
			} {
				if got := sent[to]; strings.TrimSpace(got.Text) != strings.TrimSpace(want.Text) || got.Parts != want.Parts || got.Encoding != want.Encoding || got.From != "SHOP" || got.Problem != "" {
					t.Errorf("%s has %+v, want %+v", to, got, want)
				}
			}
			k.told("/receipt", map[string]string{"name": "short", "state": "1"})   // delivered
			k.told("/receipt", map[string]string{"name": "long", "state": "1"})    // delivered
			k.told("/receipt", map[string]string{"name": "chinese", "state": "2"}) // not delivered

			if err := s.Say("8613800000001", "SHOP", "TD"); err != nil {
				t.Fatal(err)
			}
			k.told("/mo", map[string]string{"text": "TD"})
			long := strings.Repeat("please call me back. ", 15)
			if err := s.Say("8613800000001", "SHOP", long); err != nil {
				t.Fatal(err)
			}
			if c.cfg.LongTexts != "sar" { // which Kannel does not put together
				k.told("/mo", map[string]string{"text": long})
			}
		})
	}
}
