package email

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"strings"
	"syscall"
	"testing"

	"herald/dispatch"
)

func TestRepliesAreClassified(t *testing.T) {
	for _, c := range []struct {
		at    stage
		reply string
		class dispatch.Class
		dead  bool
	}{
		{connecting, "421 4.3.2 Service not available", dispatch.SessionFatal, false},
		{connecting, "421 4.7.0 Too many connections from your host", dispatch.Throttled, false},
		{connecting, "554 5.7.1 Your host is blocked", dispatch.Configuration, false},
		{signingIn, "535 5.7.8 Username and Password not accepted", dispatch.Configuration, false},
		{signingIn, "454 4.7.0 Temporary authentication failure", dispatch.Transient, false},
		{naming, "530 5.7.0 Must issue a STARTTLS command first", dispatch.Configuration, false},
		{naming, "553 5.7.1 Sender address rejected: not owned by user", dispatch.Configuration, false},
		{naming, "550 5.1.8 Bad sender's system address", dispatch.Configuration, false},
		{naming, "552 5.3.4 Message size exceeds fixed limit", dispatch.Permanent, false},
		{naming, "550 5.6.7 SMTPUTF8 required", dispatch.Permanent, false},
		{naming, "421 4.4.2 idle for too long", dispatch.SessionFatal, false},
		{naming, "452 4.3.1 Insufficient system storage", dispatch.Transient, false},
		{addressing, "550 5.1.1 The email account that you tried to reach does not exist", dispatch.Permanent, true},
		{addressing, "550 5.1.2 no such domain", dispatch.Permanent, true},
		{addressing, "553 5.1.3 bad syntax", dispatch.Permanent, true},
		{addressing, "551 5.1.6 has moved", dispatch.Permanent, true},
		{addressing, "556 5.1.10 the domain takes no mail", dispatch.Permanent, true},
		{addressing, "550 5.2.1 mailbox disabled", dispatch.Permanent, false},
		{addressing, "552 5.2.2 mailbox full", dispatch.Permanent, false},
		{addressing, "550 5.4.4 unable to route", dispatch.Permanent, false},
		{addressing, "550 5.7.1 rejected by policy: unknown user", dispatch.Permanent, false},
		{addressing, "554 5.7.1 Relay access denied", dispatch.Configuration, false},
		{addressing, "550 relaying denied", dispatch.Configuration, false},
		{addressing, "550 No such user here", dispatch.Permanent, true},
		{addressing, "550 User unknown", dispatch.Permanent, true},
		{addressing, "550 Recipient address rejected: User does not exist", dispatch.Permanent, true},
		{addressing, "550 Requested action not taken: mailbox unavailable", dispatch.Permanent, false},
		{addressing, "550 Message refused", dispatch.Permanent, false},
		{addressing, "554 no such user", dispatch.Permanent, false},
		{addressing, "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages", dispatch.Throttled, false},
		{addressing, "450 4.2.1 mailbox temporarily disabled", dispatch.Transient, false},
		{addressing, "450 4.7.1 Greylisted, you exceed our rate limit for new senders", dispatch.Transient, false},
		{addressing, "451 4.7.1 Please try again later", dispatch.Transient, false},
		{addressing, "452 4.5.3 Too many recipients", dispatch.Throttled, false},
		{addressing, "450 mailbox busy", dispatch.Transient, false},
		{starting, "451 4.3.0 try later", dispatch.Transient, false},
		{starting, "554 5.5.1 no valid recipients", dispatch.Permanent, false},
		{ending, "550 5.7.1 looks like spam", dispatch.Permanent, false},
		{ending, "550 5.1.1 found out late", dispatch.Permanent, true},
		{ending, "554 no such user", dispatch.Permanent, false},
		{ending, "421 4.7.28 unusual rate of unsolicited mail", dispatch.Throttled, false},
		{ending, "451 4.3.0 queue file write error", dispatch.Transient, false},
	} {
		code, words, _ := strings.Cut(c.reply, " ")
		reply := &textproto.Error{Msg: words}
		if _, err := fmt.Sscan(code, &reply.Code); err != nil {
			t.Fatal(err)
		}
		got := classify(c.at, fmt.Errorf("wrapped: %w", reply))
		if got.Class != c.class || got.AddressDead != c.dead {
			t.Errorf("%s at stage %d is %s, dead %v; want %s, %v", c.reply, c.at, got.Class, got.AddressDead, c.class, c.dead)
		}
		if !strings.HasPrefix(c.reply, got.Code) || len(got.Code) < 3 {
			t.Errorf("%s has the code %q", c.reply, got.Code)
		}
	}
}

