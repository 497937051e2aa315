package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"herald/access"
	"herald/campaigns"
	"herald/dispatch/sms"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// smsSize is what a text takes and costs as an SMS.
type smsSize struct {
	sms.Preview
	Forced   []forced // by which characters; the first shownForced of Forcing
	Unshown  int      // how many others there are
	Price    string   // of one message; empty: not known
	Sampled  bool     // it is filled from sample data
	Readers  int64    // who would get it, by the last dry run; 0: not known
	AllParts int64    // that all of them together take
	AllPrice string   // of those; empty: not known
	Yearly   bool     // Readers are those of a year
	Fault    string   // why the text cannot be filled in: nothing else is known then
}

// forced is a character that the short alphabet has not.
type forced struct {
	Name    string // the character, or its code point where it cannot be seen
	Times   int
	Instead string // what it could be written with; may be empty
}

// shownForced is how many different characters are named.
const shownForced = 10

// size measures a text.
func (c console) size(v *page.Visit, text string) *smsSize {
	s := &smsSize{Preview: sms.NewPreview(text, c.SMS, c.PricePerPart)}
	for _, f := range s.Forcing[:min(len(s.Forcing), shownForced)] {
		s.Forced = append(s.Forced, forced{visible(f.Text), f.Times, f.Instead})
	}
	s.Unshown = len(s.Forcing) - len(s.Forced)
	s.Price = c.price(v, s.Cost)
	return s
}

// price words a cost; it is empty when prices are not known. What is less than
// a hundredth is not rounded away.
func (c console) price(v *page.Visit, cost float64) string {
	if c.PricePerPart == 0 {
		return ""
	}
	worded := v.Money(cost, c.Currency)
	if cents := cost * 100; cost < 1 && math.Abs(cents-math.Round(cents)) > 1e-6 {
		figure := strings.TrimRight(strconv.FormatFloat(cost, 'f', 5, 64), "0")
		worded = strings.TrimSuffix(v.Money(0, c.Currency), "0") + figure
	}
	return strings.TrimLeft(worded, "\u00a0") // there may be no currency before it
}

// visible is a character as it can be read: U+200B where nothing would be seen.
func visible(cluster string) string {
	r, size := utf8.DecodeRuneInString(cluster)
	if size == len(cluster) && (!unicode.IsGraphic(r) || unicode.IsSpace(r) || unicode.IsMark(r)) {
		return fmt.Sprintf("%U", r)
	}
	return cluster
}

// sizer measures the SMS among a campaign's messages.
type sizer struct {
	console
	visit   *page.Visit
	id      int64 // 0: it is not saved yet
	plan    campaigns.Plan
	readers []int64 // of each message, by the last dry run; nil: not known
	yearly  bool
}

// newSizer makes a sizer of a plan and the outlook of its campaign, which may
// be nil.
func (c console) newSizer(v *page.Visit, id int64, plan campaigns.Plan, outlook *campaigns.Outlook) sizer {
	s := sizer{console: c, visit: v, id: id, plan: plan, yearly: plan.When.Occasion != ""}
	if outlook != nil && outlook.State == "done" {
		s.readers = plan.Readers(outlook.Reached)
	}
	return s
}

// of measures message i, filled from the sample data; nil: it is no SMS, or
// has no words.
func (s sizer) of(i int) (*smsSize, error) {
	m := s.plan.Messages[i]
	if m.Channel != subscriptions.SMS || strings.TrimSpace(m.Body+m.HTML) == "" {
		return nil, nil //nolint:nilnil // nothing to measure is no failure
	}
	content, err := s.previewWording(s.visit.Context(), m, s.id, s.plan.Name)
	if p, mistaken := err.(*problem.Error); mistaken && p.Code == problem.Invalid { //nolint:errorlint // only the problem itself has fields
		return &smsSize{Fault: s.faults(p)}, nil
	}
	if err != nil {
		return nil, err
	}
	size := s.size(s.visit, content.Text)
	size.Sampled, size.Yearly = true, s.yearly
	if s.readers != nil && !size.TooLong {
		size.Readers = s.readers[i]
		size.AllParts = size.Readers * int64(size.Parts)
		size.AllPrice = s.price(s.visit, float64(size.Readers)*size.Cost)
	}
	return size, nil
}

// faults words what is wrong with a text.
func (s sizer) faults(p *problem.Error) string {
	worded := make([]string, len(p.Fields))
	for i, f := range p.Fields {
		worded[i] = s.visit.Rule(f)
	}
	return strings.Join(worded, " ")
}

// formSizer is a sizer of the messages in a form, by their places there.
func (c console) formSizer(v *page.Visit, id int64, form *page.Form) (sizer, error) {
	plan := campaigns.Plan{Name: form.Get("name"), Messages: make([]campaigns.Wording, maxMessages)}
	if form.Get("how") == "birthday" {
		plan.When.Occasion = campaigns.Birthday
	}
	texts := false
	for i := range plan.Messages {
		if m, written := readWording(form, i); written {
			plan.Messages[i] = m
			texts = texts || m.Channel == subscriptions.SMS
		}
	}
	if id == 0 || !texts {
		return c.newSizer(v, id, plan, nil), nil
	}
	outlook, err := c.Campaigns.Outlook(v.Context(), id)
	if gone(err) {
		return c.newSizer(v, id, plan, nil), nil
	}
	return c.newSizer(v, id, plan, &outlook), err
}

// sizeSMS answers with the size of one message of a form while it is written.
// Who may not ask is refused, never led to the sign-in: that page would be put
// beside the text.
func (c console) sizeSMS(v *page.Visit) error {
	o, err := c.who(v)
	if problem.CodeOf(err) == problem.Unauthorized || err == nil && !o.Role.Includes(access.MarketerRole) {
		return problem.New(problem.Forbidden, "this is for role %s", access.MarketerRole)
	}
	if err != nil {
		return err
	}
	id, form, err := campaignForm(v)
	if err != nil {
		return err
	}
	i, err := strconv.Atoi(v.R.PathValue("message"))
	if err != nil || i < 0 || i >= maxMessages {
		return missing("message")
	}
	sizer, err := c.formSizer(v, id, form)
	if err != nil {
		return err
	}
	size, err := sizer.of(i)
	if err != nil {
		return err
	}
	return v.ShowPart("campaign-form", "sms-answer", size)
}

// campaignSizes are what the SMS of a saved campaign take.
type campaignSizes struct {
	Messages []*smsSize // by the plan's; nil for another channel
	Samples  []*smsSize // by the outlook's
	Readers  int64      // who would get an SMS, by the last dry run
	Parts    int64      // that these take, as far as the sample data tell
	Price    string     // of those; empty: not known
}

func (c console) campaignSizes(v *page.Visit, campaign campaigns.Campaign, outlook *campaigns.Outlook) (campaignSizes, error) {
	sizer := c.newSizer(v, campaign.ID, campaign.Plan, outlook)
	var all campaignSizes
	for i := range campaign.Messages {
		size, err := sizer.of(i)
		if err != nil {
			return campaignSizes{}, err
		}
		all.Messages = append(all.Messages, size)
		if size != nil {
			all.Readers += size.Readers
			all.Parts += size.AllParts
		}
	}
	all.Price = c.price(v, float64(all.Parts)*c.PricePerPart)
	if outlook == nil {
		return all, nil
	}
	for _, sample := range outlook.Samples {
		var size *smsSize
		if sample.Channel == subscriptions.SMS && sample.Problem == "" {
			size = c.size(v, sample.Text)
		}
		all.Samples = append(all.Samples, size)
	}
	return all, nil
}
