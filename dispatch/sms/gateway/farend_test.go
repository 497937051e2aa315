package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/conformance"
	"herald/subscriptions"
	"herald/templates"
)

// farEnd is a provider whose every answer is chosen by the test. It speaks
// HTTP on bare connections, so that it can break them where it likes.
type farEnd struct {
	tls     *tls.Config // nil: it does not encrypt
	address string
	serving sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // guarded by mu
	arrived  *sync.Cond   // of mu
	fault    conformance.Fault
	victim   string            // whom it befalls
	taken    map[string]int    // by number
	seen     map[string]string // ids by Idempotency-Key
	ids      int
	requests []*heard // all that were read whole
	inside   map[net.Conn]bool
	accepted int // connections that ever were inside
	// answer, when not nil, is what everything is answered with.
	answer func(*heard) string
}

// heard is a request that came in whole.
type heard struct {
	*http.Request
	body string
}

// to is the number that the request is for, wherever it stands.
func (h *heard) to() string {
	if to := h.URL.Query().Get("to"); to != "" {
		return to
	}
	var fields struct{ To string }
	if json.Unmarshal([]byte(h.body), &fields) == nil && fields.To != "" {
		return fields.To
	}
	form, _ := url.ParseQuery(h.body)
	return form.Get("To")
}

func startFarEnd(t testing.TB, encrypted bool) *farEnd {
	t.Helper()
	f := &farEnd{taken: map[string]int{}, inside: map[net.Conn]bool{}, seen: map[string]string{}}
	f.arrived = sync.NewCond(&f.mu)
	if encrypted {
		f.tls = certificate(t)
	}
	f.listen(t, "127.0.0.1:0")
	t.Cleanup(func() {
		f.stop()
		f.drop()
		f.serving.Wait()
	})
	return f
}

// certificate is one for 127.0.0.1, whose authority is in a file that
// rootCAs names.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.TLS.Clone()
}

func rootCAs(t testing.TB, cfg *tls.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cfg.Certificates[0].Certificate[0]})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (f *farEnd) listen(t testing.TB, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.listener, f.address = l, l.Addr().String()
	f.mu.Unlock()
	f.serving.Go(func() { f.accept(l) })
}

func (f *farEnd) url() string {
	if f.tls != nil {
		return "https://" + f.address
	}
	return "http://" + f.address
}

func (f *farEnd) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.listener.Close() // it may be stopped
}

func (f *farEnd) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for conn := range f.inside {
		_ = conn.Close() // it may have ended
	}
	clear(f.inside)
}

func (f *farEnd) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.inside[conn] = true
		f.accepted++
		f.arrived.Broadcast()
		f.mu.Unlock()
		f.serving.Go(func() {
			defer conn.Close()
			if f.tls != nil {
				f.converse(tls.Server(conn, f.tls))
				return
			}
			f.converse(conn)
		})
	}
}

func (f *farEnd) converse(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		h := &heard{Request: request}
		if f.faultFor(request.URL.Query().Get("to")) == conformance.LostDuring {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		h.body = string(body)
		answer, goesOn := f.hear(h, in)
		if _, err := io.WriteString(conn, answer); err != nil || !goesOn {
			return
		}
	}
}

func (f *farEnd) faultFor(number string) conformance.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number != "" && number == f.victim {
		return f.fault
	}
	return ""
}

// hear is what the far end answers, and whether it goes on.
func (f *farEnd) hear(h *heard, in io.Reader) (answer string, goesOn bool) {
	f.mu.Lock()
	f.requests = append(f.requests, h)
	scripted := f.answer
	f.mu.Unlock()
	if scripted != nil {
		answer := scripted(h)
		return answer, answer != "" && !strings.Contains(answer, "Connection: close")
	}
	to := h.to()
	switch fault := f.faultFor(to); fault {
	case conformance.LostDuring:
		return "", false
	case conformance.Refusal:
		return reply(400, `{"error":"refused","message":"not to `+to+`, never"}`), true
	case conformance.AddressUnknown:
		return reply(400, `{"error":"unknown_number","message":"who is `+to+`?"}`), true
	case conformance.Busy:
		return reply(503, `{"error":"busy","message":"`+to+` is busy"}`), true
	case conformance.Throttle:
		return reply(429, `{"error":"slow","message":"too many for `+to+`"}`, "Retry-After: 7"), true
	case conformance.EndsSession:
		return reply(421, `{"message":"elsewhere"}`, "Connection: close"), false
	case conformance.LostAfter:
		f.take(h, to)
		return "", false
	case conformance.Silence:
		f.take(h, to)
		_, _ = io.Copy(io.Discard, in) // until the other side has had enough
		return "", false
	}
	return reply(201, `{"id":"`+f.take(h, to)+`"}`), true
}

