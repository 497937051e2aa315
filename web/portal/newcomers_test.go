package portal

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"herald/problem"
)

func TestOneNetworkCannotRegisterWithoutEnd(t *testing.T) {
	n := &newcomers{networks: map[string]*rate.Limiter{}}
	now := time.Unix(1_800_000_000, 0)
	for i := range newcomersAtOnce {
		if err := n.admit(fmt.Sprintf("2001:db8::%x", i), now); err != nil {
			t.Fatalf("registration %d: %v", i, err)
		}
	}
	for range 3 { // one that has to wait is not counted
		var p *problem.Error
		if err := n.admit("2001:db8::ffff", now); !errors.As(err, &p) || p.Code != problem.Throttled || p.After != newcomerEvery {
			t.Fatalf("error %v, want to wait %v", err, newcomerEvery)
		}
	}
	if err := n.admit("203.0.113.7", now); err != nil {
		t.Errorf("another network: %v", err)
	}
	if err := n.admit("2001:db8::1", now.Add(newcomerEvery)); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestCountsOfNetworksStayBounded(t *testing.T) {
	n := &newcomers{networks: map[string]*rate.Limiter{}}
	now := time.Unix(1_800_000_000, 0)
	for i := range maxNetworks + 1 {
		if err := n.admit(fmt.Sprintf("10.0.%d.%d", i/256, i%256), now); err != nil {
			t.Fatal(err)
		}
	}
	if len(n.networks) > maxNetworks {
		t.Errorf("%d networks are kept", len(n.networks))
	}
}

func TestRegistrationsFromOneNetworkAreSlowedDown(t *testing.T) {
	s := newShop(t)
	s.register("wei")
	b := s.browser()
	taken := []string{"account", "wei", "password", password, emailField, "a@example.com"}
	for range newcomersAtOnce {
		b.post("/register", taken...).has(409)
	}
	b.post("/register", taken...).has(429, "tried too many times")
	s.clock.move(newcomerEvery)
	b.post("/register", taken...).has(409)
}
