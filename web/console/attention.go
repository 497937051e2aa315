package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch"
	"herald/problem"
	"herald/subscriptions"
	"herald/web/page"
)

// attentionRoutes are the pages of what an operator may have to decide about.
func (c console) attentionRoutes(operator func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	return []page.Route{
		operator("GET /console/attention", c.attention),
		operator("GET /console/attention/confirm", c.confirmRuling),
		operator("POST /console/attention", c.beginBulk),
		operator("POST /console/deliveries/{id}/{ruling}", c.rule),
		operator("GET /console/bulk", c.bulkActions),
		operator("GET /console/bulk/{id}", c.bulkAction),
		{Pattern: "GET /console/bulk/{id}/live", Handle: c.bulkLive, Live: true},
		operator("POST /console/bulk/{id}/cancel", c.cancelBulk),
	}
}

// attentionStates are the tabs, in their order.
var attentionStates = []dispatch.State{dispatch.Failed, dispatch.InDoubt, dispatch.Deferred}

// rulingsFor are what can be done with deliveries in a state, the usual first.
func rulingsFor(s dispatch.State) []dispatch.Ruling {
	switch s {
	case dispatch.InDoubt:
		return []dispatch.Ruling{dispatch.RulingRetry, dispatch.RulingAssumeSent, dispatch.RulingDiscard}
	case dispatch.Failed, dispatch.Deferred:
		return []dispatch.Ruling{dispatch.RulingRetry, dispatch.RulingDiscard}
	case dispatch.Pending:
		return []dispatch.Ruling{dispatch.RulingDiscard}
	}
	return nil
}

// attentionData is a list of deliveries in one state, to choose from.
type attentionData struct {
	Form     *page.Form
	Tabs     []attentionTab
	State    dispatch.State
	Triggers []page.Choice
	Channels []page.Choice
	Reasons  []page.Choice
	Accounts []page.Choice
	Found    deliveryRows
	Matching int64 // all that fit, on every page
	Rulings  []dispatch.Ruling
	Hidden   map[string]string // the filters, for the forms
	Narrowed bool
	Next     string
	First    string
}

type attentionTab struct {
	State   dispatch.State
	Count   int64
	Address string
	Current bool
}

var attentionFilters = []string{"state", "reason", "account", "trigger", "campaign", "channel", "member", "since", "until"}

func (c console) attention(v *page.Visit, _ access.Operator) error {
	data, search, err := c.readAttention(v, v.NewForm(v.R.URL.Query()))
	if err != nil {
		return v.Again(err, data.Form, "attention", data)
	}
	for i, tab := range data.Tabs {
		if data.Tabs[i].Count, err = c.Deliveries.Count(v.Context(), dispatch.Search{State: tab.State, Attention: true}); err != nil {
			return err
		}
	}
	if data.Matching, err = c.Deliveries.Count(v.Context(), search); err != nil {
		return err
	}
	if before := data.Form.Get("before"); before != "" {
		if search.Before, err = uuid.Parse(before); err != nil {
			return missing("page")
		}
		data.First = data.address("")
	}
	found, err := c.Deliveries.Find(v.Context(), search)
	if err != nil {
		return err
	}
	data.Found.List = found.Deliveries
	if found.Next != uuid.Nil {
		data.Next = data.address(found.Next.String())
	}
	return v.Show("attention", data)
}

// accountChoices are the accounts there are now, and the one that was asked for.
func (c console) accountChoices(v *page.Visit, own string) ([]page.Choice, error) {
	accounts, err := c.Deliveries.Accounts(v.Context())
	if err != nil {
		return nil, err
	}
	list := make([]page.Choice, len(accounts))
	for i, a := range accounts {
		list[i] = page.Choice{Value: a.Name, Label: a.Name}
	}
	return orOwn(v, list, own), nil
}

// orOwn are choices with one for any before them, and behind them the one that
// an address asks for and the page does not know: a link says what it says.
func orOwn(v *page.Visit, known []page.Choice, own string) []page.Choice {
	list := append([]page.Choice{{Label: v.T("console.any")}}, known...)
	if !slices.ContainsFunc(list, func(c page.Choice) bool { return c.Value == own }) {
		list = append(list, page.Choice{Value: own, Label: own})
	}
	return list
}

