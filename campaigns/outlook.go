package campaigns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
	"herald/templates"
)

// Outlook is what a campaign would do if it were told now, as far as it has
// been counted. A campaign of birthdays is counted over a whole year:
// everybody who told one.
//
// Quiet hours and frequency caps are foreseen for the moment at which it is
// told next. Caps are held against what has been sent so far: what is sent
// until then counts too, so that they are exact only for what is told at once.
// Of birthdays they are not foreseen.
type Outlook struct {
	State   string    `json:"state"`   // counting, done, cancelled
	Version int       `json:"version"` // of the plan it is about
	Share   float64   `json:"share"`   // of the members asked so far, 0 to 1
	AskedBy string    `json:"asked_by"`
	AskedAt time.Time `json:"asked_at"`
	Tally
	// Samples are three of those who would be told, as they would read it.
	Samples []Sample `json:"samples"`
}

// Tally counts the members that a segment names.
type Tally struct {
	Meant   int64     `json:"meant"`
	Reached []Reached `json:"reached"` // the most first
	Waiting int64     `json:"waiting"` // those of Reached whose message would wait for the end of their quiet hours
	// Refused are the most first; by the refusal of the first channel, by
	// "frequency_cap", or by "expired": their quiet hours outlast the message.
	Refused []Refused `json:"refused"`
	Chosen  []int64   `json:"-"` // members for Samples
}

// Reached is how many would be told on a channel in a language.
type Reached struct {
	Channel subscriptions.Channel `json:"channel"`
	Locale  string                `json:"locale"` // the members'
	Count   int64                 `json:"count"`
}

// Readers are how many of those who would be told get each message of a plan,
// by its index.
func (p Plan) Readers(reached []Reached) []int64 {
	readers := make([]int64, len(p.Messages))
	for _, r := range reached {
		if i := p.messageFor(r.Channel, r.Locale); i >= 0 {
			readers[i] += r.Count
		}
	}
	return readers
}

// messageFor is the index of the message that members with a locale get on a
// channel, as templates looks for it; -1: there is none on the channel.
func (p Plan) messageFor(ch subscriptions.Channel, locale string) int {
	for _, candidate := range templates.Fallbacks(locale) {
		if i := slices.IndexFunc(p.Messages, func(m Wording) bool { return m.Channel == ch && m.Locale == candidate }); i >= 0 {
			return i
		}
	}
	return slices.IndexFunc(p.Messages, func(m Wording) bool { return m.Channel == ch })
}

// Refused is how many would not be told for a reason, and some of them.
type Refused struct {
	Refusal subscriptions.Refusal `json:"refusal"`
	Count   int64                 `json:"count"`
	Members []int64               `json:"members"` // five at most
}

// Sample is a message as a member would read it.
type Sample struct {
	MemberID int64                 `json:"member_id"`
	Account  string                `json:"account"`
	Channel  subscriptions.Channel `json:"channel"`
	Locale   string                `json:"locale"` // of the message
	Subject  string                `json:"subject,omitempty"`
	HTML     string                `json:"html,omitempty"`
	Text     string                `json:"text,omitempty"`
	Problem  string                `json:"problem,omitempty"` // why it could not be filled in
}

// How many are shown.
const (
	samples        = 3
	refusedMembers = 5
)

// DryRun begins to count, in the background, whom a campaign would reach; one
// that was under way ends. actor is who asks. Errors: NotFound.
func (s *Store) DryRun(ctx context.Context, id int64, actor string) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var number int64
		at := s.instant()
		err := tx.QueryRow(ctx, `
INSERT INTO campaign_dry_runs AS d (campaign_id, number, version, state, next_id, last_id, result, asked_by, asked_at, changed_at)
SELECT c.id, 1, c.version, 'counting', 0, (SELECT coalesce(max(id), 0) FROM members), '{}', $2, $3, $3
FROM campaigns c
WHERE c.id = $1
ON CONFLICT (campaign_id) DO UPDATE
SET number = d.number + 1, version = excluded.version, state = 'counting', next_id = 0, last_id = excluded.last_id,
    result = '{}', asked_by = excluded.asked_by, asked_at = excluded.asked_at, changed_at = excluded.changed_at
RETURNING number`, id, actor, at).Scan(&number)
		if errors.Is(err, pgx.ErrNoRows) {
			return noSuchCampaign()
		}
		if err != nil {
			return fmt.Errorf("begin a dry run of campaign %d: %w", id, err)
		}
		if _, err := s.river.InsertTx(ctx, tx, dryRunArgs{id, number}, nil); err != nil {
			return fmt.Errorf("begin a dry run of campaign %d: %w", id, err)
		}
		return nil
	})
}

