package smpp

import (
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"herald/dispatch"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/smpp/pdu"
	"herald/hardware/sim/smsc"
	"herald/postgres/pgtest"
)

// TestBindRefusalsAreToldApart.
func TestBindRefusalsAreToldApart(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{MostSessions: 1})
	client := newClient(t, accountAt(t, s.Addr()), nil)
	for status, want := range map[pdu.Status]dispatch.Class{
		pdu.RINVPASWD: dispatch.Configuration, pdu.RINVSYSID: dispatch.Configuration, pdu.RINVSYSTYP: dispatch.Configuration,
		pdu.RALYBND: dispatch.Transient, pdu.RBINDFAIL: dispatch.Transient, pdu.RSYSERR: dispatch.Transient,
		pdu.RTHROTTLED: dispatch.Throttled, 0x401: dispatch.Transient,
	} {
		setFaults(t, s, smsc.Fault{Kind: smsc.RefuseBind, Status: status})
		_, err := client.Open(t.Context())
		if f := failure(t, err); f.Class != want || f.Code != status.String() {
			t.Errorf("%v gives %v, want %s", status, err, want)
		}
	}
	setFaults(t, s)
	open(t, client)
	if _, err := client.Open(t.Context()); err == nil || failure(t, err).Code != pdu.RALYBND.String() {
		t.Errorf("one session too many gives %v", err)
	}
	away := newClient(t, accountAt(t, s.Addr()), nil)
	away.cfg.Port = 1
	if _, err := away.Open(t.Context()); err == nil || failure(t, err).Class != dispatch.Transient {
		t.Errorf("nobody there gives %v", err)
	}
}

// TestAPairIsOneSession.
func TestAPairIsOneSession(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{})
	account := accountAt(t, s.Addr())
	account.Bind = bindPair
	client := newClient(t, account, parts.NewStore(pgtest.New(t)))
	heard, session := listen(t, client), open(t, client)
	r, err := session.Send(t.Context(), to("+8613800000001", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	heard.reported(r.ProviderID, dispatch.ReportDelivered)
	if s.Sessions() != 2 {
		t.Errorf("there are %d connections", s.Sessions())
	}
	session.receiver.end(errTheirs)
	if !session.Broken() {
		t.Error("half of it is gone, but it is not broken")
	}
}

func TestAReceiverSendsNothing(t *testing.T) {
	t.Parallel()
	s := startSMSC(t, smsc.Config{})
	account := accountAt(t, s.Addr())
	account.Bind = bindReceiver
	client := newClient(t, account, parts.NewStore(pgtest.New(t)))
	heard, session := listen(t, client), open(t, client)
	if _, err := session.Send(t.Context(), to("+8613800000001", "hello")); failure(t, err).Class != dispatch.Configuration {
		t.Errorf("it gives %v", err)
	}
	if err := s.Say("8613900000000", "SHOP", "hello"); err != nil {
		t.Fatal(err)
	}
	heard.until("a message", func() bool { return len(heard.inbound) == 1 })
}

func TestTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	s := startSMSC(t, smsc.Config{TLS: web.TLS})
	account := accountAt(t, s.Addr())
	account.TLS = tlsFirst
	if _, err := newClient(t, account, nil).Open(t.Context()); err == nil || failure(t, err).Class != dispatch.Configuration {
		t.Errorf("a certificate that nobody we trust signed gives %v", err)
	}
	account.RootCAs = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(account.RootCAs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, newClient(t, account, nil)).Send(t.Context(), to("+8613800000001", "hello")); err != nil {
		t.Error(err)
	}
	plain := startSMSC(t, smsc.Config{})
	account = accountAt(t, plain.Addr())
	account.TLS = tlsFirst
	if _, err := newClient(t, account, nil).Open(t.Context()); err == nil {
		t.Error("a centre without TLS is let through")
	}
}

// TestTheCentreEndsTheSession, politely: nothing is in doubt.
func TestTheCentreEndsTheSession(t *testing.T) {
	s := startSMSC(t, smsc.Config{})
	client := newClient(t, accountAt(t, s.Addr()), nil)
	session := open(t, client)
	if _, err := session.Send(t.Context(), to("+8613800000001", "hello")); err != nil {
		t.Fatal(err)
	}
	s.UnbindAll()
	<-session.link.down
	if !session.Broken() || !errors.Is(session.link.reason(), errUnbound) {
		t.Errorf("it is down because of %v", session.link.reason())
	}
	if _, err := session.Send(t.Context(), to("+8613800000002", "hello")); failure(t, err).Class != dispatch.SessionFatal {
		t.Errorf("a message gives %v", err)
	}
	if err := session.Alive(t.Context()); err == nil {
		t.Error("it says that it is alive")
	}
}