// address is that of a page of the list with the same filters.
func (d attentionData) address(before string) string {
	q := url.Values{}
	for name, value := range d.Hidden {
		q.Set(name, value)
	}
	if before != "" {
		q.Set("before", before)
	}
	return Base + "/attention?" + q.Encode()
}

// readAttention is the page and the search that a form's filters describe.
func (c console) readAttention(v *page.Visit, form *page.Form) (attentionData, dispatch.Search, error) {
	titles, err := c.titles(v)
	if err != nil {
		return attentionData{Form: form}, dispatch.Search{}, err
	}
	data := attentionData{
		Form: form, State: dispatch.State(form.Get("state")), Hidden: map[string]string{},
		Found:    deliveryRows{Reader: v.Reader, Titles: titles},
		Triggers: []page.Choice{{Label: v.T("console.any")}}, Channels: []page.Choice{{Label: v.T("console.any")}},
		Reasons: orOwn(v, v.Choices("reason.operator"), form.Get("reason")),
	}
	if data.Accounts, err = c.accountChoices(v, form.Get("account")); err != nil {
		return data, dispatch.Search{}, err
	}
	if !slices.Contains(attentionStates, data.State) {
		data.State = dispatch.Failed
	}
	for _, name := range attentionFilters {
		if value := form.Get(name); value != "" && name != "state" {
			data.Hidden[name], data.Narrowed = value, true
		}
	}
	data.Hidden["state"], data.Rulings = string(data.State), rulingsFor(data.State)
	for _, s := range attentionStates {
		data.Tabs = append(data.Tabs, attentionTab{State: s, Address: Base + "/attention?state=" + string(s), Current: s == data.State})
	}
	for name, title := range titles {
		data.Triggers = append(data.Triggers, page.Choice{Value: name, Label: title})
	}
	slices.SortFunc(data.Triggers, func(a, b page.Choice) int { return strings.Compare(a.Value, b.Value) })
	for _, ch := range subscriptions.Channels {
		data.Channels = append(data.Channels, page.Choice{Value: string(ch), Label: v.Word("channel", ch)})
	}
	search, err := data.search(v)
	return data, search, err
}

func (d attentionData) search(v *page.Visit) (dispatch.Search, error) {
	var f problem.Fields
	s := dispatch.Search{
		State: d.State, Attention: true, Reason: d.Form.Get("reason"), Account: d.Form.Get("account"), Member: strings.ToLower(d.Form.Get("member")),
		Trigger: offered(&f, "trigger", d.Form.Get("trigger"), d.Triggers),
		Channel: subscriptions.Channel(offered(&f, "channel", d.Form.Get("channel"), d.Channels)),
		Since:   readDay(&f, "since", d.Form.Get("since"), v.Zone, 0),
		Until:   readDay(&f, "until", d.Form.Get("until"), v.Zone, 1),
	}
	if campaign := d.Form.Get("campaign"); campaign != "" {
		n, err := strconv.ParseInt(campaign, 10, 64)
		if err != nil || n < 1 {
			f.Add("campaign", "number", "must be a number")
		}
		s.Campaign = n
	}
	return s, f.Err("this search cannot be made")
}

// confirmData asks whether something shall really be done.
type confirmData struct {
	Ruling dispatch.Ruling
	State  dispatch.State
	Count  int64
	IDs    []string
	Hidden map[string]string
	Back   string
}

// ruling reads what shall be done, and with which deliveries: those that were
// ticked, or all that fit.
func (c console) ruling(v *page.Visit, form *page.Form) (confirmData, dispatch.Search, error) {
	data, search, err := c.readAttention(v, form)
	if err != nil {
		return confirmData{}, search, err
	}
	confirm := confirmData{Ruling: dispatch.Ruling(form.Get("action")), State: data.State, Hidden: data.Hidden, Back: data.address("")}
	if !slices.Contains(data.Rulings, confirm.Ruling) {
		return confirm, search, missing("action")
	}
	if form.Get("scope") == "all" {
		confirm.Hidden["scope"] = "all"
		return confirm, search, nil
	}
	for _, text := range form.Values["id"] {
		id, err := uuid.Parse(text)
		if err != nil {
			return confirm, search, missing("delivery")
		}
		confirm.IDs, search.IDs = append(confirm.IDs, text), append(search.IDs, id)
	}
	return confirm, search, nil
}