// CancelDryRun ends the count of a campaign's dry run, if one is under way.
func (s *Store) CancelDryRun(ctx context.Context, id int64) error {
	_, err := s.pool.Exec(ctx, `
UPDATE campaign_dry_runs SET state = 'cancelled', changed_at = $2
WHERE campaign_id = $1 AND state = 'counting'`, id, s.instant())
	if err != nil {
		return fmt.Errorf("cancel the dry run of campaign %d: %w", id, err)
	}
	return nil
}

// Outlook is the latest dry run of a campaign. Errors: NotFound, also when
// there was none.
func (s *Store) Outlook(ctx context.Context, id int64) (Outlook, error) {
	c, err := s.Get(ctx, id)
	if err != nil {
		return Outlook{}, err
	}
	var (
		o          Outlook
		t          storedTally
		next, last int64
	)
	err = s.pool.QueryRow(ctx, `
SELECT state, version, asked_by, asked_at, next_id, last_id, result
FROM campaign_dry_runs
WHERE campaign_id = $1`, id).Scan(&o.State, &o.Version, &o.AskedBy, &o.AskedAt, &next, &last, &t)
	if errors.Is(err, pgx.ErrNoRows) {
		return Outlook{}, problem.New(problem.NotFound, "there was no dry run of this campaign")
	}
	if err != nil {
		return Outlook{}, fmt.Errorf("read the dry run of campaign %d: %w", id, err)
	}
	o.Tally, o.Share = t.tally(), 1
	if next <= last {
		o.Share = float64(next) / float64(last+1)
	}
	o.Samples, err = s.samples(ctx, c, o.Chosen)
	return o, err
}

// storedTally is a Tally as it is kept while it is counted.
type storedTally struct {
	Meant   int64                              `json:"meant"`
	Reached map[string]int64                   `json:"reached"` // by "email zh-CN"
	Waiting int64                              `json:"waiting"`
	Refused map[subscriptions.Refusal]*Refused `json:"refused"`
	Chosen  []int64                            `json:"chosen"`
}

func (t storedTally) tally() Tally {
	out := Tally{Meant: t.Meant, Waiting: t.Waiting, Chosen: t.Chosen, Reached: []Reached{}, Refused: []Refused{}}
	for key, count := range t.Reached {
		ch, locale, _ := strings.Cut(key, " ")
		out.Reached = append(out.Reached, Reached{subscriptions.Channel(ch), locale, count})
	}
	slices.SortFunc(out.Reached, func(a, b Reached) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(string(a.Channel)+a.Locale, string(b.Channel)+b.Locale)
	})
	for _, r := range t.Refused {
		out.Refused = append(out.Refused, *r)
	}
	slices.SortFunc(out.Refused, func(a, b Refused) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(string(a.Refusal), string(b.Refusal))
	})
	return out
}

// add counts a member.
func (t *storedTally) add(o outcome) {
	if t.Reached == nil {
		t.Reached, t.Refused = map[string]int64{}, map[subscriptions.Refusal]*Refused{}
	}
	t.Meant++
	if o.refusal == "" {
		t.Reached[string(o.channel)+" "+o.member.Locale]++
		if o.waits {
			t.Waiting++
		}
		if len(t.Chosen) < samples {
			t.Chosen = append(t.Chosen, o.member.ID)
		}
		return
	}
	if t.Refused[o.refusal] == nil {
		t.Refused[o.refusal] = &Refused{Refusal: o.refusal, Members: []int64{}}
	}
	refused := t.Refused[o.refusal]
	refused.Count++
	if len(refused.Members) < refusedMembers {
		refused.Members = append(refused.Members, o.member.ID)
	}
}

// chosen is the channel that a member would be told on, or why on none: the
// refusal of the first.
func chosen(p Plan, r subscriptions.Reach, sendable []subscriptions.Channel) (subscriptions.Channel, subscriptions.Refusal) {
	var first subscriptions.Refusal
	for i, ch := range p.Channels {
		_, refusal := r.Choose(ch, p.Purpose)
		if !slices.Contains(sendable, ch) {
			refusal = dispatch.NoSender
		}
		if refusal == "" {
			return ch, ""
		}
		if i == 0 {
			first = refusal
		}
	}
	return "", first
}