func TestFailuresWithoutAReplyAreClassified(t *testing.T) {
	odd := &textproto.Error{Code: 250, Msg: "what?"}
	for name, c := range map[string]struct {
		at    stage
		err   error
		class dispatch.Class
	}{
		"nobody listens":             {connecting, &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}, dispatch.Transient},
		"a certificate":              {connecting, x509.UnknownAuthorityError{}, dispatch.Configuration},
		"a name":                     {connecting, x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}, dispatch.Configuration},
		"no STARTTLS":                {connecting, errNoStartTLS, dispatch.Configuration},
		"no way to sign in":          {signingIn, errNoAuth, dispatch.Configuration},
		"lost while signing in":      {signingIn, io.EOF, dispatch.Transient},
		"lost before the message":    {addressing, io.EOF, dispatch.Transient},
		"time-out at DATA":           {starting, os.ErrDeadlineExceeded, dispatch.Transient},
		"lost within the message":    {writing, syscall.EPIPE, dispatch.Transient},
		"lost after the dot":         {ending, io.EOF, dispatch.Doubt},
		"time-out after the dot":     {ending, os.ErrDeadlineExceeded, dispatch.Doubt},
		"broken off after the dot":   {ending, errors.Join(context.Canceled, os.ErrDeadlineExceeded), dispatch.Doubt},
		"nonsense after the dot":     {ending, textproto.ProtocolError("short response"), dispatch.Doubt},
		"an odd answer to the dot":   {ending, odd, dispatch.Doubt},
		"an odd answer before it":    {starting, odd, dispatch.SessionFatal},
		"nonsense before the dot":    {naming, textproto.ProtocolError("short response"), dispatch.Transient},
		"a time-out in the greeting": {connecting, os.ErrDeadlineExceeded, dispatch.Transient},
	} {
		if got := classify(c.at, c.err); got.Class != c.class || got.AddressDead || got.Err == nil {
			t.Errorf("%s is %v, want %s", name, got, c.class)
		}
	}
}

func TestRepliesAreRecordedWithoutAddresses(t *testing.T) {
	err := classify(addressing, &textproto.Error{Code: 550, Msg: "5.1.1 <Wei+x@example.com>: Recipient\nwei+x@example.com rejected\x07" + strings.Repeat("x", 1000)})
	if text := err.Error(); strings.Contains(strings.ToLower(text), "wei") || strings.ContainsAny(text, "\n\x07") || len(text) > 500 {
		t.Errorf("the record says %q", text)
	}
}

func TestReceipts(t *testing.T) {
	for text, c := range map[string]struct{ id, code string }{
		"2.0.0 Ok: queued as 4XyZ1234ab":                       {"4XyZ1234ab", "250 2.0.0"},
		"Ok: queued as 12345":                                  {"12345", "250"},
		"OK id=1tBc2d-000000001Ab-2CdE":                        {"1tBc2d-000000001Ab-2CdE", "250"},
		"2.0.0 5A1B2C3D4E5F Message accepted for delivery":     {"5A1B2C3D4E5F", "250 2.0.0"},
		"2.6.0 <a@b> [InternalId=12345678, Hostname=x] Queued": {"12345678", "250 2.6.0"},
		"Ok 0100018f1a2b3c4d-12345678-9abc-def0-1234-000000":   {"0100018f1a2b3c4d-12345678-9abc-def0-1234-000000", "250"},
		"2.0.0 OK  1712345678 a1-20020a05.123 - gsmtp":         {"a1-20020a05.123", "250 2.0.0"},
		"2.0.0 thank you":                                      {"", "250 2.0.0"},
		"":                                                     {"", "250"},
	} {
		got := receipt("main", 250, text)
		if got.ProviderID != c.id || got.Code != c.code || got.Account != "main" || strings.Contains(got.Detail, "@") {
			t.Errorf("%q gives %+v, want %+v", text, got, c)
		}
	}
}
