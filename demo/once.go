package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/hardware/sim/phone"
	"herald/hardware/sim/smtp"
)

// Report is what Once says: how much there was to do, what became of it, and
// whether it was exactly right.
type Report struct {
	Members       int64           `json:"members"`
	Subscriptions int64           `json:"subscriptions"`
	Events        int64           `json:"events"`
	Matches       int64           `json:"matches"`
	Ledger        dispatch.Ledger `json:"ledger"`
	Channels      Channels        `json:"channels"`
	Oracle        Oracle          `json:"oracle"`
}

// Channels holds the channels' two sides: what Herald has recorded as taken by
// the provider, and what the provider's simulator has received.
type Channels struct {
	Email      Channel `json:"email"`
	SMSGateway Channel `json:"sms_gateway"`
	SMSModem   Channel `json:"sms_modem"`
	Voice      Channel `json:"voice"` // calls that were answered
	Fax        Channel `json:"fax"`   // of which all pages arrived
}

// Channel is one of them.
type Channel struct {
	Recorded int64 `json:"recorded"`
	Received int64 `json:"received"`
}

// Oracle compares what Herald decided with every event held against every
// subscription, one by one.
type Oracle struct {
	Expected   int `json:"expected"`
	Missing    int `json:"missing"`
	Unexpected int `json:"unexpected"`
}

// Err says what is wrong, or nothing.
func (r Report) Err() error {
	var wrong []error
	if !r.Ledger.Balanced {
		wrong = append(wrong, errors.New("the ledger does not balance"))
	}
	if r.Ledger.Open() > 0 {
		wrong = append(wrong, fmt.Errorf("%d deliveries are not done", r.Ledger.Open()))
	}
	for _, c := range []struct {
		Channel
		what string
	}{{r.Channels.Email, "mails"}, {r.Channels.SMSGateway, "texts by the gateway"}, {r.Channels.SMSModem, "texts by the modem"}, {r.Channels.Voice, "calls"}, {r.Channels.Fax, "faxes"}} {
		if c.Recorded != c.Received {
			wrong = append(wrong, fmt.Errorf("%d %s were recorded and %d received", c.Recorded, c.what, c.Received))
		}
	}
	if r.Oracle.Missing > 0 || r.Oracle.Unexpected > 0 {
		wrong = append(wrong, fmt.Errorf("%d notifications are missing and %d unexpected", r.Oracle.Missing, r.Oracle.Unexpected))
	}
	return errors.Join(wrong...)
}

// onceWithin is how long the scenario may take; it takes some 20 s.
const onceWithin = 2 * time.Minute

// Once plays the scripted scenario, writes its report to out and fails when
// anything in it is not exactly right.
func Once(ctx context.Context, o Options, asJSON bool, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, onceWithin)
	defer cancel()
	s, err := newStage(ctx, o, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if count, err := s.herald.Members.Count(ctx); err != nil || count > 0 {
		return errors.Join(err, errors.New("the data directory has members already: the scenario needs an empty one"))
	}
	report, err := s.play(ctx)
	if err != nil {
		return err
	}
	if err := report.write(out, asJSON); err != nil {
		return err
	}
	return report.Err()
}

func (r Report) write(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	l := r.Ledger
	_, err := fmt.Fprintf(out, `%d members with %d subscriptions heard of %d events: %d matches.
Ledger: %d targeted = %d accepted + %d delivered + %d suppressed + %d deferred + %d failed + %d pending + %d in doubt; balanced: %t
E-mail: %d recorded, %d received; SMS by the gateway: %d recorded, %d received; by the modem: %d recorded, %d received
Calls: %d recorded, %d received; faxes: %d recorded, %d received
Every event against every subscription: %d notifications expected, %d missing, %d unexpected
`, r.Members, r.Subscriptions, r.Events, r.Matches,
		l.Targeted, l.Accepted, l.Delivered, l.Suppressed, l.Deferred, l.Failed, l.Pending, l.InDoubt, l.Balanced,
		r.Channels.Email.Recorded, r.Channels.Email.Received, r.Channels.SMSGateway.Recorded, r.Channels.SMSGateway.Received,
		r.Channels.SMSModem.Recorded, r.Channels.SMSModem.Received,
		r.Channels.Voice.Recorded, r.Channels.Voice.Received, r.Channels.Fax.Recorded, r.Channels.Fax.Received,
		r.Oracle.Expected, r.Oracle.Missing, r.Oracle.Unexpected)
	return err
}

