package texts

import (
	"encoding/json"
	"strings"
	"testing"

	"herald/hardware/sim/simtest"
	"herald/problem"
)

// simulator remembers what it was asked.
type simulator struct {
	faults []string
	said   []string
}

func (s *simulator) Faults() []string { return s.faults }

func (s *simulator) SetFaults(list ...string) error {
	s.faults = list
	return nil
}

func (s *simulator) Say(from, to, text string) error {
	if from == "" {
		return problem.New(problem.Unavailable, "nobody listens")
	}
	s.said = append(s.said, from+" "+to+" "+text)
	return nil
}

func TestHandler(t *testing.T) {
	b, s := NewBox(10), &simulator{}
	asked := simtest.Asker(t, Handler(b, s))
	ask := func(method, path, body string, status int) string {
		t.Helper()
		got, answer := asked(method, path, body)
		if got != status {
			t.Errorf("%s %s gives %d, want %d: %s", method, path, got, status, answer)
		}
		return answer
	}
	b.Add(Text{From: "SHOP", To: "86138", Text: "降价", Encoding: "UCS-2", Parts: 1})
	b.Add(Text{From: "86138", To: "SHOP", Text: "TD", Reply: true})
	if page := ask("GET", "/", "", 200); !strings.Contains(page, "<title>Phones</title>") {
		t.Error("there is no page")
	}
	var list struct {
		Total    int64
		Messages []Text
	}
	if err := json.Unmarshal([]byte(ask("GET", "/messages?after=1&wait=1s", "", 200)), &list); err != nil {
		t.Fatal(err)
	}
	if list.Total != 2 || len(list.Messages) != 1 || list.Messages[0].Text != "TD" {
		t.Errorf("the list is %+v", list)
	}
	if all := ask("GET", "/messages?limit=1", "", 200); strings.Contains(all, "降价") {
		t.Errorf("the newest is %s", all)
	}
	ask("GET", "/messages?after=x&limit=0&wait=2h", "", 422)
	ask("POST", "/messages", `{"from":"86138","to":"SHOP","text":"hello"}`, 204)
	ask("POST", "/messages", `{"from":""}`, 503)
	ask("POST", "/messages", `{"who":""}`, 422)
	if len(s.said) != 1 || s.said[0] != "86138 SHOP hello" {
		t.Errorf("said was %q", s.said)
	}
	ask("PUT", "/faults", `{"faults":["slow"]}`, 200)
	ask("PUT", "/faults", `{"faults":7}`, 422)
	ask("PUT", "/faults", `{`, 422)
	if faults := ask("GET", "/faults", "", 200); !strings.Contains(faults, `["slow"]`) {
		t.Errorf("the faults are %s", faults)
	}
	ask("DELETE", "/messages", "", 204)
	if b.Count() != 0 {
		t.Error("it is not empty")
	}
}
