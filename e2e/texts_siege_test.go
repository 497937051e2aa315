package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/dispatch/sms/smpp/pdu"
	"herald/e2e/peers"
	"herald/hardware/sim/modem"
	"herald/hardware/sim/smsc"
	"herald/hardware/sim/texts"
	"herald/postgres/pgtest"
)

// textSiege strikes at a node that sends texts by an operator's message centre
// and by a modem.
type textSiege struct {
	*siege
	centre *smsc.SMSC
	modem  *modem.Modem
}

const (
	textMembers = 12 // every fourth of them is written to by the modem
	textBinds   = 2
)

// TestTextsUnderSiege kills the node, the connections to the message centre
// and the modem at random moments under load, and has both far ends keep
// messages without saying so. At the end every text that is recorded as taken
// has come, what is not known is in doubt, and none came again unmarked: none
// at all where doubt waits for receipts.
func TestTextsUnderSiege(t *testing.T) {
	t.Parallel()
	seed := *siegeSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	for i, policy := range []string{"wait", "resend"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			t.Logf("again with -siege-seed=%d", seed)
			s := besiegeTexts(t, policy, rand.New(rand.NewPCG(seed, uint64(i))))
			s.strike()
			s.calm()
			s.tellAll()
			s.judge(s.comeToRest(policy), policy)
		})
	}
}

func besiegeTexts(t *testing.T, policy string, chance *rand.Rand) *textSiege {
	s := &textSiege{
		siege: &siege{
			chance: chance, database: pgtest.NewServer(t, pgtest.DataDir(t)),
			flying: map[string]int{}, buried: map[int64]bool{}, strikes: map[string]int{},
		},
		centre: smsc.New(smsc.Config{Keep: 100_000, Receipts: smsc.Receipts{Delay: 50 * time.Millisecond}}),
		modem:  modem.New(modem.Config{Keep: 100_000, Link: t.TempDir() + "/modem"}),
	}
	for _, far := range []struct {
		start, end func() error
	}{
		{func() error { return s.centre.Start(t.Context()) }, s.centre.Close},
		{func() error { return s.modem.Start(t.Context()) }, s.modem.Close},
	} {
		if err := far.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := far.end(); err != nil {
				t.Error(err)
			}
		})
	}
	s.pool = connectTo(t, s.database.URL())
	host, port, err := net.SplitHostPort(s.centre.Addr())
	if err != nil {
		t.Fatal(err)
	}
	s.cluster = newClusterOf(t, s.database.URL(), 1, textMembers, byText,
		fmt.Sprintf(`HERALD_SMS_SMPP=[{name: operator, host: %q, port: %s, system_id: shop, source: "10690", timeout: 2s, max_sessions: %d, recipients: ["+86"]}]`, host, port, textBinds),
		fmt.Sprintf(`HERALD_SMS_MODEMS=[{name: modem, device: %q, submit_timeout: 2s, timeout: 2s, max_sessions: 1, recipients: ["+1"]}]`, s.modem.Path()),
		fmt.Sprintf(`HERALD_DISPATCH_DOUBT=[{channel: sms, policy: %s}]`, policy),
		// So that the links in a text, and so all of it, are the same after a restart.
		"HERALD_HTTP_LISTEN="+peers.Address(t),
	)
	return s
}

func byText(i int) contact {
	if i%4 == 0 {
		return contact{"sms", fmt.Sprintf("+12025550%03d", 100+i), true}
	}
	return contact{"sms", fmt.Sprintf("+86138001380%02d", i), true}
}

// strike strikes with everything there is, in an order by chance, under load,
// and goes on doing so for as long as the flag says.
func (s *textSiege) strike() {
	blows := []blow{
		{"node killed", s.killNode},
		{"node away", s.leaveNode},
		{"connections cut", s.cut},
		{"centre unkind", s.unkindCentre},
		{"modem unkind", s.unkindModem},
	}
	s.strikeWith(blows, func() {}, func() {
		for range 5 {
			s.tellAll()
		}
		awaitMore(s.arrived, 1+s.chance.IntN(4*textMembers), 2*time.Second)
	})
}

func (s *textSiege) arrived() int { return int(s.centre.Texts().Count() + s.modem.Texts().Count()) }

