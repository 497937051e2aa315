package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"herald/e2e/peers"
	"herald/hardware/sim/hfaxd"
	telephone "herald/hardware/sim/phone"
	"herald/hardware/sip/siptest"
	"herald/postgres/pgtest"
)

// callSiege strikes at nodes that call by a trunk and fax by a server.
type callSiege struct {
	*siege
	phones []*telephone.Phone // one after the other, at one address; the last one is there
	trunk  string             // that address
	faxes  *hfaxd.Server
}

const (
	callNodes    = 2
	callMembers  = 12 // every third of them is faxed to
	callSessions = 12
	faxSessions  = 2
	faxPages     = 2 // a cover and a page
)

// siegeScript is a call of a second and a half.
const siegeScript = `steps: [{say: "{{ event.name }} number {{ event.price }}."}]`

// slowSpeech leaves a while between the intent to call and the call itself, in
// which a node may die that has dialled nobody.
const slowSpeech = `HERALD_VOICE_SPEECH_COMMAND=[sh, -c, 'sleep 0.5; exec espeak-ng --stdin --stdout -b 1 -z -v "$1" -s "$2"', sh, "{voice}", "{speed}"]`

// TestCallsUnderSiege kills and stops nodes and the database, and takes the
// telephones and the fax server away, under load. At the end every call that
// is recorded as made was answered, every fax that is recorded as delivered
// came with all its pages, and none came again.
func TestCallsUnderSiege(t *testing.T) {
	t.Parallel()
	seed := *siegeSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with -siege-seed=%d", seed)
	s := besiegeCalls(t, rand.New(rand.NewPCG(seed, 7)))
	began := time.Now()
	s.strike()
	t.Logf("the strikes took %v", time.Since(began))
	s.calm()
	s.tellAll()
	l := s.comeToRest()
	s.hangUp()
	s.judge(l)
}

func besiegeCalls(t *testing.T, chance *rand.Rand) *callSiege {
	s := &callSiege{
		siege: &siege{
			chance: chance, database: pgtest.NewServer(t, pgtest.DataDir(t)),
			flying: map[string]int{}, buried: map[int64]bool{}, strikes: map[string]int{},
		},
		trunk: peers.Address(t), faxes: hfaxd.New(hfaxd.Config{Keep: 100_000}),
	}
	if err := s.faxes.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.faxes.Close(); err != nil {
			t.Error(err)
		}
	})
	s.pool = connectTo(t, s.database.URL())
	s.plugIn(t)
	t.Cleanup(s.hangUp)
	s.cluster = newClusterOf(t, s.database.URL(), callNodes, callMembers, byCall,
		"HERALD_DATA_DIR="+t.TempDir(), slowSpeech,
		trunkTo(t, s.trunk, fmt.Sprintf("ring_for: 5s, tries: 20, retry_busy: 500ms, retry_no_answer: 500ms, ask_every: 1s, machines: {ignore: true}, max_sessions: %d", callSessions)),
		faxesTo(t, s.faxes.Addr(), fmt.Sprintf("timeout: 5s, max_sessions: %d", faxSessions)))
	s.nodes[0].call(http.StatusOK, "PUT", "/api/v1/templates/price_drop/voice/en", "application/json", map[string]any{"body": siegeScript}, nil)
	return s
}

func byCall(i int) contact {
	if i%3 == 0 {
		return contact{"fax", fmt.Sprintf("+12025550%03d", 200+i), true}
	}
	return contact{"voice", fmt.Sprintf("+12025550%03d", 100+i), true}
}

// plugIn puts telephones at the trunk's address.
func (s *callSiege) plugIn(t *testing.T) {
	t.Helper()
	p := telephone.New(telephone.Config{Addr: s.trunk, AnswerAfter: 200 * time.Millisecond, Keep: 100_000})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.phones = append(s.phones, p)
}

// hangUp takes the telephones away; calls that were left open are over then.
func (s *callSiege) hangUp() {
	if err := s.phones[len(s.phones)-1].Close(); err != nil {
		s.t.Error(err)
	}
}

// strike strikes with everything there is, in an order by chance, under load,
// and goes on doing so for as long as the flag says.
func (s *callSiege) strike() {
	blows := []blow{
		{"node killed", s.killNode},
		{"node killed before it dials", s.killBeforeItDials},
		{"node stopped", s.stopNode},
		{"database stopped at once", func() { s.crashDatabase(func() {}) }},
		{"node and database together", s.killBoth},
		{"telephones away", s.unplug},
		{"telephones unkind", s.unkindPhones},
		{"fax server away", s.shutFaxes},
		{"fax server unkind", s.unkindFaxes},
	}
	limit := 500 * time.Millisecond
	if *siegeFor > 0 { // it takes its time
		blows, limit = append(blows, blow{"node frozen", s.freezeNode}), 3*time.Second
	}
	s.strikeWith(blows, func() {}, func() {
		for range 2 {
			s.tellAll()
		}
		awaitMore(s.arrived, 1+s.chance.IntN(2*callMembers), limit)
	})
}

