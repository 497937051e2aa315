package email

import (
	"bufio"
	"bytes"
	"io"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"herald/dispatch"
	"herald/templates"
)

func message() dispatch.Message {
	return dispatch.Message{
		DeliveryID: uuid.MustParse("01960000-0000-7000-8000-000000000001"), Attempt: 1, WireID: "01960000",
		Address: "wei@example.com", Name: "Wei Zhang",
		Content:        templates.Content{Subject: "Teapot is now €45.00", HTML: "<p>Teapot is now <b>€45.00</b>.</p>", Text: "Teapot is now €45.00."},
		UnsubscribeURL: "https://alerts.shop.example/u/1.abc",
	}
}

func wire(t interface{ Fatal(...any) }, m dispatch.Message) string {
	c := newComposer(netmail.Address{Name: "Herald & Söhne", Address: "alerts@shop.example"}, "shop.example", time.Now)
	if err := c.check(&m); err != nil {
		t.Fatal(err)
	}
	return unstuffed(t, c.append(nil, &m))
}

// unstuffed is a message as its reader gets it: without the dot that ends it,
// and with one dot where two begin a line.
func unstuffed(t interface{ Fatal(...any) }, raw []byte) string {
	text, err := io.ReadAll(textproto.NewReader(bufio.NewReader(bytes.NewReader(raw))).DotReader())
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\n", "\r\n")
}

func TestAttemptsHaveTheSameMessageID(t *testing.T) {
	first, second := message(), message()
	second.Attempt = 2
	for _, m := range []dispatch.Message{first, second} {
		if text := wire(t, m); !strings.Contains(text, "\r\nMessage-ID: <01960000@shop.example>\r\n") {
			t.Errorf("attempt %d is\n%s", m.Attempt, text)
		}
	}
}

func TestUnsubscribeFields(t *testing.T) {
	for address, c := range map[string]struct{ list, post bool }{
		"":                                  {false, false},
		"https://a.example/u":               {true, true},
		"http://a.example/u":                {true, false},
		"http://127.0.0.1:8080/u?t=1.a-b_c": {true, true},
		"http://localhost/u":                {true, true},
	} {
		m := message()
		m.UnsubscribeURL = address
		text := wire(t, m)
		if got := strings.Contains(text, "List-Unsubscribe: <"+address+">\r\n"); got != c.list {
			t.Errorf("%q gives\n%s", address, text)
		}
		if got := strings.Contains(text, "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"); got != c.post {
			t.Errorf("%q gives\n%s", address, text)
		}
	}
}

func TestMessagesThatCannotBeSent(t *testing.T) {
	for name, change := range map[string]func(*dispatch.Message){
		"no address":               func(m *dispatch.Message) { m.Address = "" },
		"no domain":                func(m *dispatch.Message) { m.Address = "wei" },
		"an address with a name":   func(m *dispatch.Message) { m.Address = "Wei <wei@example.com>" },
		"a command in an address":  func(m *dispatch.Message) { m.Address = "a@b.example>\r\nRCPT TO:<c@d.example" },
		"a line end in an address": func(m *dispatch.Message) { m.Address = "a@b.example\n" },
		"two addresses":            func(m *dispatch.Message) { m.Address = "a@b.example,c@d.example" },
		"a quoted line end":        func(m *dispatch.Message) { m.Address = "\"a\r\nb\"@c.example" },
		"a parameter":              func(m *dispatch.Message) { m.Address = "a@b.example> SIZE=1" },
		"an endless address":       func(m *dispatch.Message) { m.Address = strings.Repeat("a", 300) + "@b.example" },
		"nothing to say":           func(m *dispatch.Message) { m.Content = templates.Content{Subject: "x"} },
		"no wire id":               func(m *dispatch.Message) { m.WireID = "" },
		"a wire id with a field":   func(m *dispatch.Message) { m.WireID = "a>\r\nBcc: x" },
		"a script to unsubscribe":  func(m *dispatch.Message) { m.UnsubscribeURL = "javascript:alert(1)" },
		"a field to unsubscribe":   func(m *dispatch.Message) { m.UnsubscribeURL = "https://a.example/>\r\nBcc: <x@y.example" },
	} {
		m := message()
		change(&m)
		if err := newComposer(netmail.Address{Address: "a@b.example"}, "b.example", time.Now).check(&m); err == nil {
			t.Errorf("%s is taken", name)
		} else if strings.Contains(err.Error(), "example") {
			t.Errorf("%s is told with the address: %v", name, err)
		}
	}
}

// TestNothingLeavesItsField tries hostile subjects, names and texts: there are
// always the same fields, one of each, and reading them gives what was meant.
func TestNothingLeavesItsField(t *testing.T) {
	wanted := "Auto-Submitted Content-Type Date From List-Unsubscribe List-Unsubscribe-Post Message-Id Mime-Version Subject To X-Herald-Delivery"
	hostile := rapid.OneOf(
		rapid.String(),
		rapid.StringOf(rapid.SampledFrom([]rune("\r\n:<>\"\\@,;= ?()[]aé中\u2028\u0085\x00"))),
		rapid.Just("x\r\nBcc: victim@example.com\r\n\r\nbody"),
		rapid.Just("=?utf-8?q?x=0D=0ABcc:_victim@example.com?="),
	)
	rapid.Check(t, func(t *rapid.T) {
		m := message()
		m.Name, m.Content.Subject, m.Content.Text = hostile.Draw(t, "name"), hostile.Draw(t, "subject"), "t"+hostile.Draw(t, "text")
		text := wire(t, m)
		read, err := netmail.ReadMessage(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		for name, values := range read.Header {
			if !strings.Contains(" "+wanted+" ", " "+name+" ") || len(values) != 1 {
				t.Fatalf("there is %s: %q in\n%s", name, values, text)
			}
		}
		if len(read.Header) != len(strings.Fields(wanted)) {
			t.Fatalf("there are the fields %v", read.Header)
		}
		to, err := netmail.ParseAddressList(read.Header.Get("To"))
		if err != nil || len(to) != 1 || to[0].Address != m.Address {
			t.Fatalf("To reads %v and %v in\n%s", to, err, text)
		}
		for line := range strings.SplitSeq(text, "\r\n") {
			if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) || len(line) > 998 {
				t.Fatalf("a line is %q", line)
			}
		}
	})
}

func TestTheShorterEncodingIsUsed(t *testing.T) {
	m := message()
	if text := wire(t, m); strings.Count(text, "quoted-printable") != 2 {
		t.Errorf("English is\n%s", text)
	}
	m.Content.Text, m.Content.HTML = "茶壶现价四十五元。", "<p>茶壶现价四十五元，原价五十九元。</p>"
	if text := wire(t, m); strings.Count(text, "base64") != 2 {
		t.Errorf("Chinese is\n%s", text)
	}
}

// twoKilobytes is a message of two parts that is about 2 kB on the wire.
func twoKilobytes() dispatch.Message {
	m := message()
	m.Content.Text = strings.Repeat("The teapot you like is cheaper today.\n", 15)
	m.Content.HTML = strings.Repeat("<p>The teapot you like is <b>cheaper</b> today.</p>\n", 18)
	return m
}

func BenchmarkCompose(b *testing.B) {
	m, c := twoKilobytes(), newComposer(netmail.Address{Name: "Herald", Address: "alerts@shop.example"}, "shop.example", time.Now)
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		if err := c.check(&m); err != nil {
			b.Fatal(err)
		}
		buffer = c.append(buffer[:0], &m)
	}
	b.SetBytes(int64(len(buffer)))
}
