package smtp

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"herald/hardware/sim/simtest"
	"herald/problem"
)

// subjects are those of the messages that a query gives.
func subjects(t *testing.T, s *Server, query string) string {
	t.Helper()
	status, body := simtest.Asker(t, s.Handler())("GET", "/messages"+query, "")
	var list struct{ Messages []Mail }
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("%s gives %d, %v: %s", query, status, err, body)
	}
	var all []string
	for _, m := range list.Messages {
		all = append(all, m.Subject)
	}
	return strings.Join(all, " ")
}

func TestMessagesOverHTTP(t *testing.T) {
	s := New(Config{})
	ask := simtest.Asker(t, s.Handler())
	if got := subjects(t, s, ""); got != "" {
		t.Errorf("an empty inbox has %q", got)
	}
	for _, subject := range []string{"one", "two", "three"} {
		s.inbox.Add(parse("a@b.example", []string{"c@d.example"}, []byte("Subject: "+subject+"\r\n\r\ntext"), time.Now()))
	}
	for query, expected := range map[string]string{
		"": "one two three", "?limit=2": "two three", "?after=1": "two three", "?after=0&limit=1": "one", "?after=3": "", "?after=2&wait=1m": "three",
	} {
		if got := subjects(t, s, query); got != expected {
			t.Errorf("%s gives %q, want %q", query, got, expected)
		}
	}
	for query, path := range map[string]string{"?after=x": "after", "?limit=0": "limit", "?wait=2m": "wait", "?wait=soon": "wait"} {
		if status, body := ask("GET", "/messages"+query, ""); status != http.StatusUnprocessableEntity || !strings.Contains(body, `"path":"`+path) {
			t.Errorf("%s gives %d %s", query, status, body)
		}
	}
	if status, body := ask("GET", "/messages/2", ""); status != http.StatusOK || !strings.Contains(body, `"subject":"two"`) {
		t.Errorf("one message is %d %s", status, body)
	}
	if status, body := ask("GET", "/messages/2/raw", ""); status != http.StatusOK || body != "Subject: two\r\n\r\ntext" {
		t.Errorf("one message is %d %q as it came", status, body)
	}
	for _, id := range []string{"9", "x"} {
		if status, _ := ask("GET", "/messages/"+id, ""); status != http.StatusNotFound {
			t.Errorf("message %s gives %d", id, status)
		}
	}
	if status, _ := ask("DELETE", "/messages", ""); status != http.StatusNoContent || s.Count() != 0 {
		t.Errorf("forgetting gives %d and leaves %d", status, s.Count())
	}
}

func TestWaitingForAMessageOverHTTP(t *testing.T) {
	s := New(Config{})
	got := make(chan string, 1)
	go func() { got <- subjects(t, s, "?after=0&wait=30s") }()
	s.inbox.Add(Mail{Subject: "late"})
	if subjects := <-got; subjects != "late" {
		t.Errorf("gives %q", subjects)
	}
}

func TestFaultsOverHTTP(t *testing.T) {
	s := New(Config{})
	ask := simtest.Asker(t, s.Handler())
	const body = `{"faults":[{"recipient":"*@slow.example","kind":"delay","delay":"1.5s"},{"kind":"refuse","times":3}]}`
	status, answer := ask("PUT", "/faults", body)
	if status != http.StatusOK || !strings.Contains(answer, `"delay":"1.5s"`) || !strings.Contains(answer, `"code":550`) {
		t.Errorf("setting gives %d %s", status, answer)
	}
	if _, read := ask("GET", "/faults", ""); read != answer {
		t.Errorf("reads %s, set was %s", read, answer)
	}
	for _, bad := range []string{
		`{`, `{"faults":[{"kind":"explode"}]}`, `{"wrong":1}`, `{"faults":[{"kind":"delay","delay":"soon"}]}`,
		string(bytes.Repeat([]byte(" "), 2<<20)),
	} {
		if status, answer := ask("PUT", "/faults", bad); status != http.StatusUnprocessableEntity {
			t.Errorf("%.40s gives %d %s", bad, status, answer)
		}
	}
	if len(s.Faults()) != 2 {
		t.Errorf("a mistake changed the faults to %+v", s.Faults())
	}
}

func TestFaultsAreChecked(t *testing.T) {
	for path, fault := range map[string]Fault{
		"faults[0].kind":      {},
		"faults[0].code":      {Kind: Refuse, Code: 450},
		"faults[0].times":     {Kind: Doubt, Times: -1},
		"faults[0].delay":     {Kind: Delay},
		"faults[0].recipient": {Kind: Refuse, Recipient: "[a"},
		"faults[0].text":      {Kind: Temporary, Text: "4.0.0 a\r\n250 ok"},
	} {
		err := New(Config{}).SetFaults(fault)
		if problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), path+":") {
			t.Errorf("%+v gives %v, want %s", fault, err, path)
		}
	}
}

func TestThePageShowsMailWithoutItsScripts(t *testing.T) {
	ask := simtest.Asker(t, New(Config{}).Handler())
	status, page := ask("GET", "/", "")
	if status != http.StatusOK || !strings.Contains(page, "sandbox") || strings.Contains(page, "allow-scripts") || strings.Contains(page, "innerHTML") {
		t.Errorf("the page is %d:\n%s", status, page)
	}
	if status, _ := ask("GET", "/nothing", ""); status != http.StatusNotFound {
		t.Errorf("a page that is none gives %d", status)
	}
}
