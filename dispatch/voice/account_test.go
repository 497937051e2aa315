package voice

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"herald/dispatch/voice/answering"
	"herald/hardware/sip"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/media"
	"herald/problem"
)

func TestAnAccountIsChecked(t *testing.T) {
	good := Account{Name: "trunk", Server: "sip.example.com", Username: "herald"}
	for path, change := range map[string]func(*Account){
		"name":                             func(a *Account) { a.Name = "" },
		"server":                           func(a *Account) { a.Server = "sip:a@b" },
		"transport":                        func(a *Account) { a.Transport = "smoke" },
		"username":                         func(a *Account) { a.Username, a.CallerNumber, a.Register = "", "155", true },
		"encryption":                       func(a *Account) { a.Encryption = "maybe" },
		"public":                           func(a *Account) { a.Public = "here" },
		"codecs":                           func(a *Account) { a.Codecs = []string{"PCMA", "opus"} },
		"per_second":                       func(a *Account) { a.PerSecond = -1 },
		"caller_number":                    func(a *Account) { a.Username = "" },
		"caller_name":                      func(a *Account) { a.CallerName = "A\r\nB" },
		"plus":                             func(a *Account) { a.Plus = "x" },
		"person":                           func(a *Account) { a.Person = "Ann" },
		"tries":                            func(a *Account) { a.Tries = 100 },
		"ring_for":                         func(a *Account) { a.RingFor = -1 },
		"longest_recording":                func(a *Account) { a.LongestRecording = time.Hour },
		"machines.rules.initial_silence":   func(a *Account) { a.Machines.Rules.InitialSilence = -1 },
		"machines.rules.silence_threshold": func(a *Account) { a.Machines.Rules.SilenceThreshold = -1 },
		"machines.wait_for_beep":           func(a *Account) { a.Machines.WaitForBeep = -1 },
	} {
		wrong := good
		change(&wrong)
		_, err := New(wrong, Deps{Store: &Store{}, Speaker: whistler{}})
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.Invalid || !slices.ContainsFunc(p.Fields, func(f problem.Field) bool { return f.Path == path }) {
			t.Errorf("%s: it gives %v", path, err)
		}
	}
	if _, err := New(good, Deps{}); err == nil || problem.CodeOf(err) != "" {
		t.Errorf("without a store it gives %v", err)
	}
	s, err := New(good, Deps{Store: &Store{}, Speaker: whistler{}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Account() != "trunk" || s.Channel() != "voice" || s.cfg.Tries != 3 || s.cfg.RetryBusy != 5*time.Minute || s.cfg.RetryNoAnswer != 30*time.Minute ||
		s.cfg.LongestCall != 5*time.Minute || s.cfg.RecordFor != 720*time.Hour || s.cfg.LongestRecording != 2*time.Minute {
		t.Errorf("the account is %+v", s.cfg)
	}
	if s.Longest() < s.cfg.RingFor+s.cfg.LongestCall {
		t.Errorf("a session is at a message for %v", s.Longest())
	}
	if h := s.Health(); h != (sip.Health{}) || s.Up() {
		t.Errorf("before it is opened it stands %+v", h)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("a closed account opens with %v", err)
	}
}

func TestTheTrunksSettingsAreTheAccounts(t *testing.T) {
	a := Account{
		Name: "trunk", Server: "sip.example.com", Username: "herald", Password: "p", Realm: "r", Domain: "d", Register: true, Local: "127.0.0.1:5070", Public: "203.0.113.7",
		Codecs: []string{"PCMA"}, Encryption: "required", CallerNumber: "155", CallerName: "Shop", PerSecond: 2, Machines: Machines{Rules: answering.Rules{Greeting: time.Second}},
	}
	var mistakes problem.Fields
	a = a.complete(&mistakes)
	if err := mistakes.Err(""); err != nil {
		t.Fatal(err)
	}
	wheel := &media.Wheel{}
	c := a.trunk(wheel, nil, nil)
	if c.Server != a.Server || c.Transport != sip.UDP || c.Username != "herald" || c.Password != "p" || c.Realm != "r" || c.Domain != "d" || !c.Register ||
		c.Local != a.Local || c.Public.String() != a.Public || !slices.Equal(c.Laws, []g711.Law{g711.A}) || c.Encryption != sip.RequiredEncryption || c.From != "155" || c.FromName != "Shop" ||
		c.PerSecond != 2 || c.Wheel != wheel || c.Ring != 45*time.Second || c.Response != 8*time.Second {
		t.Errorf("the trunk is %+v", c)
	}
}

func TestNumbersAreWrittenAsTheProviderWants(t *testing.T) {
	for plus, want := range map[string]string{"+": "+8613800138000", "00": "008613800138000", "none": "8613800138000"} {
		if got := (Account{Plus: plus}).number("+86 (138) 0013-8000"); got != want {
			t.Errorf("with %q it is %s", plus, got)
		}
	}
	if got := (Account{Plus: "00"}).number("1001"); got != "1001" {
		t.Errorf("an extension is %s", got)
	}
}
