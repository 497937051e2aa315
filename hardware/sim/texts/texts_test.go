package texts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"herald/problem"
)

func TestBoxKeepsTheNewestAndCountsAll(t *testing.T) {
	b := NewBox(3)
	for i := range 20 {
		if id := b.Add(Text{Text: fmt.Sprint(i)}); id != int64(i+1) {
			t.Errorf("text %d has the id %d", i, id)
		}
	}
	kept := b.All()
	if len(kept) != 3 || kept[0].Text != "17" || kept[2].ID != 20 || b.Count() != 20 {
		t.Errorf("kept are %+v of %d", kept, b.Count())
	}
	b.Clear()
	if len(b.All()) != 0 || b.Count() != 0 || b.Add(Text{}) != 21 {
		t.Error("it is not empty, or begins again")
	}
}

func TestWaitingEndsWithTheTextOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBox(10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			time.Sleep(time.Second)
			b.Add(Text{Text: "one"})
			time.Sleep(time.Second)
			b.Add(Text{Text: "two"})
		}()
		began := time.Now()
		if err := b.WaitFor(ctx, func(_ []Text, total int64) bool { return total == 2 }); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("it waited %v: %v", time.Since(began), err)
		}
		if err := b.WaitFor(ctx, func([]Text, int64) bool { return false }); err != context.DeadlineExceeded {
			t.Errorf("it gives %v", err)
		}
	})
}

// simulator remembers what it was asked.
type simulator struct {
	faults []string
	said   []string
}

func (s *simulator) Faults() any { return s.faults }

func (s *simulator) SetFaults(list json.RawMessage) error {
	if err := json.Unmarshal(list, &s.faults); err != nil {
		return problem.New(problem.Invalid, "no list")
	}
	return nil
}

func (s *simulator) Say(_ context.Context, from, to, text string) error {
	if from == "" {
		return problem.New(problem.Unavailable, "nobody listens")
	}
	s.said = append(s.said, from+" "+to+" "+text)
	return nil
}

func ask(t *testing.T, h http.Handler, method, path, body string, status int) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if w.Code != status {
		t.Errorf("%s %s gives %d, want %d: %s", method, path, w.Code, status, w.Body)
	}
	return w.Body.String()
}

func TestHandler(t *testing.T) {
	b, s := NewBox(10), &simulator{}
	h := Handler(b, s)
	b.Add(Text{From: "SHOP", To: "86138", Text: "降价", Encoding: "UCS-2", Parts: 1})
	b.Add(Text{From: "86138", To: "SHOP", Text: "TD", Reply: true})
	if page := ask(t, h, "GET", "/", "", 200); !strings.Contains(page, "<title>Phones</title>") {
		t.Error("there is no page")
	}
	var list messageList
	if err := json.Unmarshal([]byte(ask(t, h, "GET", "/messages?after=1&wait=1s", "", 200)), &list); err != nil {
		t.Fatal(err)
	}
	if list.Total != 2 || len(list.Messages) != 1 || list.Messages[0].Text != "TD" {
		t.Errorf("the list is %+v", list)
	}
	if all := ask(t, h, "GET", "/messages?limit=1", "", 200); strings.Contains(all, "降价") {
		t.Errorf("the newest is %s", all)
	}
	ask(t, h, "GET", "/messages?after=x&limit=0&wait=2h", "", 422)
	ask(t, h, "POST", "/messages", `{"from":"86138","to":"SHOP","text":"hello"}`, 204)
	ask(t, h, "POST", "/messages", `{"from":""}`, 503)
	ask(t, h, "POST", "/messages", `{"who":""}`, 422)
	if len(s.said) != 1 || s.said[0] != "86138 SHOP hello" {
		t.Errorf("said was %q", s.said)
	}
	ask(t, h, "PUT", "/faults", `{"faults":["slow"]}`, 200)
	ask(t, h, "PUT", "/faults", `{"faults":7}`, 422)
	ask(t, h, "PUT", "/faults", `{`, 422)
	if faults := ask(t, h, "GET", "/faults", "", 200); !strings.Contains(faults, `["slow"]`) {
		t.Errorf("the faults are %s", faults)
	}
	ask(t, h, "DELETE", "/messages", "", 204)
	if b.Count() != 0 {
		t.Error("it is not empty")
	}
}
