package gateway

import (
	"testing"
	"time"

	"herald/dispatch/conformance"
)

const byGet = `
about: a gateway of tests, by GET
settings: {url: {about: its address}}
request:
  method: GET
  url: '{{.Settings.url}}/send'
  query: {to: '{{.To}}', text: '{{.Text}}'}
answer:
  id: {json: /id}
  code: {json: /error}
  detail: {json: /message}
  rules:
    - {status: 201, is: accepted}
    - {code: unknown_number, is: permanent, address_dead: true}
`

const byPost = `
about: a gateway of tests, by POST
settings: {url: {about: its address}}
request:
  url: '{{.Settings.url}}/send'
  json: {to: '{{.To}}', text: '{{.Text}}'}
answer:
  id: {json: /id}
  code: {json: /error}
  detail: {json: /message}
  rules:
    - {status: 201, is: accepted}
    - {code: unknown_number, is: permanent, address_dead: true}
`

// answerWithin is how long a test's driver waits for an answer that comes.
const answerWithin = 30 * time.Second

// TestSessionsKeepTheContract against a provider of every kind there is.
func TestSessionsKeepTheContract(t *testing.T) {
	for name, c := range map[string]struct {
		description string
		encrypted   bool
	}{
		"by GET":             {byGet, false},
		"by POST":            {byPost, false},
		"by GET, encrypted":  {byGet, true},
		"by POST, encrypted": {byPost, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T, answerWithin time.Duration) conformance.Peer {
				return newPeer(t, c.description, c.encrypted, answerWithin)
			})
		})
	}
}

func newPeer(t *testing.T, description string, encrypted bool, answerWithin time.Duration) *peer {
	t.Helper()
	f := startFarEnd(t, encrypted)
	account := Account{Name: "far", Settings: map[string]string{"url": f.url()}, Timeout: answerWithin}
	if encrypted {
		account.RootCAs = rootCAs(t, f.tls)
	}
	return &peer{farEnd: f, gateway: newGateway(t, description, account)}
}

// newGateway is an account at a provider described in a test.
func newGateway(t testing.TB, description string, a Account) *Gateway {
	t.Helper()
	d, err := Parse("test.yaml", []byte(description))
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(d, a, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func BenchmarkSend(b *testing.B) {
	for name, description := range map[string]string{"GET": byGet, "POST": byPost} {
		b.Run(name, func(b *testing.B) {
			f := startFarEnd(b, false)
			g := newGateway(b, description, Account{Name: "far", Settings: map[string]string{"url": f.url()}})
			s, err := g.Open(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			m := messageTo("+8613800138000")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Send(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