// take takes a message, unless it is a repetition, and gives its id.
func (f *farEnd) take(h *heard, to string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := h.Header.Get("Idempotency-Key")
	if id, twice := f.seen[key]; twice && key != "" {
		return id
	}
	f.taken[to]++
	f.ids++
	f.seen[key] = fmt.Sprintf("id-%d", f.ids)
	f.arrived.Broadcast()
	return f.seen[key]
}

// reply is an answer of HTTP.
func reply(status int, body string, headers ...string) string {
	head := append([]string{fmt.Sprintf("HTTP/1.1 %d Something", status), fmt.Sprintf("Content-Length: %d", len(body))}, headers...)
	return strings.Join(head, "\r\n") + "\r\n\r\n" + body
}

func (f *farEnd) heard() []*heard {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*heard(nil), f.requests...)
}

// peer lets the suite of dispatch try the driver against a farEnd.
type peer struct {
	*farEnd
	gateway *Gateway
	opened  int
}

func (p *peer) Open(ctx context.Context) (dispatch.Session, error) {
	s, err := p.gateway.Open(ctx)
	if err == nil {
		p.opened++
	}
	return s, err
}

// awaitInside waits until the far end knows of all that were opened.
func (p *peer) awaitInside() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.accepted < p.opened {
		p.arrived.Wait()
	}
}

func (p *peer) Message(i int) dispatch.Message {
	return messageTo(fmt.Sprintf("+861380013%04d", i))
}

func messageTo(number string) dispatch.Message {
	id := uuid.Must(uuid.NewV7())
	return dispatch.Message{
		DeliveryID: id, WireID: id.String(), Attempt: 1, Purpose: subscriptions.Service, Address: number,
		Content: templates.Content{Text: "The kettle is 39 now."}, ExpiresAt: time.Now().Add(time.Hour),
	}
}

func (p *peer) Inject(_ *testing.T, f conformance.Fault, m dispatch.Message) bool {
	switch f {
	case conformance.LostBefore, conformance.WrongCredentials:
		return false // HTTP hears of message and credentials at once, in one request
	case conformance.Gone:
		p.awaitInside()
		p.drop()
	case conformance.Away:
		p.stop()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.victim = f, m.Address
	return true
}

func (p *peer) Heal(t *testing.T) {
	p.mu.Lock()
	away := p.fault == conformance.Away
	p.fault, p.victim = "", ""
	p.mu.Unlock()
	if away {
		p.listen(t, p.address)
	}
}

func (p *peer) Taken(m dispatch.Message) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken[m.Address]
}

func (p *peer) AwaitTaken(ctx context.Context, m dispatch.Message) error {
	defer context.AfterFunc(ctx, p.arrived.Broadcast)()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.taken[m.Address] == 0 && ctx.Err() == nil {
		p.arrived.Wait()
	}
	return ctx.Err()
}

// fataler is a test or one of rapid's.
type fataler interface{ Fatal(...any) }

// readRequest is what the other side makes of what was written.
func readRequest(t fataler, wire []byte) *heard {
	in := bufio.NewReader(strings.NewReader(string(wire)))
	request, err := http.ReadRequest(in)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(in); len(rest) > 0 {
		t.Fatal("there is more behind the request")
	}
	return &heard{request, string(body)}
}

var update = flag.Bool("update", false, "write the golden files again")

// golden holds a text against the file of that name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
