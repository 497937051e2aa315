package voice

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/dispatch"
	"herald/e2e/peers"
	"herald/hardware/sim/phone"
	"herald/hardware/sim/simtest"
	"herald/hardware/sip/siptest"
	"herald/hardware/sip/tones"
	"herald/postgres/pgtest"
	"herald/templates"
	"herald/templates/script"
)

func TestMain(m *testing.M) {
	// Calls take time and no processors: many go on at once.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// whistler whistles texts: quickly, each at a height of its own.
type whistler struct{}

func (whistler) Speak(_ context.Context, text, _ string) ([]int16, error) {
	return tones.Sine(300+float64(10*len(text)), 100*time.Millisecond, 8000), nil
}

func (w whistler) SpeakPrivately(ctx context.Context, text, locale string) ([]int16, error) {
	return w.Speak(ctx, text, locale)
}

func (w whistler) Play(ctx context.Context, name string) ([]int16, error) {
	return w.Speak(ctx, name, "")
}

// reader has texts spoken by espeak-ng.
type reader struct{ t *testing.T }

func (r reader) Speak(_ context.Context, text, _ string) ([]int16, error) {
	return siptest.Prompt(r.t, text), nil
}

func (r reader) SpeakPrivately(ctx context.Context, text, locale string) ([]int16, error) {
	return r.Speak(ctx, text, locale)
}

func (r reader) Play(ctx context.Context, name string) ([]int16, error) {
	return r.Speak(ctx, name, "")
}

// bench is a sender at work.
type bench struct {
	*Sender
	db     *pgxpool.Pool
	server string
	logged *log
}

// log is what was logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start makes a sender that calls by a server.
func start(t *testing.T, server string, change func(*Account), speaker Speaker) *bench {
	t.Helper()
	b := &bench{db: pgtest.New(t), server: server, logged: &log{}}
	b.Sender = b.another(t, change, speaker)
	t.Cleanup(func() {
		for _, personal := range []string{"1555", "Ann", "caller"} {
			if strings.Contains(b.logged.String(), personal) {
				t.Errorf("the log has %q:\n%s", personal, b.logged)
			}
		}
	})
	return b
}

// another is a sender of another run, or node.
func (b *bench) another(t *testing.T, change func(*Account), speaker Speaker) *Sender {
	t.Helper()
	cfg := Account{
		Name: "trunk", Server: b.server, CallerNumber: "15550100", CallerName: "caller",
		Response: peers.Patience, RingFor: peers.Patience, Machines: Machines{Ignore: true},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, Deps{Store: NewStore(b.db), Speaker: speaker, Logger: slog.New(slog.NewTextHandler(b.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// delivery is one that calls can be made for.
func (b *bench) delivery(t *testing.T) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	if _, err := b.db.Exec(t.Context(), `
WITH m AS (
    INSERT INTO members (account) VALUES ($2) RETURNING id
), n AS (
    INSERT INTO notifications (id, member_id, purpose, priority, template, data, ladder, decision, expires_at)
    SELECT $1, id, 'service', 2, 'offer', '{}', '{voice}', '[]', now() + interval '1 hour' FROM m
)
INSERT INTO deliveries (id, notification_id, member_id, trigger, rung, channel, state)
SELECT $1, $1, id, '', 0, 'voice', 'pending' FROM m`, id, id.String()); err != nil {
		t.Fatal(err)
	}
	return id
}

// message says what a script says, to a number.
func (b *bench) message(t *testing.T, number, source string) dispatch.Message {
	t.Helper()
	parsed, err := script.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	return dispatch.Message{
		DeliveryID: b.delivery(t), Attempt: 1, Address: number, Name: "Ann",
		Content: templates.Content{Locale: "en", Text: parsed.Transcript(), Script: parsed}, ExpiresAt: time.Now().Add(time.Hour),
	}
}

// patience is when a test gives up.
func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
	t.Cleanup(cancel)
	return ctx
}

func (b *bench) open(t *testing.T) dispatch.Session {
	t.Helper()
	s, err := b.Open(patience(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// send makes a call and gives what the session says of it, and what is written.
func (b *bench) send(t *testing.T, m dispatch.Message) (dispatch.Receipt, row, error) {
	t.Helper()
	receipt, err := b.open(t).Send(patience(t), m)
	return receipt, b.written(t, m), err
}

// sending makes a call in the background, and gives what came of it.
func (b *bench) sending(t *testing.T, ctx context.Context, m dispatch.Message) (wait func() (dispatch.Receipt, row, error)) {
	t.Helper()
	s := b.open(t)
	var going sync.WaitGroup
	var receipt dispatch.Receipt
	var err error
	going.Go(func() { receipt, err = s.Send(ctx, m) })
	return func() (dispatch.Receipt, row, error) {
		going.Wait()
		return receipt, b.written(t, m), err
	}
}

// untilTold waits until a step of a call is written.
func (b *bench) untilTold(t *testing.T, m dispatch.Message, code string) {
	t.Helper()
	ctx, tick := patience(t), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !b.written(t, m).has(code) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s is never told", code)
		}
	}
}

// written is the newest call for a message.
func (b *bench) written(t *testing.T, m dispatch.Message) row {
	t.Helper()
	calls, err := b.deps.Store.calls(t.Context(), m.DeliveryID, b.cfg.Name)
	if err != nil {
		t.Fatal(err)
	}
	if len(calls) == 0 {
		return row{}
	}
	return calls[len(calls)-1]
}

// told is what a call's entries tell.
func (b *bench) told(t *testing.T, m dispatch.Message) string {
	t.Helper()
	entries, err := b.deps.Store.Entries(t.Context(), []uuid.UUID{m.DeliveryID})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		word := strings.TrimPrefix(e.Code, "call_")
		for _, name := range []string{"by", "digit", "class"} {
			if value, has := e.Args[name]; has {
				word += fmt.Sprintf(" %v", value)
			}
		}
		all = append(all, word)
	}
	return strings.Join(all, ", ")
}

// phones are simulated ones.
func phones(t *testing.T, cfg phone.Config, faults ...phone.Fault) *phone.Phone {
	t.Helper()
	p := simtest.Start(t, phone.New(cfg))
	if err := p.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
	return p
}