// batch is how many events the shop sends at once.
const batch = 50

// play registers the cast, sends the events, waits until everything has come
// to rest and takes stock.
func (s *stage) play(ctx context.Context) (Report, error) {
	if err := s.mail.SetFaults(
		smtp.Fault{Recipient: "*@full.example", Kind: smtp.Temporary, Code: 452, Text: "4.2.2 mailbox full", Times: 20},
		smtp.Fault{Recipient: "*@gone.example", Kind: smtp.Refuse, Code: 550, Text: "5.1.1 no such user"},
	); err != nil {
		return Report{}, err
	}
	// Who is called has heard enough soon, and confirms.
	confirms := phone.Press{After: phone.Duration(2 * time.Second), Digits: "1"}
	if err := s.phones.SetFaults(phone.Fault{Number: "*" + strings.TrimPrefix(calledNumber, "+"), Kind: phone.Person, Press: []phone.Press{confirms}}); err != nil {
		return Report{}, err
	}
	cast, err := s.cast(ctx)
	if err != nil {
		return Report{}, err
	}
	events, err := script(time.Now())
	if err != nil {
		return Report{}, err
	}
	for i := 0; i < len(events); i += batch {
		if _, err := s.client.send(ctx, events[i:min(i+batch, len(events))]); err != nil {
			return Report{}, err
		}
	}
	ledger, err := s.rest(ctx)
	if err != nil {
		return Report{}, err
	}
	return s.takeStock(ctx, cast, events, ledger)
}

// rest waits until no delivery can move any more.
func (s *stage) rest(ctx context.Context) (dispatch.Ledger, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ledger, err := s.herald.Deliveries.Ledger(ctx, dispatch.Filter{})
		if err != nil || ledger.Open() == 0 {
			return ledger, err
		}
		select {
		case <-ctx.Done():
			return ledger, fmt.Errorf("%d deliveries did not come to rest, of which %d are pending, %d deferred and %d in doubt: %w",
				ledger.Open(), ledger.Pending, ledger.Deferred, ledger.InDoubt, ctx.Err())
		case <-tick.C:
		}
	}
}

func (s *stage) takeStock(ctx context.Context, cast []wish, events []event, ledger dispatch.Ledger) (Report, error) {
	r := Report{
		Subscriptions: int64(len(cast)), // those that were used up meanwhile are in history
		Ledger:        ledger,
	}
	recorded, err := s.recorded(ctx)
	if err != nil {
		return r, err
	}
	r.Channels = Channels{
		Email:      Channel{recorded[mailAccount], s.mail.Count()},
		SMSGateway: Channel{recorded[gatewayAccount], received(s.centre.Texts())},
		SMSModem:   Channel{recorded[modemAccount], received(s.modem.Texts())},
		Voice:      Channel{recorded[trunkAccount], answered(s.phones.Calls().All())},
		Fax:        Channel{recorded[faxAccount], whole(s.faxes.Faxes().All())},
	}
	if r.Members, err = s.herald.Members.Count(ctx); err != nil {
		return r, err
	}
	counts, err := s.herald.Events.Count(ctx)
	if err != nil {
		return r, err
	}
	r.Events, r.Matches = counts.Events, counts.Matches
	told, err := s.told(ctx, events)
	if err != nil {
		return r, err
	}
	r.Oracle = compare(expected(cast, events), told)
	return r, nil
}

// recorded is how many deliveries each account has taken, as Herald knows.
// One whose receipt comes just now is counted once.
func (s *stage) recorded(ctx context.Context) (map[string]int64, error) {
	taken, seen := map[string]int64{}, map[uuid.UUID]bool{}
	for _, state := range []dispatch.State{dispatch.Accepted, dispatch.Delivered} {
		q := dispatch.Search{State: state, Limit: 500}
		for more := true; more; {
			page, err := s.herald.Deliveries.Find(ctx, q)
			if err != nil {
				return nil, err
			}
			for _, d := range page.Deliveries {
				if !seen[d.ID] {
					taken[d.Account]++
				}
				seen[d.ID] = true
			}
			q.Before, more = page.Next, page.Next != uuid.Nil
		}
	}
	return taken, nil
}