func (s *callSiege) calls() (all []telephone.Call) {
	for _, p := range s.phones {
		all = append(all, p.Calls().All()...)
	}
	return all
}

func (s *callSiege) arrived() int {
	n := int(s.faxes.Faxes().Count())
	for _, p := range s.phones {
		n += int(p.Calls().Count())
	}
	return n
}

// killBeforeItDials kills a node that means to call somebody and has not begun.
func (s *callSiege) killBeforeItDials() {
	s.tellAll()
	var node string
	eventually(s.t, patience, "a node to mean to call somebody", func() bool {
		err := s.pool.QueryRow(s.t.Context(), `
SELECT node FROM hand_overs h
WHERE account = 'trunk' AND NOT EXISTS (SELECT FROM calls c WHERE c.delivery_id = ANY (h.deliveries))
ORDER BY id DESC LIMIT 1`).Scan(&node)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			s.t.Fatal(err)
		}
		return err == nil
	})
	for i := range s.nodes {
		if strings.HasPrefix(node, nodeName(i)) {
			s.nodes[i].kill()
			s.bury(i)
			s.boot(i)
		}
	}
}

// stopNode ends a node as an operator does, and starts it again.
func (s *callSiege) stopNode() {
	i := s.chance.IntN(len(s.nodes))
	s.nodes[i].proc.signal(s.t, syscall.SIGTERM)
	<-s.nodes[i].proc.ended
	s.boot(i)
}

