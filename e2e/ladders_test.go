package e2e

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"herald/dispatch/voice/speech"
	"herald/e2e/peers"
	"herald/hardware/sim/hfaxd"
	telephone "herald/hardware/sim/phone"
	"herald/hardware/sim/simtest"
	"herald/hardware/sim/smsc"
	"herald/hardware/sim/smtp"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/siptest"
)

// lines are the far ends that texts, calls and faxes go to.
type lines struct {
	centre *smsc.SMSC
	phones *telephone.Phone
	faxes  *hfaxd.Server
}

// trunkTo and faxesTo are settings that lead calls and faxes to their far ends.
func trunkTo(t *testing.T, address, more string) string {
	t.Helper()
	return fmt.Sprintf(`HERALD_VOICE_TRUNKS=[{name: trunk, server: %q, local: 127.0.0.1, caller_number: "+862155550100", response: 2s, %s}]`, address, more)
}

func faxesTo(t *testing.T, address, more string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`HERALD_FAX_SERVERS=[{name: fax, host: %q, port: %s, sender_name: The Shop, sender_number: "+86 21 5555 0101", cover: true, retry_after: 1s, %s}]`, host, port, more)
}

// startWithLines runs a node that has every channel.
func startWithLines(t *testing.T) (*herald, lines) {
	t.Helper()
	l := lines{
		centre: simtest.Start(t, smsc.New(smsc.Config{Receipts: smsc.Receipts{Delay: 50 * time.Millisecond}})),
		phones: simtest.Start(t, telephone.New(telephone.Config{AnswerAfter: 300 * time.Millisecond})),
		faxes:  simtest.Start(t, hfaxd.New(hfaxd.Config{})),
	}
	host, port, err := net.SplitHostPort(l.centre.Addr())
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, "HERALD_DATA_DIR="+t.TempDir(),
		fmt.Sprintf(`HERALD_SMS_SMPP=[{name: operator, host: %q, port: %s, system_id: shop, source: "10690"}]`, host, port),
		trunkTo(t, l.phones.Addr(), "ring_for: 1s, tries: 2, retry_busy: 1s, retry_no_answer: 1s"),
		faxesTo(t, l.faxes.Addr(), ""),
		fmt.Sprintf("HERALD_RECEIPTS=[{name: sim, provider: standard, secret: whsec_%s}]", base64.StdEncoding.EncodeToString([]byte(receiptKey))))
	h.call(http.StatusOK, "PUT", "/api/v1/templates/price_drop/voice/en", "application/json", map[string]any{"body": calledScript}, nil)
	h.hasPatience("2s")
	return h, l
}

// What the calls of these tests say.
const (
	calledScript = `steps:
  - say: "{{ event.name }} costs {{ event.price }} euros from now on."
  - gather:
      say: "Press one to confirm, or nine to hear no more of it."
      wait: 3s
      tries: 1
      choices:
        1: [{confirm: true}, {say: "Thank you very much, and goodbye."}]
        9: [{stop: true}]
`
	calledMessage  = "Kettle costs 45 euros from now on."
	calledQuestion = "Press one to confirm, or nine to hear no more of it."
	calledThanks   = "Thank you very much, and goodbye."
	calledWrong    = "Your order has been packed, and leaves our house tonight."
)

// impatient is price_drop's twin, which waits for a confirmation only so long.
const impatient = "price_drop_soon"

func (h *herald) hasPatience(d string) {
	h.t.Helper()
	var definition map[string]any
	h.call(http.StatusOK, "GET", "/api/v1/triggers/price_drop", "", nil, &definition)
	definition["name"], definition["patience"], definition["version"] = impatient, d, 0
	h.call(http.StatusOK, "PUT", "/api/v1/triggers/"+impatient, "application/json", definition, nil)
}

// tellee is a member with an address on each of some channels, who waits for
// the price of a product of their own.
type tellee struct {
	herald  *herald
	account string
	prices  int
}

// waits registers a member. They are told on the channels in this order, of
// which each address is that of a contact.
func (h *herald) waits(account, trigger string, contacts ...contact) *tellee {
	h.t.Helper()
	var member struct {
		ID int64 `json:"id"`
	}
	h.call(http.StatusCreated, "POST", "/api/v1/members", "application/json", map[string]any{
		"account": account, "locale": "en", "contacts": contacts,
	}, &member)
	var channels []string
	for _, c := range contacts {
		channels = append(channels, c.Channel)
	}
	h.call(http.StatusCreated, "POST", "/api/v1/subscriptions", "application/json", map[string]any{
		"member_id": member.ID, "trigger": trigger, "cool_down": "0s", "params": map[string]any{"product": account, "target": 49}, "channels": channels,
	}, nil)
	return &tellee{herald: h, account: account}
}

