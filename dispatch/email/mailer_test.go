package email

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"herald/dispatch"
	"herald/hardware/sim/smtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startSim(t *testing.T, cfg smtp.Config) *smtp.Server {
	t.Helper()
	server := smtp.New(cfg)
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

func setFaults(t *testing.T, server *smtp.Server, faults ...smtp.Fault) {
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
		From: "alerts@shop.example", FromName: "Herald", Timeout: answerWithin,
	}
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

// send hands m over on a new session.
func send(t *testing.T, account Account, m dispatch.Message) (dispatch.Receipt, error) {
	t.Helper()
	mailer, err := NewMailer(account, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := mailer.Open(t.Context())
	if err != nil {
		return dispatch.Receipt{}, err
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	return s.Send(t.Context(), m)
}

func mustSend(t *testing.T, account Account, m dispatch.Message) dispatch.Receipt {
	t.Helper()
	r, err := send(t, account, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func to(address string) dispatch.Message {
	m := message()
	m.Address = address
	return m
}

func TestAMessageArrives(t *testing.T) {
	server := startSim(t, smtp.Config{})
	account := accountAt(t, "main", server.Addr())
	m := message()
	m.Name = `Wei "降" <x@y.example>`
	r := mustSend(t, account, m)
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
	server := startSim(t, smtp.Config{})
	account := accountAt(t, "main", server.Addr())
	mustSend(t, account, to("用户@例子.example"))
	if to := server.Messages()[0].To[0]; to != "用户@例子.example" {
		t.Errorf("arrived for %s", to)
	}
}

// TestFaults: what the server does, what the message becomes, and that the
// next one goes through.
func TestFaults(t *testing.T) {
	server := startSim(t, smtp.Config{})
	for name, c := range map[string]struct {
		fault smtp.Fault
		class dispatch.Class
		code  string
		dead  bool
		kept  int64
	}{
		"nobody there":            {smtp.Fault{Kind: smtp.Refuse}, dispatch.Permanent, "550 5.1.1", true, 0},
		"mailbox full":            {smtp.Fault{Kind: smtp.Refuse, Code: 552, Text: "5.2.2 full"}, dispatch.Permanent, "552 5.2.2", false, 0},
		"busy":                    {smtp.Fault{Kind: smtp.Temporary}, dispatch.Transient, "450 4.2.0", false, 0},
		"too fast":                {smtp.Fault{Kind: smtp.Temporary, Code: 451, Text: "4.7.28 slow down"}, dispatch.Throttled, "451 4.7.28", false, 0},
		"refused for its content": {smtp.Fault{Kind: smtp.RefuseData, Text: "5.7.1 spam"}, dispatch.Permanent, "554 5.7.1", false, 0},
		"refused late for now":    {smtp.Fault{Kind: smtp.RefuseData, Code: 451, Text: "4.3.0 later"}, dispatch.Transient, "451 4.3.0", false, 0},
		"shutting down":           {smtp.Fault{Kind: smtp.Temporary, Code: 421, Text: "4.3.2 shutting down"}, dispatch.SessionFatal, "421 4.3.2", false, 0},
		"dropped at RCPT":         {smtp.Fault{Kind: smtp.DropBeforeData}, dispatch.Transient, "", false, 0},
		"dropped after the mail":  {smtp.Fault{Kind: smtp.DropAfterData}, dispatch.Doubt, "", false, 0},
		"dropped after keeping":   {smtp.Fault{Kind: smtp.Doubt}, dispatch.Doubt, "", false, 1},
		"closed at once":          {smtp.Fault{Kind: smtp.Close}, dispatch.Transient, "", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server.Clear()
			account := accountAt(t, "main", server.Addr())
			setFaults(t, server, c.fault)
			_, err := send(t, account, message())
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
			mustSend(t, account, message())
		})
	}
}

// TestALostMessageIsTransientBeforeItsEnd drops the connection while a message
// too large for the buffers is being written.
func TestALostMessageIsTransientBeforeItsEnd(t *testing.T) {
	server := startSim(t, smtp.Config{MaxMessageBytes: 100 << 20})
	account := accountAt(t, "main", server.Addr())
	setFaults(t, server, smtp.Fault{Kind: smtp.DropInData})
	m := message()
	m.Content.Text = strings.Repeat("A line of a long message.\n", 1<<20)
	_, err := send(t, account, m)
	if failure := failureOf(t, err); failure.Class != dispatch.Transient {
		t.Errorf("gives %v", failure.Error())
	}
}

func TestTimeOuts(t *testing.T) {
	server := startSim(t, smtp.Config{})
	account := accountAt(t, "main", server.Addr())
	account.Timeout = 2 * time.Second // of all answers but the last, which come
	setFaults(t, server, smtp.Fault{Kind: smtp.Delay, Delay: smtp.Duration(time.Hour)})
	_, err := send(t, account, message())
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
	_, err = send(t, account, message())
	if failure := failureOf(t, err); failure.Class != dispatch.Transient || !strings.Contains(failure.Error(), "connect: time-out") {
		t.Errorf("no greeting gives %v", &failure)
	}
}

func TestNobodyListens(t *testing.T) {
	server := startSim(t, smtp.Config{})
	account := accountAt(t, "main", server.Addr())
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := send(t, account, message())
	if failure := failureOf(t, err); failure.Class != dispatch.Transient || failure.Account != "main" {
		t.Errorf("gives %+v", failure)
	}
}