// samples renders a campaign's messages for members.
func (s *Store) samples(ctx context.Context, c Campaign, ids []int64) ([]Sample, error) {
	reach, err := s.cfg.Consents.Reach(ctx, s.pool, ids)
	if err != nil {
		return nil, fmt.Errorf("ask how members can be reached: %w", err)
	}
	list := []Sample{}
	for _, id := range ids {
		r, known := reach[id]
		ch, refusal := chosen(c.Plan, r, s.cfg.Channels)
		if !known || refusal != "" {
			continue // that has changed meanwhile
		}
		sample := Sample{MemberID: id, Account: r.Member.Account, Channel: ch}
		content, err := s.cfg.Templates.Render(ctx, c.Template, string(ch), r.Member.Locale, sampleData(c, r.Member))
		switch {
		case problem.CodeOf(err) != "":
			sample.Problem = err.Error()
		case err != nil:
			return nil, fmt.Errorf("render a sample: %w", err)
		}
		sample.Locale, sample.Subject, sample.HTML, sample.Text = content.Locale, content.Subject, content.HTML, content.Text
		list = append(list, sample)
	}
	return list, nil
}

// sampleData is what a campaign's messages are filled from; the dispatcher
// adds the member when they are handed over.
func sampleData(c Campaign, m subscriptions.Member) map[string]any {
	return map[string]any{
		"campaign": map[string]any{"id": c.ID, "name": c.Name},
		"member": map[string]any{
			"account": m.Account, "name": m.DisplayName, "locale": m.Locale, "birthday": m.Birthday, "attributes": m.Attributes,
		},
		"links": templates.Sample()["links"],
	}
}

// dryRunArgs asks for a dry run to be counted.
type dryRunArgs struct {
	Campaign int64 `json:"campaign"`
	Number   int64 `json:"number"`
}

// Kind is the job's name in River.
func (dryRunArgs) Kind() string { return "campaign_dry_run" }

// InsertOpts puts it before the ranges: somebody waits for it.
func (dryRunArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueRange, Priority: 1, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: waiting}}
}

type dryRunWorker struct {
	river.WorkerDefaults[dryRunArgs]
	store *Store
}

func (*dryRunWorker) Timeout(*river.Job[dryRunArgs]) time.Duration { return rangeTimeout }

func (w *dryRunWorker) Work(ctx context.Context, job *river.Job[dryRunArgs]) error {
	return w.store.count(ctx, job.Args.Campaign, job.Args.Number)
}

// count counts a dry run to its end, unless it is cancelled or another began.
func (s *Store) count(ctx context.Context, id, number int64) error {
	for {
		more, err := s.countBatch(ctx, id, number)
		if err != nil {
			return fmt.Errorf("dry run of campaign %d: %w", id, err)
		}
		if !more {
			return nil
		}
	}
}

func (s *Store) countBatch(ctx context.Context, id, number int64) (more bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var (
			t storedTally
			p part
		)
		err := tx.QueryRow(ctx, `
SELECT d.next_id, d.last_id, d.asked_at, d.result, c.plan - 'messages'
FROM campaign_dry_runs d
JOIN campaigns c ON c.id = d.campaign_id
WHERE d.campaign_id = $1 AND d.number = $2 AND d.state = 'counting'
FOR UPDATE OF d`, id, number).Scan(&p.next, &p.last, &p.at, &t, &p.plan)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if p.plan.When.personal() {
			p.plan.Segment = p.plan.Segment.withBirthday()
		}
		found, next, err := s.members(ctx, tx, p)
		if err != nil {
			return err
		}
		if err := s.countMembers(ctx, tx, &t, p, found); err != nil {
			return err
		}
		more = next <= p.last
		_, err = tx.Exec(ctx, `
UPDATE campaign_dry_runs
SET next_id = $2, result = $3, state = CASE WHEN $4 THEN 'counting' ELSE 'done' END, changed_at = $5
WHERE campaign_id = $1`, id, next, t, more, s.instant())
		return err
	})
	return more, err
}

func (s *Store) countMembers(ctx context.Context, tx pgx.Tx, t *storedTally, p part, found []meant) error {
	if len(found) == 0 {
		return nil
	}
	ids := make([]int64, len(found))
	for i, m := range found {
		ids[i] = m.id
	}
	f, err := s.foresight(ctx, p.plan, p.at)
	if err != nil {
		return err
	}
	list, err := s.outcomes(ctx, tx, f, ids)
	if err != nil {
		return err
	}
	for _, o := range list {
		t.add(o)
	}
	return nil
}

// withBirthday narrows a segment to those who told a birthday.
func (s Segment) withBirthday() Segment {
	const told = "has(member.birthday)"
	if s.Condition == "" {
		return Segment{Trigger: s.Trigger, Condition: told}
	}
	return Segment{Trigger: s.Trigger, Condition: told + " && (" + s.Condition + "\n)"}
}
