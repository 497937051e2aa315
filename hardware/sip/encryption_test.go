package sip_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sim/phone"
	"herald/hardware/sip"
	"herald/hardware/sip/siptest"
)

// TestBaresipSpeaksEncrypted, also after a hold, and takes no call whose sound is
// plain.
func TestBaresipSpeaksEncrypted(t *testing.T) {
	t.Parallel()
	server, client := siptest.Certificate(t)
	for _, transport := range []sip.Transport{sip.UDP, sip.TLS} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			says := siptest.Prompt(t, "Hello. This is me.")
			far, secure := siptest.EncryptedPhone(t, append(make([]int16, 4000), append(says, make([]int16, 20*8000)...)...), server)
			at := map[sip.Transport]string{sip.UDP: far.Addr, sip.TLS: secure}[transport]
			line := trunk(t, sip.Config{Server: at, Transport: transport, TLS: client, AskEvery: -1, Encryption: sip.RequiredEncryption})
			steps := make(chan sip.StepKind, 100)
			call, err := line.Call(t.Context(), "callee", sip.CallOptions{Watch: func(s sip.Step) { steps <- s.Kind }})
			if err != nil {
				t.Fatalf("%v\n%s", err, far.Said())
			}
			stop := call.Record(time.Minute)
			prompt := siptest.Prompt(t, "To confirm, press one.")
			if _, err := call.Play(t.Context(), prompt); err != nil {
				t.Error(err)
			}
			presses(t, far, call, "1#")
			if like := siptest.Likeness(says, stop()); like < siptest.Like {
				t.Errorf("baresip is heard with a likeness of %.3f", like)
			}
			far.Command(t, "hold", "")
			happens(t, steps, sip.Held)
			far.Command(t, "resume", "")
			happens(t, steps, sip.Resumed)
			presses(t, far, call, "7")
			if err := call.Press(t.Context(), "5"); err != nil {
				t.Error(err)
			}
			far.UntilSaid("received event: '5' (end=1)")
			far.UntilSaid("SRTP is Enabled (cryptosuite=AES_CM_128_HMAC_SHA1_80)")
			if err := call.Hangup(t.Context()); err != nil {
				t.Error(err)
			}
			if like := siptest.Likeness(prompt, far.Heard(t)); like < siptest.Like {
				t.Errorf("baresip hears the prompt with a likeness of %.3f", like)
			}
			plain := trunk(t, sip.Config{Server: at, Transport: transport, TLS: client, AskEvery: -1})
			if _, err := plain.Call(t.Context(), "callee", sip.CallOptions{}); sip.ClassOf(err) != sip.NoSound {
				t.Errorf("a plain call gives %v", err)
			}
		})
	}
}

// presses has baresip press digits, which are heard.
func presses(t *testing.T, far siptest.Baresip, call *sip.Call, digits string) {
	t.Helper()
	for _, digit := range digits {
		far.Command(t, "sndcode", string(digit))
		select {
		case heard := <-call.Digits():
			if heard != digit {
				t.Errorf("%c is heard as %c", digit, heard)
			}
		case <-time.After(peers.Patience):
			t.Fatalf("%c is never heard", digit)
		}
	}
}

// happens waits for a step of a call.
func happens(t *testing.T, steps <-chan sip.StepKind, want sip.StepKind) {
	t.Helper()
	limit := time.After(peers.Patience)
	for {
		select {
		case kind := <-steps:
			if kind == want {
				return
			}
		case <-limit:
			t.Fatalf("%s never happens", want)
		}
	}
}

// encrypted is a description with the sound of SIPp, whose key is one of the
// examples of RFC 4568.
func encrypted(tag string) string {
	return strings.Replace(siptest.Sound, "RTP/AVP", "RTP/SAVP", 1) + "\na=crypto:" + tag + " AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31"
}

func TestWhoWouldNotEncryptIsNotSpokenWith(t *testing.T) {
	hungUp := siptest.Gets("ACK") + siptest.Gets("BYE") + siptest.Answer("200 OK", "")
	for name, scenario := range map[string]string{
		"plain sound":     siptest.Answer("200 OK", siptest.Sound) + hungUp,
		"no sound":        siptest.Answer("200 OK", strings.NewReplacer("[media_port] RTP/AVP", "0 RTP/SAVP").Replace(siptest.Sound)) + hungUp,
		"no key":          siptest.Answer("200 OK", strings.Replace(siptest.Sound, "RTP/AVP", "RTP/SAVP", 1)) + hungUp,
		"another's offer": siptest.Answer("200 OK", encrypted("3")) + hungUp,
		"a refusal":       siptest.Answer("488 Not Acceptable Here", "") + siptest.Gets("ACK"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := siptest.Playing(t, scenario, "-m", "1")
			_, err := trunk(t, sip.Config{Server: far.Addr, AskEvery: -1, Encryption: sip.RequiredEncryption}).Call(t.Context(), "15550199", sip.CallOptions{})
			if sip.ClassOf(err) != sip.NoSound {
				t.Errorf("it is %v", err)
			}
			far.Succeeded()
		})
	}
}

