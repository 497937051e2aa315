package smpp

import (
	"errors"
	"slices"
	"testing"
	"time"

	"herald/dispatch"
	"herald/dispatch/sms"
	"herald/dispatch/sms/smpp/pdu"
	"herald/problem"
)

func TestDefaults(t *testing.T) {
	c := newClient(t, Account{Name: "a", Host: "smsc.example", SystemID: "herald", Source: "+8610010"}, nil)
	cfg := c.cfg
	if cfg.Port != 2775 || cfg.Window != 10 || cfg.Timeout != 30*time.Second || cfg.EnquireEvery != 30*time.Second ||
		cfg.Bind != bindTransceiver || cfg.Alphabet != alphabetGSM7 || cfg.LongMessages != longUDH || cfg.ReceiptIDs != idsAuto || cfg.TLS != tlsNone {
		t.Errorf("the defaults are %+v", cfg)
	}
	if c.Channel() != "sms" || c.Account() != "a" {
		t.Errorf("it is %s on %s", c.Account(), c.Channel())
	}
}

func TestSourcesLookLikeWhatTheyAre(t *testing.T) {
	for source, want := range map[string]pdu.Address{
		"":              {},
		"+8613800000":   {TON: pdu.International, NPI: pdu.ISDN, Number: "8613800000"},
		"8613800000000": {TON: pdu.International, NPI: pdu.ISDN, Number: "8613800000000"},
		"10690":         {TON: pdu.NetworkSpecific, Number: "10690"},
		"SHOP":          {TON: pdu.Alphanumeric, Number: "SHOP"},
	} {
		if c := newClient(t, Account{Name: "a", Host: "h", SystemID: "s", Source: source}, nil); c.source != want {
			t.Errorf("%q is %+v, want %+v", source, c.source, want)
		}
	}
}

func TestMistakesAreNamedByTheirFields(t *testing.T) {
	_, err := NewClient(Account{
		Host: "smsc.example:2775/", Port: -1, TLS: "starttls", Password: "much too long", Bind: "both", Source: "a name that is too long",
		Window: 5000, Timeout: time.Nanosecond, EnquireEvery: -1, Alphabet: "utf8", LongMessages: "cut", ReceiptIDs: "octal", Languages: []sms.Language{sms.Turkish}, RootCAs: "/nowhere",
	}, nil)
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != problem.Invalid {
		t.Fatalf("it gives %v", err)
	}
	var fields []string
	for _, f := range p.Fields {
		fields = append(fields, f.Path)
	}
	for _, want := range []string{"name", "host", "port", "tls", "system_id", "password", "bind", "source", "window", "timeout", "enquire_every", "alphabet", "long_messages", "receipt_ids", "languages", "root_cas"} {
		if !slices.Contains(fields, want) {
			t.Errorf("%s is not named: %v", want, fields)
		}
	}
}

func TestMessagesThatCannotBeSentAreRefused(t *testing.T) {
	c := newClient(t, Account{Name: "a", Host: "h", SystemID: "s"}, nil)
	w := writer{client: c}
	composed, err := c.compose(&w.composer, "hello")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "+", "8613800000000", "+86 138", "+861380000000012345678", "x@example.com"} {
		m := to(address, "hello")
		if _, err := w.append(nil, 1, &m, portion{composed: composed}); !errors.Is(err, errNumber) {
			t.Errorf("%q gives %v", address, err)
		}
	}
	late := to("+8613800000000", "hello")
	late.ExpiresAt = time.Now().Add(-time.Second)
	if _, err := w.append(nil, 1, &late, portion{composed: composed}); !errors.Is(err, errExpired) {
		t.Errorf("an expired message gives %v", err)
	}
}

func TestValidityIsInUTC(t *testing.T) {
	c := newClient(t, Account{Name: "a", Host: "h", SystemID: "s"}, nil)
	c.now = func() time.Time { return time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC) }
	w := writer{client: c}
	if err := w.setValidity(time.Date(2026, 11, 22, 20, 30, 15, 0, time.FixedZone("CST", 8*3600))); err != nil || w.validity != "261122123015000+" {
		t.Errorf("it is %q, %v", w.validity, err)
	}
}

func TestEveryStatusHasItsClass(t *testing.T) {
	c := newClient(t, Account{Name: "a", Host: "h", SystemID: "s", UnknownNumber: []string{"0x401", "21"}}, nil)
	for status, want := range map[pdu.Status]dispatch.Class{
		pdu.RTHROTTLED: dispatch.Throttled, pdu.RMSGQFUL: dispatch.Throttled,
		pdu.RSYSERR: dispatch.Transient, pdu.RXTAPPN: dispatch.Transient, 0x4FF: dispatch.Transient, 0xFFFF: dispatch.Transient,
		pdu.RINVDSTADR: dispatch.Permanent, pdu.RSUBMITFAIL: dispatch.Permanent, pdu.RINVMSGLEN: dispatch.Permanent,
		pdu.RINVSRCADR: dispatch.Configuration, pdu.RINVBNDSTS: dispatch.SessionFatal,
	} {
		if f := c.refused(status); f.Class != want || f.AddressDead || f.Code == "" || f.Account != "a" {
			t.Errorf("%v is %+v, want %s", status, f, want)
		}
	}
	if f := c.refused(0x401); f.Class != dispatch.Permanent || !f.AddressDead {
		t.Errorf("the operator's own word for an unknown number is %+v", f)
	}
	for code, want := range map[string]bool{"21": true, "0x00000401": true, "1025": false, "0x15": false, "": false} {
		if c.isUnknownNumber(code) != want {
			t.Errorf("%q says that a number is unknown: %v", code, !want)
		}
	}
}