// leaveNode kills the node while the modem takes texts of an event, and starts
// it again when its work can be taken up: the new one does so at once, while
// its modem, which is slow, has not said what SIM it has.
func (s *textSiege) leaveNode() {
	before := s.modem.Texts().Count()
	s.tellAll()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	// In vain where the modem is away just then.
	_ = s.modem.Texts().WaitFor(ctx, func(_ []texts.Text, count int64) bool { return count > before })
	s.nodes[0].kill()
	s.bury(0)
	eventuallyNone(s.t, s.pool, "work that is held for somebody's", `
SELECT (SELECT count(*) FROM nodes WHERE beat_at > now() - interval '15 seconds')
     + (SELECT count(*) FROM river_job WHERE state = 'running' AND attempted_at > now() - interval '15 seconds')`)
	if err := s.modem.SetFaults(modem.Fault{Kind: modem.Late, Command: "+CIMI", Delay: modem.Duration(time.Second), Times: 1}); err != nil {
		s.t.Fatal(err)
	}
	s.boot(0)
}

// cut breaks the connections to the centre, with messages in flight.
func (s *textSiege) cut() {
	thaw := s.freeze()
	s.centre.DropAll()
	s.count(``)
	thaw()
}

func (s *textSiege) unkindCentre() {
	err := s.centre.SetFaults(
		smsc.Fault{Kind: smsc.DropAfter, Times: 2, After: 3},
		smsc.Fault{Kind: smsc.DropBefore, Times: 2, After: 5},
		smsc.Fault{Kind: smsc.Lose, Times: 2, After: 7},
		smsc.Fault{Kind: smsc.Refuse, Status: pdu.RTHROTTLED, Times: 3},
		smsc.Fault{Kind: smsc.EndSession, Times: 1, After: 9},
	)
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *textSiege) unkindModem() {
	err := s.modem.SetFaults(
		modem.Fault{Kind: modem.Lost, Command: "+CMGS", Times: 2},
		modem.Fault{Kind: modem.Unplug, Command: "+CMGS", Done: true, Times: 1, Delay: modem.Duration(300 * time.Millisecond)},
		modem.Fault{Kind: modem.Error, Command: "+CMGS", Code: 38, Times: 2}, // network out of order
		modem.Fault{Kind: modem.NoReport, Times: 2},
	)
	if err != nil {
		s.t.Fatal(err)
	}
}

