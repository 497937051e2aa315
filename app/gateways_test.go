package app

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"herald/app/config"
	"herald/hardware/sim/cmpp"
	"herald/hardware/sim/sgip"
)

// provider is a gateway on the web, as the description generic has it.
type provider struct {
	*httptest.Server
	taken chan taken
}

// taken is a message that a provider has.
type taken struct{ To, Text, Receipts string }

const signingKey = "a key that both of us know"

func openProvider(t *testing.T) *provider {
	p := &provider{taken: make(chan taken, 10)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m taken
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		p.taken <- m
		fmt.Fprint(w, `{"id": "m1"}`)
	}))
	t.Cleanup(p.Close)
	return p
}

// tells calls Herald back.
func (p *provider) tells(t *testing.T, address, body string) {
	t.Helper()
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(signingKey))
	mac.Write([]byte(at + "." + body))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Timestamp", at)
	req.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("POST %s = %d", address, res.StatusCode)
	}
}

// freeAddress is where nobody listens just now, nor will: other tests have no
// use for the loopback address of this process.
func freeAddress(t *testing.T) string {
	t.Helper()
	pid := os.Getpid()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+pid>>15&0x7f, pid>>7&0xff, 1+pid&0x7f))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// One node has the pages and is called back, another one sends.
func TestTextMessagesGoByGateways(t *testing.T) {
	mobile, reception, web := cmpp.New(cmpp.Config{}), freeAddress(t), openProvider(t)
	unicom := sgip.New(sgip.Config{Client: reception, ClientName: "smg", ClientPassword: "secret"})
	begin(t, mobile)
	begin(t, unicom)

	pages := settings(t)
	pages.Roles = []string{"web"}
	pages.SMS = config.SMS{
		CMPP: []config.CMPPAccount{{
			Name: "mobile", Host: "127.0.0.1", Port: mustPort(t, mobile.Addr()), SPID: "901234", Secret: "shared", SourceNumber: "10690001",
			Use: config.Use{MinSessions: 1, MaxSessions: 1, Recipients: []string{"+86138"}},
		}},
		SGIP: []config.SGIPAccount{{
			Name: "unicom", Host: "127.0.0.1", Port: mustPort(t, unicom.Addr()), LoginName: "herald", NodeID: 3_075_512_345, CorpID: "12345", SPNumber: "10655001",
			Reception: config.Reception{Listen: reception, LoginName: "smg", Password: "secret"},
			Use:       config.Use{MaxSessions: 1, Recipients: []string{"+86130"}},
		}},
		Gateways: []config.GatewayAccount{{
			Name: "web", Description: "generic", Settings: map[string]string{"url": web.URL}, Secrets: map[string]string{"token": "t", "signing_key": signingKey},
			Use: config.Use{MaxSessions: 1, Recipients: []string{"+49"}},
		}},
	}
	c := open(t, pages)
	sends := pages
	sends.Roles, sends.HTTP.PublicURL = []string{"dispatch"}, c.URL()
	open(t, sends)

	c.waits("lina", "+8613800138000")
	c.waits("wei", "+8613012345678")
	c.waits("otto", "+4915112345678")
	c.costs(45)
	arrived(t, mobile.Texts(), "13800138000", "45")
	arrived(t, unicom.Texts(), "8613012345678", "45")
	c.become("lina", "delivered")
	c.become("wei", "delivered")
	message := <-web.taken
	c.become("otto", "accepted")
	web.tells(t, message.Receipts, `{"id": "m1", "state": "delivered", "at": "2026-03-11T10:12:14Z"}`)
	c.become("otto", "delivered")

	if err := mobile.Say("13800138000", "10690001", "TD"); err != nil {
		t.Fatal(err)
	}
	if err := unicom.Say("13012345678", "10655001", "退订"); err != nil {
		t.Fatal(err)
	}
	web.tells(t, c.URL()+"/receipts/gateway/web/inbound", `{"id": "i1", "from": "+4915112345678", "to": "1069", "text": "STOP", "at": "2026-03-11T10:12:14Z"}`)
	c.stops("+8613800138000")
	c.stops("+8613012345678")
	c.stops("+4915112345678")
}

// begin starts a far end until the test ends.
func begin(t *testing.T, end interface {
	Start(ctx context.Context) error
	Close() error
},
) {
	t.Helper()
	if err := end.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := end.Close(); err != nil {
			t.Error(err)
		}
	})
}