// freezeNode lets a node stand still until others hold it for dead and have
// taken up its work, where it holds no locks that they need, and go on then as
// if nothing had been.
func (s *callSiege) freezeNode() {
	i := s.chance.IntN(len(s.nodes))
	thaw := (&cluster{t: s.t, nodes: s.nodes[i : i+1]}).freeze()
	defer thaw()
	over := time.After(30 * time.Second)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for count(s.t, s.pool, fmt.Sprintf(`
SELECT (SELECT count(*) FROM nodes WHERE name LIKE '%[1]s%%' AND beat_at > now() - interval '16 seconds')
     + (SELECT count(*) FROM hand_overs WHERE node LIKE '%[1]s%%')`, nodeName(i))) > 0 {
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

// unplug takes the telephones away for a while; who is being spoken to hangs up.
func (s *callSiege) unplug() {
	s.hangUp()
	s.goOn()
	s.plugIn(s.t)
}

func (s *callSiege) unkindPhones() {
	soon := telephone.Duration(s.chance.Int64N(int64(time.Second)))
	err := s.phones[len(s.phones)-1].SetFaults(
		telephone.Fault{Kind: telephone.Busy, Times: 3},
		telephone.Fault{Kind: telephone.Unavailable, Times: 2},
		telephone.Fault{Kind: telephone.Silent, Times: 1},
		telephone.Fault{Kind: telephone.Person, HangUpAfter: soon + 1, Times: 2},
		telephone.Fault{Kind: telephone.Person, AnswerAfter: telephone.Duration(5 * time.Second), Times: 1}, // just when it is given up
		telephone.Fault{Kind: telephone.NoAnswer, Times: 1})
	if err != nil {
		s.t.Fatal(err)
	}
}

// shutFaxes lets nobody speak with the fax server for a while. Its jobs go on.
func (s *callSiege) shutFaxes() {
	s.setFaults(hfaxd.Fault{Kind: hfaxd.Close})
	s.faxes.Restart(false)
	s.goOn()
	s.setFaults()
}

func (s *callSiege) unkindFaxes() {
	s.setFaults(
		hfaxd.Fault{Kind: hfaxd.DropAfter, Times: 2},
		hfaxd.Fault{Kind: hfaxd.DropBefore, Times: 1},
		hfaxd.Fault{Kind: hfaxd.Busy, Times: 1},
		hfaxd.Fault{Kind: hfaxd.Drop, Page: 1, Times: 2})
}

func (s *callSiege) setFaults(list ...hfaxd.Fault) {
	s.t.Helper()
	if err := s.faxes.SetFaults(list...); err != nil {
		s.t.Fatal(err)
	}
}

// calm ends all faults.
func (s *callSiege) calm() {
	s.setFaults()
	if err := s.phones[len(s.phones)-1].SetFaults(); err != nil {
		s.t.Fatal(err)
	}
}

// comeToRest waits until nothing moves any more. A fax that may or may not have
// been submitted rests in doubt until it is a minute old: only a long siege
// waits for that.
func (s *callSiege) comeToRest() (l ledger) {
	s.t.Helper()
	defer s.tellWhatIsOpen()
	began := time.Now()
	owed := int64(len(s.prices) * s.members)
	eventually(s.t, 3*time.Minute, "everything to come to rest", func() bool {
		l = s.nodes[0].ledger()
		return l.Targeted == owed && l.Pending+l.Deferred == 0 && (*siegeFor == 0 || l.InDoubt == 0)
	})
	eventuallyNone(s.t, s.pool, "fax that was taken and is not delivered", `SELECT count(*) FROM deliveries WHERE channel = 'fax' AND state = 'accepted'`)
	eventuallyNone(s.t, s.pool, "call that was heard and is not reported", `SELECT count(*) FROM calls WHERE NOT told AND ended_at IS NOT NULL`)
	s.t.Logf("it came to rest in %v", time.Since(began))
	return s.nodes[0].ledger()
}

// tellWhatIsOpen tells of deliveries that never came to rest.
func (s *callSiege) tellWhatIsOpen() {
	if !s.t.Failed() {
		return
	}
	for _, d := range s.nodes[0].deliveries() {
		if d.State == "pending" || d.State == "deferred" || d.State == "in_doubt" {
			s.t.Logf("delivery %s is %s %s\n%s", d.ID, d.State, d.Reason, s.recorded(d.ID))
		}
	}
}

// judge holds what came against what is recorded.
func (s *callSiege) judge(l ledger) {
	s.t.Helper()
	list := s.nodes[0].deliveries()
	if !l.Balanced || l.Failed+l.Suppressed > 0 || len(list) != len(s.prices)*s.members {
		s.t.Errorf("ledger = %+v, with %d deliveries of %d events to %d members", l, len(list), len(s.prices), s.members)
	}
	answered, sent := s.answered(), s.pages()
	tally := map[string]int{}
	for _, d := range list {
		wrong := ""
		if d.Channel == "voice" {
			wrong = judgeCall(d, len(answered[d.ID]), tally)
		} else {
			wrong = judgeFax(d, sent[d.ID], tally)
		}
		for _, c := range answered[d.ID] {
			if c.To != d.Address {
				wrong += ", of the delivery for " + d.Address + " " + c.To + " was called"
			}
		}
		if wrong != "" {
			s.t.Errorf("delivery %s is %s %s, repeated %d times%s\n%s%s", d.ID, d.State, d.Reason, d.Repeated, wrong, s.came(d.ID, answered[d.ID]), s.recorded(d.ID))
		}
		delete(answered, d.ID)
		delete(sent, d.ID)
	}
	for id := range answered {
		s.t.Errorf("a call came of delivery %q, which there is not", id)
	}
	for id := range sent {
		s.t.Errorf("a fax came of delivery %q, which there is not", id)
	}
	s.heard(list)
	if l.InDoubt == 0 {
		s.leavesNothing()
	}
	s.countDoubt(tally)
	s.t.Logf("%d deliveries: %v; %d calls over %d telephones, %d faxes; strikes: %v",
		len(list), tally, len(s.calls()), len(s.phones), s.faxes.Faxes().Count(), s.strikes)
}

// countDoubt counts the deliveries that were ever in doubt, and those of them
// that were handed over again.
func (s *callSiege) countDoubt(tally map[string]int) {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `
SELECT d.channel, count(*), count(*) FILTER (WHERE d.attempts > doubted.number)
FROM deliveries d
JOIN (SELECT delivery_id, min(number) AS number FROM attempts WHERE outcome = 'in_doubt' GROUP BY delivery_id) doubted ON doubted.delivery_id = d.id
GROUP BY d.channel`)
	if err != nil {
		s.t.Fatal(err)
	}
	var channel string
	var doubted, again int
	if _, err := pgx.ForEachRow(rows, []any{&channel, &doubted, &again}, func() error {
		tally[channel+" was in doubt"], tally[channel+" was in doubt, and surely not taken"] = doubted, again
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
}

// judgeCall says what is wrong with a delivery of which so many calls were
// answered.
func judgeCall(d delivery, answered int, tally map[string]int) (wrong string) {
	assumed := d.State == "accepted" && d.Reason == "assumed_sent"
	switch {
	case assumed:
		tally[fmt.Sprintf("calls assumed, answered %d times", answered)]++
	case d.State == "accepted" || d.State == "delivered":
		tally["calls "+d.State]++
		if answered == 0 {
			wrong = ", and nobody answered"
		}
	default:
		wrong = ", where calls do not rest"
	}
	if answered > 1 {
		tally["calls repeated"]++
		if answered-1 > d.Repeated {
			wrong += fmt.Sprintf(", and was answered %d times", answered)
		}
	}
	if d.Repeated > 0 {
		tally["calls marked"]++
	}
	return wrong
}

// judgeFax says what is wrong with a delivery of which so many pages came.
func judgeFax(d delivery, pages int, tally map[string]int) (wrong string) {
	tally["faxes "+d.State]++
	switch d.State {
	case "delivered":
		if pages < faxPages {
			wrong = fmt.Sprintf(", and %d pages came", pages)
		}
	case "in_doubt":
		if d.Reason != "held" {
			wrong = ", where faxes do not rest"
		}
	default:
		wrong = ", where faxes do not rest"
	}
	if pages > faxPages {
		tally["faxes repeated"]++
		if again := (pages - 1) / faxPages; again > d.Repeated {
			wrong += fmt.Sprintf(", and %d pages came", pages)
		}
	}
	if d.Repeated > 0 {
		tally["faxes marked"]++
	}
	return wrong
}

// answered are the calls that were answered, by their deliveries; but those
// that crossed with our giving up, which we hung up without a word.
func (s *callSiege) answered() map[string][]telephone.Call {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `SELECT call_id, delivery_id::text FROM calls`)
	if err != nil {
		s.t.Fatal(err)
	}
	deliveries := map[string]string{}
	var call, delivery string
	if _, err := pgx.ForEachRow(rows, []any{&call, &delivery}, func() error {
		deliveries[call] = delivery
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	answered := map[string][]telephone.Call{}
	for _, c := range s.calls() {
		if c.Answered && (len(c.Heard) > 0 || c.HungUp != "caller") {
			id := deliveries[c.CallID]
			answered[id] = append(answered[id], c)
		}
	}
	return answered
}

// pages are how many pages came of each delivery, which is the first part of
// its jobs' ids.
func (s *callSiege) pages() map[string]int {
	s.t.Helper()
	const uuid = 36
	pages := map[string]int{}
	for _, f := range s.faxes.Faxes().All() {
		if len(f.Info) < uuid {
			s.t.Fatalf("a fax with the id %q", f.Info)
		}
		pages[f.Info[:uuid]] += f.Pages
	}
	return pages
}

// came is what the far ends know of a delivery.
func (s *callSiege) came(id string, calls []telephone.Call) string {
	var told strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&told, "  answered at %v, call %s, rang %v, lasted %v, hung up by %s %s\n", c.BeganAt.UTC(), c.CallID, c.Rang, c.Lasted, c.HungUp, c.Problem)
	}
	for _, f := range s.faxes.Faxes().All() {
		if strings.HasPrefix(f.Info, id) {
			fmt.Fprintf(&told, "  faxed at %v, job %s, %d of %d pages in %d calls, as %s\n", f.At.UTC(), f.Job, f.Pages, f.Of, f.Calls, f.Info)
		}
	}
	return told.String()
}

// heard holds that each call that is recorded as delivered said what its
// delivery is about, rather than what another is.
func (s *callSiege) heard(list []delivery) {
	s.t.Helper()
	spoken := prompts(s.t)
	says := map[int][]int16{}
	for _, p := range s.prices {
		says[p] = spoken(fmt.Sprintf("Kettle number %d.", p))
	}
	about := s.about()
	answered := s.answered()
	for _, d := range list {
		p := about[d.ID]
		if d.Channel != "voice" || d.State != "delivered" || len(answered[d.ID]) != 1 || p == 0 {
			continue
		}
		heard := answered[d.ID][0].Heard
		own := siptest.Likeness(says[p], heard)
		for _, other := range []int{p - 1, p + 1} {
			if like := siptest.Likeness(says[other], heard); says[other] != nil && like > own {
				s.t.Errorf("delivery %s is about number %d, which was heard for %.2f, and number %d for %.2f", d.ID, p, own, other, like)
			}
		}
	}
}

// about are the prices that deliveries tell.
func (s *callSiege) about() map[string]int {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `
SELECT d.id::text, (n.data->'event'->>'price')::numeric::int
FROM deliveries d
JOIN notifications n ON n.id = d.notification_id`)
	if err != nil {
		s.t.Fatal(err)
	}
	about := map[string]int{}
	var id string
	var price int
	if _, err := pgx.ForEachRow(rows, []any{&id, &price}, func() error {
		if !slices.Contains(s.prices, price) {
			return fmt.Errorf("delivery %s is about %d", id, price)
		}
		about[id] = price
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return about
}
