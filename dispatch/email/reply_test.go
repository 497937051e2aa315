package email

import (
	"bufio"
	"errors"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRepliesAreRead(t *testing.T) {
	for text, want := range map[string]reply{
		"250 ok\r\n":                       {250, []byte("ok")},
		"250\r\n":                          {250, nil},
		"250 \r\n":                         {250, nil},
		"354 go on\n":                      {354, []byte("go on")},
		"250-a\r\n250-b\r\n250 c\r\n":      {250, []byte("a\nb\nc")},
		"550-5.1.1 no\r\n550 5.1.1 no\r\n": {550, []byte("5.1.1 no\n5.1.1 no")},
	} {
		r := replyReader{in: bufio.NewReader(iotest.OneByteReader(strings.NewReader(text)))}
		got, err := r.next()
		if err != nil || got.code != want.code || string(got.text) != string(want.text) {
			t.Errorf("%q reads %d %q, %v", text, got.code, got.text, err)
		}
	}
}

func TestNonsenseIsNoReply(t *testing.T) {
	for _, text := range []string{
		"\r\n", "25\r\n", "abc ok\r\n", "150 ok\r\n", "650 ok\r\n", "250_ok\r\n", "250-a\r\n251 b\r\n", "250-a\r\nb\r\n",
		"250 " + strings.Repeat("x", 5000) + "\r\n", strings.Repeat("250-"+strings.Repeat("x", 1000)+"\r\n", 100),
	} {
		r := replyReader{in: bufio.NewReader(strings.NewReader(text))}
		if got, err := r.next(); !errors.As(err, new(textproto.ProtocolError)) {
			t.Errorf("%.20q reads %d, %v", text, got.code, err)
		}
	}
	for text, want := range map[string]error{"": io.EOF, "250": io.ErrUnexpectedEOF, "250-a\r\n": io.EOF} {
		r := replyReader{in: bufio.NewReader(strings.NewReader(text))}
		if _, err := r.next(); !errors.Is(err, want) {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

func FuzzReplies(f *testing.F) {
	f.Add("250-a\r\n250 b\r\n354 c\r\n421 4.3.2 bye\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := replyReader{in: bufio.NewReader(strings.NewReader(text))}
		for {
			got, err := r.next()
			if err != nil {
				return
			}
			if got.code < 200 || got.code > 599 || len(got.text) > maxReply {
				t.Fatalf("%q reads %d with %d bytes", text, got.code, len(got.text))
			}
			_ = classify(ending, got.asError())
			if got.code/100 == 2 {
				if r := receipt("main", got.code, string(got.text)); strings.ContainsAny(r.Detail+r.ProviderID, "\r\n") {
					t.Fatalf("%q gives the receipt %+v", text, r)
				}
			}
		}
	})
}
