package app

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"herald/app/config"
	"herald/problem"
)

func TestATrunkTellsHowItStands(t *testing.T) {
	cfg := config.Default()
	cfg.Voice.Trunks = []config.TrunkAccount{{Name: "trunk", Server: "127.0.0.1:5060", CallerNumber: "+15550100", Use: config.Use{MaxSessions: 1}}}
	k := keepsOf(cfg, nil, slog.New(slog.DiscardHandler))
	if mistakes := checkDevices(cfg, &k); len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	made := makeAccounts(cfg, k)
	if len(made.mistakes) > 0 || len(made.trunks) != 1 || made.list[0].SendTimeout != made.trunks[0].Longest() {
		t.Fatalf("made %+v", made)
	}
	const want = `
# HELP herald_voice_calls Calls under way on a trunk, on this node.
# TYPE herald_voice_calls gauge
herald_voice_calls{account="trunk"} 0
`
	if err := testutil.CollectAndCompare(trunks(made.trunks), strings.NewReader(want), "herald_voice_calls"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(trunks(made.trunks), "herald_voice_trunk_up"); n != 1 {
		t.Errorf("%d trunks say whether they are up", n)
	}
}

func TestMistakesOfCallsAndFaxesAreNamed(t *testing.T) {
	cfg := config.Default()
	cfg.Voice.Speech = config.Speech{Speed: 20, Sounds: "/nowhere/at/all"}
	cfg.Voice.Trunks = []config.TrunkAccount{{Name: "trunk", Transport: "sctp"}}
	cfg.Fax.Servers = []config.FaxAccount{{Name: "fax", Host: "fax.example", MaxDials: 99}}
	find := func(f problem.Fields, path string) bool {
		for _, one := range f {
			if one.Path == path {
				return true
			}
		}
		return false
	}
	for _, path := range []string{"voice.speech.speed", "voice.speech.sounds", "voice.trunks[0].server", "voice.trunks[0].transport", "fax.servers[0].max_dials", "fax.servers[0].sender_name"} {
		if found := Check(cfg); !find(found, path) {
			t.Errorf("%s is not among %v", path, found)
		}
	}
	cfg.Fax.Font = "/nowhere/at.all"
	if found := Check(cfg); !find(found, "fax.font") {
		t.Errorf("a font that is not there: %v", found)
	}
	cfg.Roles = []string{"web"}
	if found := Check(cfg); len(found) > 0 {
		t.Errorf("a node that calls nobody minds %v", found)
	}
}
