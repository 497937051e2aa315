package console

import (
	"encoding/csv"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// deliveriesData is a page of found deliveries and the search that found them.
type deliveriesData struct {
	Form     *page.Form
	Triggers []page.Choice
	States   []page.Choice
	Channels []page.Choice
	Found    []dispatch.Delivery
	Narrowed bool   // the search narrows anything
	Next     string // the address of the next page; empty on the last
	First    string // the address of the first page, when this is another
	CSV      string
}

func (c console) deliveries(v *page.Visit, _ access.Operator) error {
	form := v.NewForm(v.R.URL.Query())
	data := deliveriesData{Form: form, CSV: Base + "/deliveries.csv?" + narrowing(form.Values).Encode()}
	data.Narrowed = len(narrowing(form.Values)) > 0
	if err := c.choices(v, &data); err != nil {
		return err
	}
	search, err := readSearch(form.Values, v.Zone)
	if err != nil {
		return v.Again(err, form, "deliveries", data)
	}
	found, err := c.Deliveries.Find(v.Context(), search)
	if err != nil {
		return err
	}
	data.Found = found.Deliveries
	if found.Next != uuid.Nil {
		data.Next = pageAddress(form.Values, found.Next.String())
	}
	if search.Before != uuid.Nil {
		data.First = pageAddress(form.Values, "")
	}
	return v.Show("deliveries", data)
}

// choices fills the select boxes of the search.
func (c console) choices(v *page.Visit, data *deliveriesData) error {
	triggers, err := c.Triggers.List(v.Context())
	if err != nil {
		return err
	}
	data.Triggers = []page.Choice{{Value: "", Label: v.T("console.any")}}
	for _, t := range triggers {
		data.Triggers = append(data.Triggers, page.Choice{Value: t.Name, Label: t.Title.In(v.Tag)})
	}
	data.States = []page.Choice{{Value: "", Label: v.T("console.any")}}
	for _, s := range dispatch.States {
		data.States = append(data.States, page.Choice{Value: string(s), Label: v.Word("state", s)})
	}
	data.Channels = []page.Choice{{Value: "", Label: v.T("console.any")}}
	for _, ch := range subscriptions.Channels {
		data.Channels = append(data.Channels, page.Choice{Value: string(ch), Label: v.Word("channel", ch)})
	}
	return nil
}

// narrowing are the filters of a query, without the place in the list.
func narrowing(query url.Values) url.Values {
	kept := url.Values{}
	for _, name := range []string{"member", "address", "trigger", "state", "channel", "since", "until"} {
		if value := strings.TrimSpace(query.Get(name)); value != "" {
			kept.Set(name, value)
		}
	}
	return kept
}

func pageAddress(query url.Values, before string) string {
	kept := narrowing(query)
	if before != "" {
		kept.Set("before", before)
	}
	return Base + "/deliveries?" + kept.Encode()
}

// readSearch reads the filters; days begin at midnight in the operator's zone,
// and until includes its day.
func readSearch(query url.Values, zone *time.Location) (dispatch.Search, error) {
	var f problem.Fields
	q := narrowing(query)
	s := dispatch.Search{
		Member:  strings.ToLower(q.Get("member")),
		Address: q.Get("address"),
		Trigger: q.Get("trigger"),
		State:   dispatch.State(q.Get("state")),
		Channel: subscriptions.Channel(q.Get("channel")),
		Since:   readDay(&f, "since", q.Get("since"), zone, 0),
		Until:   readDay(&f, "until", q.Get("until"), zone, 1),
	}
	if s.State != "" && !slices.Contains(dispatch.States, s.State) {
		f.Add("state", "option", "there is no such state")
	}
	if before := query.Get("before"); before != "" {
		id, err := uuid.Parse(before)
		if err != nil {
			return s, problem.New(problem.NotFound, "there is no such page")
		}
		s.Before = id
	}
	return s, f.Err("")
}

func readDay(f *problem.Fields, name, text string, zone *time.Location, plus int) time.Time {
	if text == "" {
		return time.Time{}
	}
	day, err := time.ParseInLocation(time.DateOnly, text, zone)
	if err != nil {
		f.Add(name, "date", "must be a day, like 2026-03-31")
		return time.Time{}
	}
	return day.AddDate(0, 0, plus)
}

// csvLimit bounds an export; a longer one is narrowed by time.
const csvLimit = 100_000

// deliveriesCSV streams what the search finds, newest first.
func (c console) deliveriesCSV(v *page.Visit, _ access.Operator) error {
	search, err := readSearch(v.R.URL.Query(), v.Zone)
	if err != nil {
		return err
	}
	search.Limit = 500
	h := v.W.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="deliveries-%s.csv"`, c.Now().In(v.Zone).Format(time.DateOnly)))
	out := csv.NewWriter(v.W)
	_ = out.Write([]string{"id", "time", "member", "trigger", "channel", "address", "state", "reason", "attempts", "repeated", "account", "provider_id"})
	for written := 0; written < csvLimit; {
		found, err := c.Deliveries.Find(v.Context(), search)
		if err != nil {
			return err
		}
		for _, d := range found.Deliveries {
			_ = out.Write([]string{
				d.ID.String(), d.CreatedAt.UTC().Format(time.RFC3339), cell(d.Member), d.Trigger, string(d.Channel), cell(d.Address),
				string(d.State), d.Reason, fmt.Sprint(d.Attempts), fmt.Sprint(d.Repeated), cell(d.Account), cell(d.ProviderID),
			})
		}
		written += len(found.Deliveries)
		if found.Next == uuid.Nil {
			break
		}
		search.Before = found.Next
	}
	out.Flush()
	return nil // a reader who has gone needs no error page
}

// cell keeps a spreadsheet from taking text for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
