package sip

import (
	"context"
	"strings"
	"testing"
	"time"

	"herald/e2e/peers"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/siptest"
)

func TestBaresipHearsWhatIsSaidAndItsDigitsCome(t *testing.T) {
	for _, law := range []g711.Law{g711.Mu, g711.A} {
		t.Run(string(law), func(t *testing.T) {
			t.Parallel()
			says := siptest.Prompt(t, "Hello. This is me.")
			far := siptest.Phone(t, append(make([]int16, 8000), append(says, make([]int16, 12*8000)...)...), "")
			trunk := open(t, Config{Server: far.Addr, AskEvery: -1, Laws: []g711.Law{law}})
			call, err := trunk.Call(t.Context(), "callee", CallOptions{})
			if err != nil {
				t.Fatalf("%v\n%s", err, far.Said())
			}
			stop := call.Record(time.Minute)
			prompt := siptest.Prompt(t, "Your appointment is tomorrow at nine. To confirm, press one.")
			if _, err := call.Play(t.Context(), prompt); err != nil {
				t.Error(err)
			}
			for _, digit := range "11#" {
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
			if like := siptest.Likeness(says, stop()); like < siptest.Like {
				t.Errorf("baresip is heard with a likeness of %.3f", like)
			}
			if err := call.Hangup(t.Context()); err != nil {
				t.Error(err)
			}
			heard := far.Heard(t)
			if like := siptest.Likeness(prompt, heard); like < siptest.Like {
				t.Errorf("baresip hears the prompt with a likeness of %.3f", like)
			}
			if like := siptest.Likeness(siptest.Prompt(t, "The library remains closed on Friday, because of a holiday in the whole country."), heard); like > siptest.Unlike {
				t.Errorf("another prompt has a likeness of %.3f", like)
			}
			if a, b := siptest.Sounding(prompt), siptest.Sounding(heard); (a - b).Abs() > 200*time.Millisecond {
				t.Errorf("%v sound for %v", a, b)
			}
		})
	}
}

func TestBaresipHangsUp(t *testing.T) {
	t.Parallel()
	far := siptest.Phone(t, make([]int16, 4000), "")
	call, err := open(t, Config{Server: far.Addr, AskEvery: -1}).Call(t.Context(), "callee", CallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	heard, err := call.Play(t.Context(), make([]int16, 60*8000))
	if ClassOf(err) != Over || heard == 0 || heard > peers.Patience {
		t.Errorf("%v is heard, %v", heard, err)
	}
	steps := call.Timeline()
	if last := steps[len(steps)-2]; last.Kind != HungUp || last.By != Them {
		t.Errorf("the timeline is %+v", steps)
	}
}

func TestKamailioKnowsUsByName(t *testing.T) {
	for _, transport := range []Transport{UDP, TCP} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			far := siptest.Playing(t, siptest.Answer("200 OK", siptest.Sound, "[last_Record-Route:]")+siptest.Gets("ACK")+siptest.Gets("BYE")+siptest.Answer("200 OK", ""), "-m", "1")
			proxy := siptest.Kamailio(t, far.Addr)
			trunk := open(t, Config{
				Server: proxy.Addr, Transport: transport, Domain: "herald.example", Username: "herald", Password: "secret", Register: true, AskEvery: time.Second,
			})
			ctx, cancel := context.WithTimeout(t.Context(), peers.Patience)
			defer cancel()
			if err := trunk.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			call, err := trunk.Call(t.Context(), "15550199", CallOptions{})
			if err != nil {
				t.Fatalf("%v\n%s", err, far.Said())
			}
			if err := call.Hangup(t.Context()); err != nil {
				t.Error(err)
			}
			far.Succeeded()
			if h := trunk.Health(); !h.Registered || !h.Reachable || h.LastError != "" {
				t.Errorf("it stands %+v", h)
			}
		})
	}
}

func TestKamailioIsRegisteredWithAgainAndLeft(t *testing.T) {
	t.Parallel()
	proxy := siptest.Kamailio(t, "127.0.0.1:9")
	trunk, err := Open(t.Context(), Config{
		Server: proxy.Addr, Domain: "herald.example", Username: "herald", Password: "secret", Realm: "herald.example", Register: true, AskEvery: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Until("it is registered again", func() bool { return strings.Count(proxy.Said(), "REGISTERS herald for 600") >= 2 })
	if err := trunk.Close(); err != nil {
		t.Error(err)
	}
	proxy.UntilSaid("REGISTERS herald for 0")
}

func TestAWrongPasswordIsTriedOnce(t *testing.T) {
	t.Parallel()
	proxy := siptest.Kamailio(t, "127.0.0.1:9")
	for name, cfg := range map[string]Config{
		"wrong": {Password: "guess"}, "none": {}, "not for this realm": {Password: "secret", Realm: "other.example"},
	} {
		cfg.Server, cfg.Username, cfg.Domain, cfg.AskEvery, cfg.Register = proxy.Addr, "herald", "herald.example", -1, true
		trunk := open(t, cfg)
		if _, err := trunk.Call(t.Context(), "15550199", CallOptions{}); ClassOf(err) != Credentials {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := trunk.Ready(ctx); ClassOf(err) != Credentials || !strings.Contains(err.Error(), "does not know us") {
			t.Errorf("%s: ready is %v", name, err)
		}
		cancel()
	}
	if n := strings.Count(proxy.Said(), "INVITED"); n > 2+1+1 {
		t.Errorf("it was tried %d times", n)
	}
}
