package console

import (
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
	Found    deliveryRows
	Narrowed bool   // the search narrows anything
	Next     string // the address of the next page; empty on the last
	First    string // the address of the first page, when this is another
	CSV      string
}

// deliveryRows is a list of deliveries, and how their triggers are called.
type deliveryRows struct {
	page.Reader
	List   []dispatch.Delivery
	Titles map[string]string
}

func (c console) deliveries(v *page.Visit, _ access.Operator) error {
	data, err := c.searchPage(v)
	if err != nil {
		return err
	}
	search, err := data.read(v.Zone)
	if err != nil {
		return v.Again(err, data.Form, "deliveries", data)
	}
	found, err := c.Deliveries.Find(v.Context(), search)
	if err != nil {
		return err
	}
	data.Found.List = found.Deliveries
	if found.Next != uuid.Nil {
		data.Next = listAddress("/deliveries", narrowing(data.Form.Values), found.Next.String())
	}
	if search.Before != uuid.Nil {
		data.First = listAddress("/deliveries", narrowing(data.Form.Values), "")
	}
	return v.Show("deliveries", data)
}

// searchPage is the page of a search before anything is found.
func (c console) searchPage(v *page.Visit) (deliveriesData, error) {
	form := v.NewForm(v.R.URL.Query())
	narrowed := narrowing(form.Values)
	titles, err := c.titles(v)
	if err != nil {
		return deliveriesData{}, err
	}
	data := deliveriesData{
		Form: form, Narrowed: len(narrowed) > 0, CSV: Base + "/deliveries.csv?" + narrowed.Encode(),
		Found: deliveryRows{Reader: v.Reader, Titles: titles},
	}
	whichever := page.Choice{Label: v.T("console.any")}
	data.Triggers, data.States, data.Channels = []page.Choice{whichever}, []page.Choice{whichever}, []page.Choice{whichever}
	for name, title := range titles {
		data.Triggers = append(data.Triggers, page.Choice{Value: name, Label: title})
	}
	slices.SortFunc(data.Triggers, func(a, b page.Choice) int { return strings.Compare(a.Value, b.Value) })
	for _, s := range dispatch.States {
		data.States = append(data.States, page.Choice{Value: string(s), Label: v.Word("state", s)})
	}
	for _, ch := range subscriptions.Channels {
		data.Channels = append(data.Channels, page.Choice{Value: string(ch), Label: v.Word("channel", ch)})
	}
	return data, nil
}

// titles are what the triggers are called, by name.
func (c console) titles(v *page.Visit) (map[string]string, error) {
	list, err := c.Triggers.List(v.Context())
	if err != nil {
		return nil, err
	}
	titles := make(map[string]string, len(list))
	for _, t := range list {
		titles[t.Name] = t.Title.In(v.Tag)
	}
	return titles, nil
}

// narrowing are the filters of a query, without the place in the list.
func narrowing(query url.Values) url.Values {
	return only(query, "member", "address", "trigger", "state", "channel", "since", "until")
}

// only is what a query says under these names, without blanks around.
func only(query url.Values, names ...string) url.Values {
	kept := url.Values{}
	for _, name := range names {
		if value := strings.TrimSpace(query.Get(name)); value != "" {
			kept.Set(name, value)
		}
	}
	return kept
}

// listAddress is a list as filters narrow it, from a place in it on, or from
// its beginning.
func listAddress(list string, filters url.Values, before string) string {
	if before != "" {
		filters.Set("before", before)
	}
	return Base + list + "?" + filters.Encode()
}

// read reads the filters; days begin at midnight in the operator's zone, and
// until includes its day. Errors: Invalid by field, NotFound for a place in
// the list that cannot be.
func (d deliveriesData) read(zone *time.Location) (dispatch.Search, error) {
	var f problem.Fields
	q := narrowing(d.Form.Values)
	s := dispatch.Search{
		Member:  strings.ToLower(q.Get("member")),
		Address: soughtAddress(q.Get("address")),
		Trigger: offered(&f, "trigger", q.Get("trigger"), d.Triggers),
		State:   dispatch.State(offered(&f, "state", q.Get("state"), d.States)),
		Channel: subscriptions.Channel(offered(&f, "channel", q.Get("channel"), d.Channels)),
		Since:   readDay(&f, "since", q.Get("since"), zone, 0),
		Until:   readDay(&f, "until", q.Get("until"), zone, 1),
	}
	if !s.Since.IsZero() && !s.Until.IsZero() && !s.Since.Before(s.Until) {
		f.Add("until", "after", "must not be before since")
	}
	if before := d.Form.Get("before"); before != "" {
		id, err := uuid.Parse(before)
		if err != nil {
			return s, problem.New(problem.NotFound, "there is no such page")
		}
		s.Before = id
	}
	return s, f.Err("this search cannot be made")
}

// soughtAddress is what was typed as it would be kept, or as it is when it is
// no address.
func soughtAddress(text string) string {
	ch := subscriptions.SMS
	if strings.Contains(text, "@") {
		ch = subscriptions.Email
	}
	if address, err := subscriptions.Normalise(ch, text, ""); err == nil {
		return address
	}
	return text
}

// offered is a value that must be one of the choices.
func offered(f *problem.Fields, name, value string, choices []page.Choice) string {
	if !slices.ContainsFunc(choices, func(c page.Choice) bool { return c.Value == value }) {
		f.Add(name, "known", "must be one of those offered")
	}
	return value
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
