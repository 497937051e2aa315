package console

import (
	"encoding/csv"
	"net/url"
	"strconv"
	"time"

	"herald/access"
	"herald/dispatch"
	"herald/problem"
	"herald/web/page"
)

// ledgerRoutes are the pages of the ledger: its days, and the checks of it.
func (c console) ledgerRoutes(operator func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	return []page.Route{
		operator("GET /console/ledger", c.ledger),
		operator("GET /console/ledger.csv", c.ledgerCSV),
		operator("POST /console/ledger/check", c.checkLedger),
		operator("POST /console/ledger/recount", c.recountLedger),
	}
}

// ledgerData is the ledger of some days, and the latest checks of it.
type ledgerData struct {
	Form     *page.Form
	Triggers []page.Choice
	Days     []dispatch.DayLedger
	Checks   []dispatch.LedgerCheck
	Worries  []worry // what the latest check found
	CanMend  bool
	CSV      string
}

const (
	ledgerDays   = 30
	ledgerChecks = 10
)

func (c console) ledger(v *page.Visit, _ access.Operator) error {
	data, filter, err := c.readLedger(v)
	if err != nil {
		return v.Again(err, data.Form, "ledger", data)
	}
	if data.Days, err = c.Deliveries.Days(v.Context(), filter, v.Zone); err != nil {
		return err
	}
	if data.Checks, err = c.Deliveries.LedgerChecks(v.Context(), 0, ledgerChecks); err != nil {
		return err
	}
	if len(data.Checks) > 0 {
		data.Worries = differences(v, data.Checks[0])
		data.CanMend = mendable(data.Checks[0])
	}
	return v.Show("ledger", data)
}

// readLedger is the page and the filter that the address describes.
func (c console) readLedger(v *page.Visit) (ledgerData, dispatch.Filter, error) {
	form := v.NewForm(v.R.URL.Query())
	titles, err := c.titles(v)
	if err != nil {
		return ledgerData{Form: form}, dispatch.Filter{}, err
	}
	data := ledgerData{Form: form, Triggers: []page.Choice{{Label: v.T("console.any")}}}
	for name, title := range titles {
		data.Triggers = append(data.Triggers, page.Choice{Value: name, Label: title})
	}
	var f problem.Fields
	filter := dispatch.Filter{
		Trigger: offered(&f, "trigger", form.Get("trigger"), data.Triggers),
		Since:   readDay(&f, "since", form.Get("since"), v.Zone, 0), Until: readDay(&f, "until", form.Get("until"), v.Zone, 1),
	}
	if filter.Since.IsZero() {
		now := c.Now().In(v.Zone)
		filter.Since = time.Date(now.Year(), now.Month(), now.Day()-ledgerDays, 0, 0, 0, 0, v.Zone)
	}
	data.CSV = Base + "/ledger.csv?" + url.Values{
		"trigger": {filter.Trigger}, "since": {form.Get("since")}, "until": {form.Get("until")},
	}.Encode()
	return data, filter, f.Err("this ledger cannot be read")
}

func (c console) ledgerCSV(v *page.Visit, _ access.Operator) error {
	_, filter, err := c.readLedger(v)
	if err != nil {
		return err
	}
	days, err := c.Deliveries.Days(v.Context(), filter, v.Zone)
	if err != nil {
		return err
	}
	h := v.W.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="ledger.csv"`)
	out := csv.NewWriter(v.W)
	_ = out.Write([]string{"day", "targeted", "accepted", "delivered", "suppressed", "deferred", "failed", "pending", "in_doubt", "balanced"})
	for _, d := range days {
		line := []string{d.Day.Format(time.DateOnly)}
		for _, n := range []int64{d.Targeted, d.Accepted, d.Delivered, d.Suppressed, d.Deferred, d.Failed, d.Pending, d.InDoubt} {
			line = append(line, strconv.FormatInt(n, 10))
		}
		_ = out.Write(append(line, strconv.FormatBool(d.Balanced)))
	}
	out.Flush()
	return nil // what could not be written had no reader any more
}

func (c console) checkLedger(v *page.Visit, o access.Operator) error {
	check, err := c.Deliveries.CheckLedger(v.Context(), time.Time{}, actor(o))
	switch {
	case problem.CodeOf(err) == problem.Conflict:
		v.Tell(page.Flash{Text: v.T("ledger.check.busy"), Bad: true})
	case err != nil:
		return err
	case check.OK:
		v.Say("ledger.check.ok")
	default:
		v.Tell(page.Flash{Text: v.T("ledger.found", "count", check.Found), Bad: true})
	}
	return v.Go(Base + "/ledger")
}

func (c console) recountLedger(v *page.Visit, o access.Operator) error {
	switch _, err := c.Deliveries.Recount(v.Context(), actor(o)); {
	case problem.CodeOf(err) == problem.Conflict:
		v.Tell(page.Flash{Text: v.T("ledger.not_recounted"), Bad: true})
	case err != nil:
		return err
	default:
		v.Say("ledger.recounted")
	}
	return v.Go(Base + "/ledger")
}

// mendable reports whether counting mends anything that a check found.
func mendable(check dispatch.LedgerCheck) bool {
	for _, d := range check.Differences {
		if d.Kind == dispatch.WrongCount || d.Kind == dispatch.Mislisted {
			return check.RepairedBy == ""
		}
	}
	return false
}

// differences words what a check found and what to do; each leads to an
// example where there is one.
func differences(v *page.Visit, check dispatch.LedgerCheck) []worry {
	var list []worry
	for _, d := range check.Differences {
		of := v.T("ledger.own")
		switch {
		case d.Campaign != 0:
			of = v.T("ledger.campaign", "id", d.Campaign)
		case d.Trigger != "":
			of = v.T("ledger.trigger", "name", d.Trigger)
		}
		state := v.T("console.targeted")
		if d.State != "targeted" {
			state = v.Word("state", d.State)
		}
		what := v.T("ledger.difference.what", "hour", v.Minute(d.Hour), "of", of, "state", state)
		w := worry{Text: v.T("ledger.difference."+string(d.Kind), "what", what, "ledger", v.Number(d.Ledger), "rows", v.Number(d.Rows))}
		if len(d.Examples) > 0 && d.Kind != dispatch.NotOnce {
			w.Path = Base + "/deliveries/" + d.Examples[0].String()
		}
		list = append(list, w)
	}
	return list
}