func (c console) confirmRuling(v *page.Visit, _ access.Operator) error {
	data, search, err := c.ruling(v, v.NewForm(v.R.URL.Query()))
	if err != nil {
		return err
	}
	if data.Hidden["scope"] == "" && len(search.IDs) == 0 {
		v.Tell(page.Flash{Text: v.T("attention.none_chosen"), Bad: true})
		return v.Go(data.Back)
	}
	if data.Count, err = c.Deliveries.Count(v.Context(), search); err != nil {
		return err
	}
	return v.Show("attention-confirm", data)
}

func (c console) beginBulk(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	data, search, err := c.ruling(v, form)
	if err != nil {
		return err
	}
	if data.Hidden["scope"] == "" && len(search.IDs) == 0 {
		return missing("delivery")
	}
	begun, err := c.Deliveries.BeginBulk(v.Context(), data.Ruling, search, actor(o))
	if problem.CodeOf(err) == problem.Invalid { // nothing fits any more
		v.Tell(page.Flash{Text: v.T("attention.nothing_fits"), Bad: true})
		return v.Go(data.Back)
	}
	if err != nil {
		return err
	}
	return v.Go(bulkPath(begun.ID))
}

// rule decides about one delivery.
func (c console) rule(v *page.Visit, o access.Operator) error {
	id, err := uuid.Parse(v.R.PathValue("id"))
	if err != nil {
		return missing("delivery")
	}
	ruling := dispatch.Ruling(v.R.PathValue("ruling"))
	if !slices.Contains(rulingsFor(dispatch.InDoubt), ruling) {
		return missing("action")
	}
	switch err := c.Deliveries.Rule(v.Context(), ruling, id, actor(o)); {
	case problem.CodeOf(err) == problem.Conflict: // it moved since the page was shown
		v.Tell(page.Flash{Text: v.T("attention.not_ruled"), Bad: true})
	case err != nil:
		return err
	default:
		v.Say("attention.ruled." + string(ruling))
	}
	return v.Go(Base + "/deliveries/" + id.String())
}

func bulkPath(id int64) string { return Base + "/bulk/" + strconv.FormatInt(id, 10) }

func (c console) bulkActions(v *page.Visit, _ access.Operator) error {
	list, err := c.Deliveries.BulkActions(v.Context(), 0, 50)
	if err != nil {
		return err
	}
	return v.Show("bulk-list", list)
}

func (c console) readBulk(v *page.Visit) (dispatch.BulkAction, error) {
	id, err := strconv.ParseInt(v.R.PathValue("id"), 10, 64)
	if err != nil {
		return dispatch.BulkAction{}, missing("bulk action")
	}
	return c.Deliveries.BulkAction(v.Context(), id)
}

func (c console) bulkAction(v *page.Visit, _ access.Operator) error {
	a, err := c.readBulk(v)
	if err != nil {
		return err
	}
	return v.Show("bulk", a)
}

// bulkLive shows how a bulk action comes on.
func (c console) bulkLive(v *page.Visit) error {
	if _, err := c.who(v); err != nil {
		return err
	}
	return v.Live("bulk", "progress", overviewEvery, c.Stopping, func() (any, error) {
		if _, err := c.who(v); err != nil {
			return nil, err
		}
		return c.readBulk(v)
	})
}

func (c console) cancelBulk(v *page.Visit, _ access.Operator) error {
	id, err := strconv.ParseInt(v.R.PathValue("id"), 10, 64)
	if err != nil {
		return missing("bulk action")
	}
	if _, err := c.Deliveries.CancelBulk(v.Context(), id); err != nil && problem.CodeOf(err) != problem.Conflict {
		return err
	}
	return v.Go(bulkPath(id))
}
