package cmpp

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/dispatch/sms/link/linktest"
	"herald/dispatch/sms/wire"
)

// The octets in this file are what another implementation (bigwhite/gocmpp, in
// its tests) makes of the tables of the specifications.

// framed puts a body into its PDU.
func framed(command, sequence uint32, body []byte) []byte {
	return protocol.Append(nil, wire.PDU{Command: command, Sequence: wire.Sequence{2: sequence}, Body: body})
}

// TestConnect has the digest of section 8.4.1.1: company 900001, secret 888888,
// 21 October 08:05:10 in Beijing, version 2.1.
func TestConnect(t *testing.T) {
	at := time.Date(2026, 10, 21, 0, 5, 10, 0, time.UTC)
	body, source := connectBody("900001", "888888", 0x21, at)
	want := linktest.Octets(t, `00 00 00 27 00 00 00 01 00 00 00 17 39 30 30 30 30 31
		90 d0 0c 1d 51 7a bd 0b 4f 65 f6 bc f8 53 5d 16 21 3c dc 73 be`)
	if got := framed(connect, 0x17, body); !bytes.Equal(got, want) {
		t.Errorf("CONNECT is\n%x, want\n%x", got, want)
	}
	if !bytes.Equal(source[:], want[18:34]) {
		t.Errorf("the digest is %x", source)
	}
}

// TestAnswersToConnect are those of section 8.4.1.2, in 2.0 and in 3.0: the
// gateway's digest covers a status of one octet, and of four.
func TestAnswersToConnect(t *testing.T) {
	var source [16]byte
	copy(source[:], linktest.Octets(t, "90 d0 0c 1d 51 7a bd 0b 4f 65 f6 bc f8 53 5d 16"))
	for name, c := range map[string]struct {
		pdu           string
		form, version byte
	}{
		"2.0": {`00 00 00 1e 80 00 00 01 00 00 00 17 00 6c 0b 84 6e 25 ba b6 da a4 ed 1c 46 6e 0f 4b d8 21`, v20, 0x21},
		"3.0": {`00 00 00 21 80 00 00 01 00 00 00 17 00 00 00 00 79 42 97 72 74 09 8c f2 10 ab 0c 16 c3 67 bc 8d 30`, v30, 0x30},
	} {
		u, err := protocol.Read(bytes.NewReader(linktest.Octets(t, c.pdu)))
		if err != nil || u.Command != connect|answer || u.Sequence[2] != 0x17 {
			t.Fatalf("%s: %+v, %v", name, u, err)
		}
		got, err := parseConnection(u.Body)
		if err != nil || got.status != 0 || got.form != c.form || got.version != c.version {
			t.Errorf("%s is %+v, %v", name, got, err)
		}
		if got.authenticator != gatewayAuthenticator(got.said, source, "888888") {
			t.Errorf("%s: the gateway's digest does not fit", name)
		}
	}
}

// TestSubmit has the widths of both versions: numbers of 21 and 32 octets, and
// the octets that only 3.0 has (3.0, section 8.4.3.1; 2.0, section 7.4.3.1).
func TestSubmit(t *testing.T) {
	a := Account{
		SPID: "900001", SourceNumber: "900001", ServiceID: "test",
		Fee: Fee{Payer: "sp", Number: "13500002696", Type: "02", Code: "10"},
	}
	s := submission{
		total: 1, number: 1, format: wire.UCS2, to: "13500002696",
		content: linktest.Octets(t, "6d4b 8bd5 0067006f0063006d00700070 0020 007300750062006d00690074"),
		until:   time.Date(2015, 11, 5, 13, 15, 55, 0, wire.Beijing),
	}
	// gocmpp's test has Msg_level 1 and another way of writing the time.
	const begin = `00 00 00 00 00 00 00 00 01 01 01 00 74 65 73 74 00 00 00 00 00 00 02`
	const until = `31 35 31 31 30 35 31 33 31 35 35 35 30 33 32 2b 00`
	const content = `1e 6d 4b 8b d5 00 67 00 6f 00 63 00 6d 00 70 00 70 00 20 00 73 00 75 00 62 00 6d 00 69 00 74`
	number := "31 33 35 30 30 30 30 32 36 39 36" + strings.Repeat(" 00", 10)
	wide := number + strings.Repeat(" 00", 11)
	fee := "39 30 30 30 30 31 30 32 31 30 00 00 00 00" + until + strings.Repeat(" 00", 17)
	source := "39 30 30 30 30 31" + strings.Repeat(" 00", 15)
	for version, want := range map[byte]string{
		v20: "000000bd 00000004 00000017" + begin + number + "00 00 08" + fee + source + "01" + number + content + strings.Repeat(" 00", 8),
		v30: "000000e1 00000004 00000017" + begin + wide + "00 00 00 08" + fee + source + "01" + wide + "00" + content + strings.Repeat(" 00", 20),
	} {
		got := framed(submit, 0x17, a.appendSubmit(nil, version, s))
		if diff := cmp.Diff(linktest.Octets(t, want), got); diff != "" {
			t.Errorf("SUBMIT of %#x:\n%s", version, diff)
		}
	}
}

