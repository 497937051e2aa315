package fax

import (
	"bufio"
	"strings"
	"testing"
)

func FuzzReply(f *testing.F) {
	for _, seed := range []string{"220 ready\r\n", "216-a\r\nb\r\n216 c\r\n", "213 \r\n", "213\n", "2", "\r\n\r\n", "999 x\r\n", "217-a\r\n200 b\r\n217 c\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		said, err := readReply(bufio.NewReaderSize(strings.NewReader(text), mostLine))
		if err != nil {
			return
		}
		if said.code < 100 || said.code > 599 || len(said.text) > mostLine || strings.Contains(said.text, "\n") {
			t.Errorf("%q gives %+v", text, said)
		}
	})
}

func FuzzListed(f *testing.F) {
	for _, seed := range []string{"job|1|R|1|2|1|1|a|b|c", "job|1|D|2|2|1|1||", "job|99999999999|D|2|2|1|1||", "and more", "job|1|D|-1|2|1|1||"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		s, ok := parseListed(line)
		if ok && (!isID(s.ID) || s.State == "" || s.Sent < 0 || s.Sent > 65535 || s.Total > 65535 || strings.Contains(s.Info, "|")) {
			t.Errorf("%q gives %+v", line, s)
		}
		_ = s.Failure() // of any words
	})
}

func FuzzPassive(f *testing.F) {
	for _, seed := range []string{"Entering passive mode (127,0,0,1,187,151)", "(1,2,3,4,5)", "(1,2,3,4,256,0)", ")(", "(0,0,0,0,0,0)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if port, ok := parsePassive(text); ok && (port < 1 || port > 65535) {
			t.Errorf("%q gives %d", text, port)
		}
	})
}