// TestACallStaysEncrypted: another key is taken, plain sound is not.
func TestACallStaysEncrypted(t *testing.T) {
	t.Parallel()
	const provisional = `<recv response="100" optional="true"></recv>`
	rekeyed := strings.Replace(encrypted("1"), "d0Rm", "d0Rn", 1)
	far := siptest.Playing(t, siptest.Answer("200 OK", encrypted("1"))+siptest.Gets("ACK")+
		siptest.Ask("INVITE", 1, siptest.Sound, "Content-Type: application/sdp")+provisional+siptest.Gets("488")+siptest.Ask("ACK", 1, "")+
		siptest.Ask("INVITE", 2, rekeyed, "Content-Type: application/sdp")+provisional+`<recv response="200"><action>
<ereg regexp="RTP/SAVP .*a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" search_in="body" check_it="true" assign_to="dummy"/></action></recv><Reference variables="dummy"/>`+siptest.Ask("ACK", 2, "")+
		siptest.Ask("BYE", 3, "")+siptest.Gets("200"), "-m", "1")
	call, err := trunk(t, sip.Config{Server: far.Addr, AskEvery: -1, Encryption: sip.RequiredEncryption}).Call(t.Context(), "15550199", sip.CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	far.HangsUp(t, call.Done())
	far.Succeeded()
}

// TestAnEncryptedCall, and that keys which can be read are warned of, once, and
// not told.
func TestAnEncryptedCall(t *testing.T) {
	server, client := siptest.Certificate(t)
	prompt := siptest.Prompt(t, "Your train leaves at ten.")
	for transport, warnings := range map[sip.Transport]int{sip.UDP: 1, sip.TLS: 0} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			p := phones(t, phone.Config{TLS: server}, phone.Fault{Number: "1", Kind: phone.Quiet}, phone.Fault{Kind: phone.Quiet, Early: true, AnswerAfter: phone.Duration(300 * time.Millisecond), Press: []phone.Press{{Digits: "1#"}}})
			address := p.Addr()
			if transport == sip.TLS {
				address = p.TLSAddr()
			}
			var log bytes.Buffer
			line := trunk(t, sip.Config{
				Server: address, Transport: transport, TLS: client, AskEvery: -1, Encryption: sip.RequiredEncryption, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			call, err := line.Call(t.Context(), "+15550142", sip.CallOptions{})
			if err != nil {
				t.Fatal(err)
			}
			pressed := string([]rune{<-call.Digits(), <-call.Digits()})
			if _, err := call.Play(t.Context(), prompt); err != nil {
				t.Error(err)
			}
			if err := call.Press(t.Context(), "9"); err != nil {
				t.Error(err)
			}
			if err := call.Hangup(t.Context()); err != nil {
				t.Error(err)
			}
			c := last(t, p, 1)
			if like := siptest.Likeness(prompt, c.Heard); !c.Encrypted || c.Digits != "9" || pressed != "1#" || like < siptest.Like {
				t.Errorf("encrypted %t, the phone heard %q with a likeness of %.3f, and pressed %q", c.Encrypted, c.Digits, like, pressed)
			}
			if call, err = line.Call(t.Context(), "1", sip.CallOptions{}); err == nil {
				err = call.Hangup(t.Context())
			}
			if err == nil {
				err = line.Close()
			}
			if err != nil {
				t.Error(err)
			}
			if said := log.String(); strings.Count(said, "use TLS") != warnings || strings.Contains(said, "inline") {
				t.Errorf("the log is %q", said)
			}
		})
	}
}

// TestAnEncryptedCallByNameFits into a packet of UDP, which has the proof of
// who we are in it, too.
func TestAnEncryptedCallByNameFits(t *testing.T) {
	t.Parallel()
	far := siptest.Playing(t, siptest.Answer("200 OK", encrypted("1"), "[last_Record-Route:]")+siptest.Gets("ACK")+siptest.Gets("BYE")+siptest.Answer("200 OK", ""), "-m", "1")
	proxy := siptest.Kamailio(t, far.Addr)
	line := trunk(t, sip.Config{
		Server: proxy.Addr, Domain: "herald.example", Username: "herald", Password: "secret", FromName: "A name of thirty-two characters.", AskEvery: -1,
		Encryption: sip.RequiredEncryption,
	})
	call, err := line.Call(t.Context(), "+8613800138000", sip.CallOptions{})
	if err != nil {
		t.Fatalf("%v\n%s", err, far.Said())
	}
	if err := call.Hangup(t.Context()); err != nil {
		t.Error(err)
	}
	far.Succeeded()
	long := trunk(t, sip.Config{Server: proxy.Addr, FromName: strings.Repeat("a name too long ", 50), AskEvery: -1, Encryption: sip.RequiredEncryption})
	if _, err := long.Call(t.Context(), "1", sip.CallOptions{}); sip.ClassOf(err) != sip.Unreachable || !strings.Contains(err.Error(), "use TCP or TLS") {
		t.Errorf("what does not fit gives %v", err)
	}
}