// TestSubmitted has a Msg_Id whose highest bit is set: a number without sign.
func TestSubmitted(t *testing.T) {
	for version, body := range map[byte]string{
		v20: "b2 b9 da 80 00 01 00 00 08",
		v30: "b2 b9 da 80 00 01 00 00 00 00 00 08",
	} {
		got, err := parseSubmitted(linktest.Octets(t, body), version)
		if err != nil || idText(got.id) != "12878564852733378560" || got.result != 8 {
			t.Errorf("%#x is %+v, %v", version, got, err)
		}
	}
	if _, err := parseSubmitted(linktest.Octets(t, "b2 b9 da 80 00 01 00 00 00"), v30); err == nil {
		t.Error("an answer of 2.0 is read as one of 3.0")
	}
	// 5 November, 13:45:46; the fields are laid out in section 8.4.3.2.
	id := uint64(11)<<60 | 5<<55 | 13<<50 | 45<<44 | 46<<38 | 106577<<16 | 7
	if got := idWords(id); got != "1105134546-106577-7" {
		t.Errorf("the id is %s", got)
	}
}

func read(d delivery) string {
	text, _ := wire.Read(d.format, d.content) // empty: it is for no reader
	return text
}

func TestDeliver(t *testing.T) {
	tail := "39 30 30 30 30 31" + strings.Repeat(" 00", 28)
	text := "12 54 68 69 73 20 69 73 20 61 20 74 65 73 74 20 4d 4f 2e"
	from := "31 33 34 31 32 33 34 30 30 30 30"
	for version, c := range map[byte]struct{ pdu, id string }{
		v20: {"00000067 00000005 00000005 b5255280 00010000" + tail + from + strings.Repeat(" 00", 11) + text + strings.Repeat(" 00", 8), ""},
		v30: {"0000007f 00000005 00000001 b4c55300 00010000" + tail + from + strings.Repeat(" 00", 23) + text + strings.Repeat(" 00", 20), "13025908756704198656"},
	} {
		u, err := protocol.Read(bytes.NewReader(linktest.Octets(t, c.pdu)))
		if err != nil {
			t.Fatal(err)
		}
		d, err := parseDelivery(u.Body, version)
		if err != nil || d.to != "900001" || d.from != "13412340000" || d.isReport || d.pseudo || d.hasUDH || read(d) != "This is a test MO." {
			t.Errorf("DELIVER of %#x is %+v, %v", version, d, err)
		}
		if c.id != "" && idText(d.id) != c.id {
			t.Errorf("its id is %d", d.id)
		}
	}
	if got := deliveredBody(v30, 13025908756704198656, 8); !bytes.Equal(got, linktest.Octets(t, "b4c55300 00010000 00000008")) {
		t.Errorf("its answer is %x", got)
	}
	if got := deliveredBody(v20, 13052947396898652160, 0); !bytes.Equal(got, linktest.Octets(t, "b5256280 00010000 00")) {
		t.Errorf("its answer is %x", got)
	}
}

// TestReport reads a report whose number has 21 octets, as gateways of both
// versions write it, and one with 32 (section 8.4.5.1).
func TestReport(t *testing.T) {
	begin := "b4c55300 00010000 44454c49565244 31353131313230393535 31353131313230393537 3133343132333430303030"
	for _, zeros := range []int{10, 21} {
		r, err := parseReport(linktest.Octets(t, begin+strings.Repeat(" 00", zeros)+"12345678"))
		if err != nil || idText(r.id) != "13025908756704198656" || r.stat != "DELIVRD" || !r.done.Equal(time.Date(2015, 11, 12, 1, 57, 0, 0, time.UTC)) {
			t.Errorf("with %d zeros it is %+v, %v", zeros, r, err)
		}
	}
	if _, err := parseReport(linktest.Octets(t, "b4c55300 00010000 44454c495652")); err == nil {
		t.Error("half a report is read")
	}
}

// FuzzGateway: whatever a gateway says, it is read or refused.
func FuzzGateway(f *testing.F) {
	f.Add(linktest.Octets(f, "b4c55300 00010000 44454c49565244 31353131313230393535 31353131313230393537 3133343132333430303030 00000000000000000000 12345678"))
	f.Add(linktest.Octets(f, "00 00 00 00 79 42 97 72 74 09 8c f2 10 ab 0c 16 c3 67 bc 8d 30"))
	f.Add(linktest.Octets(f, "b2 b9 da 80 00 01 00 00 00"))
	f.Add(linktest.Octets(f, "b5255280 00010000 393030303031"+strings.Repeat("00", 28)+"3133343132333430303030"+strings.Repeat("00", 11)+"03414243"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if c, err := parseConnection(body); err == nil && len(body) < len(c.authenticator)+len(c.said)+1 {
			t.Errorf("%d octets are an answer to CONNECT: %+v", len(body), c)
		}
		for _, version := range []byte{v20, v30} {
			_, _ = parseSubmitted(body, version) // it may be refused
			d, err := parseDelivery(body, version)
			if err == nil && (len(d.content) > 255 || len(d.from) > 32 || len(d.to) > 21) {
				t.Errorf("%+v is longer than its fields", d)
			}
			_ = read(d)
		}
		if r, err := parseReport(body); err == nil && len(r.stat) > 7 {
			t.Errorf("the Stat is %q", r.stat)
		}
	})
}