// hears tells what the member waits for.
func (m *tellee) hears() {
	m.herald.t.Helper()
	m.prices++
	event := price(fmt.Sprintf("%s-%d", m.account, m.prices), 45)
	event["data"].(map[string]any)["product"] = m.account
	m.herald.call(http.StatusAccepted, "POST", "/api/v1/events", structured, event, nil)
}

// course is what the timeline of a notification tells.
type course struct {
	Deliveries []struct{ Channel, State, Reason string }
	Entries    []struct {
		Code string
		Args map[string]any
	}
}

// newest is the member's newest delivery; empty: there is none.
func (m *tellee) newest() string {
	m.herald.t.Helper()
	var found struct{ Items []delivery }
	m.herald.call(http.StatusOK, "GET", "/api/v1/deliveries?member="+m.account, "", nil, &found)
	if len(found.Items) == 0 {
		return ""
	}
	return found.Items[0].ID
}

func (m *tellee) course() (c course) {
	m.herald.t.Helper()
	if id := m.newest(); id != "" {
		m.herald.call(http.StatusOK, "GET", "/api/v1/deliveries/"+id+"/timeline", "", nil, &c)
	}
	return c
}

// ends waits until the member's newest notification has come to an end, which
// is told as the states of its rungs, such as "sms failed, voice delivered",
// and its timeline tells these steps, in order.
func (m *tellee) ends(states string, steps ...string) {
	t := m.herald.t
	t.Helper()
	var is, missing string
	var told []string
	defer func() {
		if t.Failed() {
			t.Logf("%s: %s, of which %q is not told, or not in its place\n  %s", m.account, is, missing, strings.Join(told, "\n  "))
		}
	}()
	eventually(t, patience, m.account+" to be told: "+states, func() bool {
		c := m.course()
		var rungs []string
		for _, d := range c.Deliveries {
			rungs = append(rungs, d.Channel+" "+d.State)
		}
		is, told = strings.Join(rungs, ", "), c.told()
		missing = firstMissing(told, steps)
		return is == states && missing == ""
	})
}

// firstMissing is the first of the steps that is not told after those before
// it; empty: all are told, in order.
func firstMissing(told, steps []string) string {
	for _, step := range steps {
		i := slices.Index(told, step)
		if i < 0 {
			return step
		}
		told = told[i+1:]
	}
	return ""
}

// told are the steps of the course, each with the figures that matter here.
func (c course) told() (steps []string) {
	for _, e := range c.Entries {
		words := []string{e.Code}
		for _, name := range []string{"channel", "from", "to", "reason", "refusal", "event", "outcome", "by", "digit", "class", "sent", "state"} {
			if value, has := e.Args[name]; has {
				words = append(words, fmt.Sprint(value))
			}
		}
		steps = append(steps, strings.Join(words, " "))
	}
	return steps
}

// The numbers of these tests, and what becomes of calls and texts to them.
const (
	confirmsAt = "+12025550101" // presses 1
	machineAt  = "+12025550102"
	stopsAt    = "+12025550103" // presses 9
	busyAt     = "+12025550104"
	awayAt     = "+12025550105" // nobody answers
	refusedAt  = "+8613800138001"
	silentAt   = "+8613800138002" // whose phone never says that it has a text
	returnsAt  = "returns@example.com"
	refusesAt  = "refuses@example.com"
)

