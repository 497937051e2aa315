package email

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/puddle/v2"
	"go.uber.org/goleak"

	"herald/dispatch"
	"herald/hardware/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startSim(t *testing.T, cfg sim.SMTPConfig) *sim.SMTP {
	t.Helper()
	server := sim.NewSMTP(cfg)
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func setFaults(t *testing.T, server *sim.SMTP, faults ...sim.Fault) {
	t.Helper()
	if err := server.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}

func accountAt(t testing.TB, name, addr string) Account {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return Account{
		Name: name, Host: host, Port: number, TLS: "none",
		From: "alerts@shop.example", FromName: "Herald", MaxSessions: 4, Timeout: 5 * time.Second,
	}
}

func newSender(t *testing.T, accounts ...Account) *Sender {
	t.Helper()
	return newLoggingSender(t, slog.New(slog.DiscardHandler), accounts...)
}

func newLoggingSender(t *testing.T, logger *slog.Logger, accounts ...Account) *Sender {
	t.Helper()
	s, err := New(Config{Accounts: accounts}, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// failureOf is how Send failed.
func failureOf(t *testing.T, err error) dispatch.SendError {
	t.Helper()
	var failure *dispatch.SendError
	if !errors.As(err, &failure) {
		t.Fatalf("the error is %v", err)
	}
	return *failure
}

func mustSend(t *testing.T, s *Sender, m dispatch.Message) dispatch.Receipt {
	t.Helper()
	r, err := s.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// arrived waits until the server has n mails.
func arrived(t *testing.T, server *sim.SMTP, n int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := server.WaitForCount(ctx, n); err != nil {
		t.Fatal(err)
	}
}

func to(address string) dispatch.Message {
	m := message()
	m.Address = address
	return m
}

func TestAMessageArrives(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	s := newSender(t, accountAt(t, "main", server.Addr()))
	m := message()
	m.Name = `Wei "降" <x@y.example>`
	r := mustSend(t, s, m)
	if r.Code != "250 2.0.0" || r.Account != "main" || r.Detail == "" {
		t.Errorf("the receipt is %+v", r)
	}
	got := server.Messages()[0]
	if got.From != "alerts@shop.example" || len(got.To) != 1 || got.To[0] != m.Address || got.Problem != "" {
		t.Errorf("the envelope is %s → %v, %s", got.From, got.To, got.Problem)
	}
	if got.Subject != m.Content.Subject || got.HTML != m.Content.HTML || got.Text != m.Content.Text {
		t.Errorf("arrived is %+v", got)
	}
	if got.MessageID != "01960000@shop.example" || got.Get("X-Herald-Delivery") != m.DeliveryID.String() || got.Get("Auto-Submitted") != "auto-generated" {
		t.Errorf("the header is %+v", got.Header)
	}
	if want := `"Herald" <alerts@shop.example>`; got.Get("From") != want {
		t.Errorf("From is %s, want %s", got.Get("From"), want)
	}
	if !strings.Contains(got.Get("Content-Type"), "multipart/alternative") || got.Get("Date") == "" {
		t.Errorf("the header is %+v", got.Header)
	}
}

func TestInternationalAddresses(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	s := newSender(t, accountAt(t, "main", server.Addr()))
	mustSend(t, s, to("用户@例子.example"))
	if to := server.Messages()[0].To[0]; to != "用户@例子.example" {
		t.Errorf("arrived for %s", to)
	}
}

// TestFaults: what the server does, what the message becomes, and whether the
// next one goes through on the same connection.
func TestFaults(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	for name, c := range map[string]struct {
		fault sim.Fault
		class dispatch.Class
		code  string
		dead  bool
		kept  int64
	}{
		"nobody there":            {sim.Fault{Kind: sim.Refuse}, dispatch.Permanent, "550 5.1.1", true, 0},
		"mailbox full":            {sim.Fault{Kind: sim.Refuse, Code: 552, Text: "5.2.2 full"}, dispatch.Permanent, "552 5.2.2", false, 0},
		"busy":                    {sim.Fault{Kind: sim.Temporary}, dispatch.Transient, "450 4.2.0", false, 0},
		"too fast":                {sim.Fault{Kind: sim.Temporary, Code: 451, Text: "4.7.28 slow down"}, dispatch.Throttled, "451 4.7.28", false, 0},
		"refused for its content": {sim.Fault{Kind: sim.RefuseData, Text: "5.7.1 spam"}, dispatch.Permanent, "554 5.7.1", false, 0},
		"refused late for now":    {sim.Fault{Kind: sim.RefuseData, Code: 451, Text: "4.3.0 later"}, dispatch.Transient, "451 4.3.0", false, 0},
		"shutting down":           {sim.Fault{Kind: sim.Temporary, Code: 421, Text: "4.3.2 shutting down"}, dispatch.SessionFatal, "421 4.3.2", false, 0},
		"dropped at RCPT":         {sim.Fault{Kind: sim.DropBeforeData}, dispatch.Transient, "", false, 0},
		"dropped after the mail":  {sim.Fault{Kind: sim.DropAfterData}, dispatch.Doubt, "", false, 0},
		"dropped after keeping":   {sim.Fault{Kind: sim.Doubt}, dispatch.Doubt, "", false, 1},
		"closed at once":          {sim.Fault{Kind: sim.Close}, dispatch.Transient, "", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server.Clear()
			s := newSender(t, accountAt(t, "main", server.Addr()))
			setFaults(t, server, c.fault)
			_, err := s.Send(t.Context(), message())
			failure := failureOf(t, err)
			if failure.Class != c.class || failure.Code != c.code || failure.AddressDead != c.dead || failure.Account != "main" {
				t.Errorf("gives %+v, want %+v", failure, c)
			}
			if text := failure.Error(); strings.Contains(text, "wei") {
				t.Errorf("the error has an address: %s", text)
			}
			if server.Count() != c.kept {
				t.Errorf("%d were kept, want %d", server.Count(), c.kept)
			}
			setFaults(t, server)
			mustSend(t, s, message())
		})
	}
}

// TestALostMessageIsTransientBeforeItsEnd drops the connection while a message
// too large for the buffers is being written.
func TestALostMessageIsTransientBeforeItsEnd(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{MaxMessageBytes: 100 << 20})
	s := newSender(t, accountAt(t, "main", server.Addr()))
	setFaults(t, server, sim.Fault{Kind: sim.DropInData})
	m := message()
	m.Content.Text = strings.Repeat("A line of a long message.\n", 1<<20)
	_, err := s.Send(t.Context(), m)
	if failure := failureOf(t, err); failure.Class != dispatch.Transient {
		t.Errorf("gives %v", failure.Error())
	}
}

func TestTimeOuts(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	account := accountAt(t, "main", server.Addr())
	account.Timeout = 100 * time.Millisecond
	s := newSender(t, account)
	setFaults(t, server, sim.Fault{Kind: sim.Delay, Delay: sim.Duration(time.Hour)})
	_, err := s.Send(t.Context(), message())
	if failure := failureOf(t, err); failure.Class != dispatch.Doubt || !strings.Contains(failure.Error(), "time-out") {
		t.Errorf("no answer to the message gives %v", &failure)
	}

	// A server that accepts connections and says nothing.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	account = accountAt(t, "silent", silent.Addr().String())
	account.Timeout = 100 * time.Millisecond
	_, err = newSender(t, account).Send(t.Context(), message())
	if failure := failureOf(t, err); failure.Class != dispatch.Transient || !strings.Contains(failure.Error(), "connect: time-out") {
		t.Errorf("no greeting gives %v", &failure)
	}
}

func TestTheCallersEndIsTheSendersEnd(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	account := accountAt(t, "main", server.Addr())
	account.MaxSessions = 1
	s := newSender(t, account)
	setFaults(t, server, sim.Fault{Kind: sim.Delay, Delay: sim.Duration(time.Hour), Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() {
		_, err := s.Send(ctx, message())
		sent <- err
	}()
	arrived(t, server, 1)
	// The only session is taken, so this one waits for it until its time is up.
	waiting, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	_, err := s.Send(waiting, message())
	if failure := failureOf(t, err); failure.Class != dispatch.Transient || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a session gives %v", &failure)
	}
	cancel()
	if failure := failureOf(t, <-sent); failure.Class != dispatch.Doubt {
		t.Errorf("the one that was cut off gives %v", &failure)
	}
	mustSend(t, s, message())
}

func TestSessionsAreKeptAndReplaced(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	addr := server.Addr()
	account := accountAt(t, "main", addr)
	account.CheckAfter = time.Hour // so that only sending finds out
	s := newSender(t, account)
	pool := s.accounts[0].pool
	for range 5 {
		mustSend(t, s, message())
	}
	if open := pool.Stat().TotalResources(); open != 1 {
		t.Errorf("five messages in a row took %d sessions", open)
	}
	// A refusal does not cost the session.
	setFaults(t, server, sim.Fault{Kind: sim.Refuse, Times: 1})
	if _, err := s.Send(t.Context(), message()); err == nil {
		t.Error("the refusal was not heard")
	}
	if open := pool.Stat().TotalResources(); open != 1 {
		t.Errorf("after a refusal there are %d sessions", open)
	}
	// The server restarts: the kept session is gone, and the message goes through at once.
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	again := startSim(t, sim.SMTPConfig{Addr: addr})
	mustSend(t, s, message())
	if again.Count() != 1 {
		t.Errorf("%d arrived", again.Count())
	}
	// And a session that the server ends with 421 is replaced in the same way.
	setFaults(t, again, sim.Fault{Kind: sim.Temporary, Code: 421, Text: "4.3.2 enough", Times: 1})
	mustSend(t, s, message())
}

func TestARestedSessionIsAskedFirst(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	addr := server.Addr()
	account := accountAt(t, "main", addr)
	s := newSender(t, account)
	s.accounts[0].CheckAfter = 0 // every session has rested long enough
	mustSend(t, s, message())
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	again := startSim(t, sim.SMTPConfig{Addr: addr})
	mustSend(t, s, message())
	if again.Count() != 1 {
		t.Errorf("%d arrived", again.Count())
	}
}

func TestManyAtOnceShareTheSessions(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	s := newSender(t, accountAt(t, "main", server.Addr()))
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := s.Send(t.Context(), message()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if open := s.accounts[0].pool.Stat().TotalResources(); server.Count() != 100 || open > 4 {
		t.Errorf("%d arrived over %d sessions", server.Count(), open)
	}
}

func TestIdleSessionsAreGivenBack(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	account := accountAt(t, "main", server.Addr())
	account.MinSessions = 2
	s := newSender(t, account)
	a := s.accounts[0]
	var held []*puddle.Resource[*session]
	for range 4 {
		resource, err := a.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, resource)
	}
	for _, resource := range held {
		resource.Release()
	}
	a.IdleTimeout = 0 // everything has rested long enough now
	a.closeIdle()
	if open := a.pool.Stat().IdleResources(); open != 2 {
		t.Errorf("%d sessions are left, want the least, 2", open)
	}
	mustSend(t, s, message())
}

func TestAccountsTakeOver(t *testing.T) {
	first, second := startSim(t, sim.SMTPConfig{}), startSim(t, sim.SMTPConfig{})
	firstAddr := first.Addr()
	account := accountAt(t, "first", firstAddr)
	account.RetryAfter = time.Hour
	var log bytes.Buffer
	s := newLoggingSender(t, slog.New(slog.NewTextHandler(&log, nil)), account, accountAt(t, "second", second.Addr()))
	if r := mustSend(t, s, message()); r.Account != "first" {
		t.Errorf("%s took the first", r.Account)
	}
	// A refusal is an answer: the second is not asked.
	setFaults(t, first, sim.Fault{Kind: sim.Temporary, Times: 1})
	if _, err := s.Send(t.Context(), message()); failureOf(t, err).Account != "first" {
		t.Errorf("a refusal gives %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if r := mustSend(t, s, message()); r.Account != "second" {
		t.Errorf("%s took over", r.Account)
	}
	again := startSim(t, sim.SMTPConfig{Addr: firstAddr})
	s.accounts[0].downUntil.Store(time.Now().UnixNano()) // its time is over
	if r := mustSend(t, s, message()); r.Account != "first" || again.Count() == 0 {
		t.Errorf("%s took it after the first came back", r.Account)
	}
	if text := log.String(); !strings.Contains(text, "cannot be reached") || !strings.Contains(text, "can be reached again") || strings.Contains(text, "wei") {
		t.Errorf("the log says\n%s", text)
	}
}

func TestNoAccountCanBeReached(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	addr := server.Addr()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	s := newSender(t, accountAt(t, "first", addr), accountAt(t, "second", addr))
	for range 2 { // the second time both are known to be down
		_, err := s.Send(t.Context(), message())
		if failure := failureOf(t, err); failure.Class != dispatch.Transient || failure.Account == "" {
			t.Errorf("gives %+v", failure)
		}
	}
}

func TestMessagesThatCannotBeWrittenFailForGood(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	s := newSender(t, accountAt(t, "main", server.Addr()))
	_, err := s.Send(t.Context(), to("a@b.example>\r\nRCPT TO:<c@d.example"))
	if failure := failureOf(t, err); failure.Class != dispatch.Permanent || server.Count() != 0 {
		t.Errorf("gives %+v", failure)
	}
}

func TestCloseWaitsThenBreaks(t *testing.T) {
	server := startSim(t, sim.SMTPConfig{})
	s, err := New(Config{Accounts: []Account{accountAt(t, "main", server.Addr())}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, message())
	setFaults(t, server, sim.Fault{Kind: sim.Delay, Delay: sim.Duration(time.Hour)})
	sent := make(chan error, 1)
	go func() {
		_, err := s.Send(t.Context(), message())
		sent <- err
	}()
	arrived(t, server, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closing gives %v", err)
	}
	if failure := failureOf(t, <-sent); failure.Class != dispatch.Doubt {
		t.Errorf("the message under way gives %+v", failure)
	}
	if _, err := s.Send(t.Context(), message()); failureOf(t, err).Class != dispatch.Transient {
		t.Errorf("a message after the end gives %v", err)
	}
}