// calm ends all faults.
func (s *textSiege) calm() {
	if err := s.centre.SetFaults(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.modem.SetFaults(); err != nil {
		s.t.Fatal(err)
	}
}

// comeToRest waits until nothing moves any more. Where doubt waits for
// receipts, some of it rests.
func (s *textSiege) comeToRest(policy string) (l ledger) {
	s.t.Helper()
	began := time.Now()
	owed := int64(len(s.prices) * s.members)
	eventually(s.t, 2*time.Minute, "everything to come to rest", func() bool {
		l = s.nodes[0].ledger()
		return l.Targeted == owed && l.Pending+l.Deferred == 0 && (policy == "wait" || l.InDoubt == 0)
	})
	s.t.Logf("it came to rest in %v", time.Since(began))
	return s.nodes[0].ledger()
}

// whyLink is how a text names its delivery: the first half of the link's token.
var whyLink = regexp.MustCompile(`/why/([A-Za-z0-9_-]+)\.`)

// came is how often each delivery's text came, whole.
func (s *textSiege) came() map[string]int {
	s.t.Helper()
	times := map[string]int{}
	for _, box := range []*texts.Box{s.centre.Texts(), s.modem.Texts()} {
		for _, text := range box.All() {
			found := whyLink.FindStringSubmatch(text.Text)
			if found == nil || text.Problem != "" {
				s.t.Errorf("a text that cannot be read: %+v", text)
				continue
			}
			id, err := base64.RawURLEncoding.DecodeString(found[1])
			if err != nil {
				s.t.Errorf("a text's link: %v", err)
			}
			times[string(id)]++
		}
	}
	return times
}

// stories are what the database knows of a delivery, table by table.
var stories = map[string]string{
	"deliveries":  `SELECT * FROM deliveries WHERE id = $1`,
	"attempts":    `SELECT * FROM attempts WHERE delivery_id = $1 ORDER BY number`,
	"hand_overs":  `SELECT * FROM hand_overs WHERE $1 = ANY(deliveries)`,
	"receipts":    `SELECT * FROM receipts WHERE delivery_id = $1 ORDER BY taken_at`,
	"modem_parts": `SELECT * FROM modem_parts WHERE delivery_id = $1 ORDER BY part`,
	"river_job":   `SELECT id, state, attempt, attempted_by, attempted_at, scheduled_at, finalized_at, args FROM river_job WHERE args->'deliveries' ? $1::text`,
	"calls":       `SELECT * FROM calls WHERE delivery_id = $1 ORDER BY id`,
	"faxes":       `SELECT info, attempt, job, first_page, pages, state, outcome, sent, dials, tries, text, begun_at, submitted_at, ended_at, told FROM faxes WHERE delivery_id = $1 ORDER BY begun_at`,
	"others with its reference": `
SELECT o.* FROM modem_parts p
JOIN modem_parts o ON o.sim = p.sim AND o.reference = p.reference AND o.recipient = p.recipient AND o.delivery_id <> p.delivery_id
WHERE p.delivery_id = $1 ORDER BY o.at`,
}

// story is all that is known of a delivery that went wrong, here and at the
// far ends.
func (s *textSiege) story(id string) string {
	var told strings.Builder
	for _, box := range []*texts.Box{s.centre.Texts(), s.modem.Texts()} {
		for _, text := range box.All() {
			if why := whyLink.FindStringSubmatch(text.Text); why != nil && why[1] == base64.RawURLEncoding.EncodeToString([]byte(id)) {
				fmt.Fprintf(&told, "  came at %v by %s to %s as %v\n", text.At.UTC(), text.Account, text.To, text.IDs)
			}
		}
	}
	told.WriteString(s.recorded(id))
	return told.String()
}

// recorded is what the database knows of a delivery.
func (s *siege) recorded(id string) string {
	var told strings.Builder
	for _, table := range slices.Sorted(maps.Keys(stories)) {
		rows, err := s.pool.Query(s.t.Context(), `SELECT to_jsonb(r)::text FROM (`+stories[table]+`) AS r`, id)
		if err != nil {
			s.t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			s.t.Fatal(err)
		}
		for _, line := range lines {
			fmt.Fprintf(&told, "  %s: %s\n", table, line)
		}
	}
	return told.String()
}

// judge holds what came against what is recorded.
func (s *textSiege) judge(l ledger, policy string) {
	s.t.Helper()
	if !l.Balanced || l.Failed+l.Suppressed > 0 {
		s.t.Errorf("ledger = %+v", l)
	}
	came := s.came()
	repeats := 0
	blame := func(id, format string, args ...any) {
		s.t.Errorf(format+"\n%s", append(args, s.story(id))...)
	}
	list := s.nodes[0].deliveries()
	if len(list) != len(s.prices)*s.members {
		s.t.Errorf("%d deliveries for %d events to %d members", len(list), len(s.prices), s.members)
	}
	for _, d := range list {
		n := came[d.ID]
		delete(came, d.ID)
		switch d.State {
		case "accepted", "delivered":
			if n == 0 {
				blame(d.ID, "delivery %s is %s and never came", d.ID, d.State)
			}
		case "in_doubt":
		default:
			blame(d.ID, "delivery %s is %s", d.ID, d.State)
		}
		if n > 1 {
			repeats += n - 1
			if policy == "wait" || n-1 > d.Repeated {
				blame(d.ID, "delivery %s came %d times, and is marked as repeated %d times", d.ID, n, d.Repeated)
			}
		}
	}
	for id := range came {
		s.t.Errorf("a text came of delivery %s, which there is not", id)
	}
	inDoubt := s.inDoubt()
	if inDoubt == 0 {
		s.leavesNothing()
	}
	s.t.Logf("%d deliveries, %d in doubt, %d came again; %d by the centre and %d by the modem; strikes: %v",
		len(list), inDoubt, repeats, s.centre.Texts().Count(), s.modem.Texts().Count(), s.strikes)
}

// inDoubt is how many deliveries are in doubt, by three accounts that must
// agree. They are read at one instant: a receipt may still end a doubt.
func (s *textSiege) inDoubt() (rows int) {
	s.t.Helper()
	var ledger, troubles int
	err := s.pool.QueryRow(s.t.Context(), `
SELECT (SELECT count(*) FROM deliveries WHERE state = 'in_doubt'),
       (SELECT coalesce(sum(n), 0) FROM (SELECT state, n FROM ledger UNION ALL SELECT state, n FROM ledger_moves) AS l WHERE state = 'in_doubt'),
       (SELECT count(*) FROM troubles)`).Scan(&rows, &ledger, &troubles)
	if err != nil {
		s.t.Fatal(err)
	}
	if ledger != rows || troubles != rows {
		s.t.Errorf("%d deliveries are in doubt, %d in the ledger, and %d want to be looked at", rows, ledger, troubles)
	}
	return rows
}