func (l lines) behave(t *testing.T, h *herald) {
	t.Helper()
	pressing := func(digits string) []telephone.Press {
		return []telephone.Press{{After: telephone.Duration(4 * time.Second), Digits: digits}} // while the question is asked
	}
	for _, err := range []error{
		l.phones.SetFaults(
			telephone.Fault{Number: confirmsAt, Kind: telephone.Person, Press: pressing("1")},
			telephone.Fault{Number: machineAt, Kind: telephone.Machine},
			telephone.Fault{Number: stopsAt, Kind: telephone.Person, Press: pressing("9")},
			telephone.Fault{Number: busyAt, Kind: telephone.Busy},
			telephone.Fault{Number: awayAt, Kind: telephone.NoAnswer}),
		l.centre.SetFaults(
			smsc.Fault{Number: strings.TrimPrefix(refusedAt, "+"), Kind: smsc.Refuse},
			smsc.Fault{Number: strings.TrimPrefix(silentAt, "+"), Kind: smsc.NoReceipt}),
		h.mail.SetFaults(smtp.Fault{Recipient: refusesAt, Kind: smtp.Refuse, Code: 550, Text: "5.1.1 no such user"}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestLadders has messages go the next way when the first one fails them, to
// telephones and fax machines. All of it goes on at once.
func TestLadders(t *testing.T) {
	t.Parallel()
	h, l := startWithLines(t)
	l.behave(t, h)
	mail := func(address string) contact { return contact{"email", address, true} }
	text := func(number string) contact { return contact{"sms", number, true} }
	call := func(number string) contact { return contact{"voice", number, true} }
	fax := func(number string) contact { return contact{"fax", number, true} }
	var (
		confirms = h.waits("confirms", "price_drop", text(refusedAt), call(confirmsAt))
		recorded = h.waits("recorded", impatient, text(silentAt), call(machineAt))
		stops    = h.waits("stops", "price_drop", call(stopsAt), mail("stops@example.com"))
		busy     = h.waits("busy", "price_drop", call(busyAt), mail("busy@example.com"))
		away     = h.waits("away", "price_drop", call(awayAt), mail("away@example.com"))
		refuses  = h.waits("refuses", "price_drop", mail(refusesAt), fax("+12025550111"))
		returns  = h.waits("returns", "price_drop", mail(returnsAt), fax("+12025550112"))
	)
	for _, m := range []*tellee{confirms, recorded, stops, busy, away, refuses, returns} {
		m.hears()
	}
	returns.mailComesBack()
	for name, story := range map[string]func(*testing.T){
		"a text that is refused becomes a call, which is confirmed":  func(t *testing.T) { confirms.in(t).confirms(l) },
		"a text that nobody confirms becomes a message on a machine": func(t *testing.T) { recorded.in(t).isRecorded(l) },
		"who stops the calls gets no more of them":                   func(t *testing.T) { stops.in(t).stops(l) },
		"a call that finds the line busy becomes a mail":             func(t *testing.T) { busy.in(t).isMailedAfter("busy", 2, l, busyAt) },
		"a call that nobody answers becomes a mail":                  func(t *testing.T) { away.in(t).isMailedAfter("no_answer", 2, l, awayAt) },
		"a mail that is refused becomes a fax":                       func(t *testing.T) { refuses.in(t).isFaxed(l, "+12025550111", "failed") },
		"a mail that comes back becomes a fax":                       func(t *testing.T) { returns.in(t).isFaxed(l, "+12025550112", "bounced") },
	} {
		t.Run(name, story)
	}
	if ledger := h.rest(); !ledger.Balanced || ledger.Targeted != 8 || ledger.Delivered != 3 || ledger.Accepted != 5 {
		t.Errorf("the ledger is %+v", ledger)
	}
}

// in is the member's story as a test of its own.
func (m *tellee) in(t *testing.T) *tellee {
	its := *m.herald
	its.t = t
	return &tellee{herald: &its, account: m.account, prices: m.prices}
}

// called are the calls to a number that are over.
func (l lines) called(number string) (calls []telephone.Call) {
	for _, c := range l.phones.Calls().All() {
		if c.To == number {
			calls = append(calls, c)
		}
	}
	return calls
}

// confirms: the text is refused, the call is heard and confirmed.
func (m *tellee) confirms(l lines) {
	t := m.herald.t
	m.ends("sms failed, voice delivered",
		"event_received", "channel_chosen sms", "attempt_started sms", "ladder_climbed sms voice failed",
		"attempt_started voice", "call_dialled", "call_ringing", "call_answered person", "call_pressed 1", "call_confirmed", "call_hung_up us",
		"attempt_ended voice accepted", "receipt voice delivered")
	calls := l.called(confirmsAt)
	if len(calls) != 1 || calls[0].Pressed != "1" || calls[0].HungUp != "caller" || calls[0].Problem != "" {
		t.Fatalf("the phone knows of %d calls: %+v", len(calls), calls)
	}
	spoken := prompts(t)
	for _, said := range []string{calledMessage, calledThanks} {
		if like := siptest.Likeness(spoken(said), calls[0].Heard); like < siptest.Like {
			t.Errorf("%q was heard, but for %.2f", said, like)
		}
	}
	if like := siptest.Likeness(spoken(calledWrong), calls[0].Heard); like >= 0.5 {
		t.Errorf("what was not said is heard for %.2f", like)
	}
}

// prompts gives what espeak-ng makes of texts.
func prompts(t *testing.T) func(text string) []int16 {
	t.Helper()
	speaker, err := speech.New(speech.Config{Cache: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := speaker.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(text string) []int16 {
		t.Helper()
		said, err := speaker.Speak(t.Context(), text, "en")
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
}

// isRecorded: the text is taken and not confirmed in time; a machine has the
// message after its beep, without the question, and nobody says that it was
// heard.
func (m *tellee) isRecorded(l lines) {
	t := m.herald.t
	m.ends("sms accepted, voice accepted",
		"attempt_ended sms accepted", "ladder_climbed sms voice not_confirmed",
		"call_dialled", "call_answered machine", "call_heard machine", "call_hung_up us", "attempt_ended voice accepted", "state voice accepted")
	calls := l.called(machineAt)
	if len(calls) != 1 {
		t.Fatalf("the machine knows of %d calls", len(calls))
	}
	const greeting, beep = 4 * time.Second, 800 * time.Millisecond
	heard, spoken := calls[0].Heard, prompts(t)
	before := int((greeting + beep).Seconds() * g711.Rate)
	if like := siptest.Likeness(spoken(calledMessage), heard[before:]); like < siptest.Like {
		t.Errorf("after the beep, the message was recorded for %.2f", like)
	}
	if loud := siptest.Sounding(heard[:before]); loud > 0 {
		t.Errorf("it was spoken to for %v before the beep", loud)
	}
	if like := siptest.Likeness(spoken(calledQuestion), heard); like >= 0.6 {
		t.Errorf("the machine was asked to press a key: %.2f", like)
	}
}

// stops: who presses 9 is not called the next time, but written to, and can
// read why.
func (m *tellee) stops(l lines) {
	t := m.herald.t
	m.ends("voice accepted", "call_answered person", "call_pressed 9", "call_stopped", "receipt voice unsubscribed")
	m.hears()
	m.ends("email accepted", "channel_refused voice suppressed_unsubscribed", "channel_chosen email")
	if calls := l.called(stopsAt); len(calls) != 1 {
		t.Errorf("it was called %d times", len(calls))
	}
	var link string
	for _, mail := range m.herald.mail.Messages() {
		if slices.Contains(mail.To, "stops@example.com") {
			link = regexp.MustCompile(`http\S+/why/\S+`).FindString(mail.Text)
		}
	}
	page := visit(t, m.herald.url, phone)
	page.open(link)
	page.reads("您已将它退订")
}

// isMailedAfter: nobody is reached in so many calls, so that a mail goes.
func (m *tellee) isMailedAfter(class string, tries int, l lines, number string) {
	t := m.herald.t
	m.ends("voice failed, email accepted",
		"call_dialled", "call_failed "+class, "attempt_ended voice transient",
		"call_dialled", "call_failed "+class, "ladder_climbed voice email failed", "attempt_ended voice permanent", "attempt_ended email accepted")
	if calls := l.called(number); len(calls) != tries {
		t.Errorf("it was called %d times", len(calls))
	}
}

// mailComesBack has the mail's provider say that it came back.
func (m *tellee) mailComesBack() {
	t := m.herald.t
	t.Helper()
	m.ends("email accepted")
	body := fmt.Sprintf(`{"type": "delivery.bounced", "timestamp": %q, "data": {"delivery": %q, "channel": "email", "code": "5.1.1"}}`,
		time.Now().UTC().Format(time.RFC3339), m.newest())
	if status := m.herald.reports(receiptKey, []byte(body)); status != http.StatusOK {
		t.Fatalf("the webhook was answered %d", status)
	}
}

// isFaxed: the fax has a cover and a page, and both arrive.
func (m *tellee) isFaxed(l lines, number, why string) {
	t := m.herald.t
	m.ends("email failed, fax delivered",
		"ladder_climbed email fax "+why, "attempt_started fax", "fax_submitted", "attempt_ended fax accepted", "fax_sent 2", "fax_ended delivered", "receipt fax delivered")
	var arrived []hfaxd.Fax
	for _, f := range l.faxes.Faxes().All() {
		if f.Number == number {
			arrived = append(arrived, f)
		}
	}
	if len(arrived) != 1 || !arrived[0].Whole() || arrived[0].Pages != 2 || arrived[0].Info != m.newest() {
		t.Fatalf("the fax machine knows of %d faxes, the first: %d of %d pages of %s", len(arrived), arrived[0].Pages, arrived[0].Of, arrived[0].Info)
	}
	pages := textOf(t, arrived[0].Document)
	if len(pages) != 2 || !strings.Contains(pages[0], "The Shop") || !strings.Contains(pages[1], "Kettle now costs €45.00") {
		t.Errorf("the pages say %q", pages)
	}
}

// textOf is what the pages of a PDF say.
func textOf(t *testing.T, document []byte) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fax.pdf")
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.CommandContext(t.Context(), peers.Program(t, "pdftotext", "poppler-utils"), "-layout", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\f"), "\f")
}
