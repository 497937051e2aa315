package console

import (
	"net/url"
	"strings"
	"time"

	"herald/access"
	"herald/dispatch"
	"herald/web/page"
)

// accountRoutes are the pages of the accounts that messages go over.
func (c console) accountRoutes(operator func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	return []page.Route{
		operator("GET /console/accounts", c.accounts),
		operator("GET /console/accounts/{name}", c.account),
		{Pattern: "GET /console/accounts/{name}/live", Handle: c.accountLive, Live: true},
		operator("POST /console/accounts/{name}/trace", c.traceAccount),
	}
}

// accountsData is every account, and what their volumes suggest.
type accountsData struct {
	Advice   []string
	Accounts []accountLine
	Failing  int
}

// accountLine is an account as pages show it.
type accountLine struct {
	dispatch.AccountState
	now time.Time
}

// Standing is how the account stands, in the words of accounts.standing: works,
// fails, tried, no_device, no_quota or paused.
func (a accountLine) Standing() string {
	switch {
	case a.Circuit == "open":
		return "fails"
	case a.Setup.Device && (a.Device == nil || !a.Device.Works()):
		return "no_device"
	case a.Device != nil && a.Device.QuotaUntil != nil && a.Device.QuotaUntil.After(a.now):
		return "no_quota"
	case a.PausedUntil != nil && a.PausedUntil.After(a.now):
		return "paused"
	case a.Circuit == "half_open":
		return "tried"
	}
	return "works"
}

// Colour is that of the state of messages which stands for the account's.
func (a accountLine) Colour() dispatch.State {
	switch a.Standing() {
	case "works":
		return dispatch.Delivered
	case "fails":
		return dispatch.Failed
	}
	return dispatch.Deferred
}

// Class is what kind of failure the last was, and Code what the provider calls it.
func (a accountLine) Class() string { class, _, _ := strings.Cut(a.Failure, " "); return class }

// Code is what the provider calls the last failure; may be empty.
func (a accountLine) Code() string { _, code, _ := strings.Cut(a.Failure, " "); return code }

// Balance is the money that the SIM of the account's device has left, if it has told.
func (a accountLine) Balance() float64 { return *a.Device.Balance }

// Path is the address of the account's page.
func (a accountLine) Path() string { return accountPath(a.Name) }

func accountPath(name string) string { return Base + "/accounts/" + url.PathEscape(name) }

func (c console) readAccounts(v *page.Visit) (accountsData, error) {
	list, err := c.Deliveries.Accounts(v.Context())
	if err != nil {
		return accountsData{}, err
	}
	data := accountsData{Advice: advice(v, c.Deliveries.VolumeAdvice(list))}
	for _, a := range list {
		line := accountLine{a, c.Now()}
		if line.Standing() != "works" {
			data.Failing++
		}
		data.Accounts = append(data.Accounts, line)
	}
	return data, nil
}

// worries are what of the accounts wants an operator's eye.
func (d accountsData) worries(v *page.Visit) []worry {
	var list []worry
	for _, text := range d.Advice {
		list = append(list, worry{text, Base + "/accounts"})
	}
	for _, a := range d.Accounts {
		switch {
		case a.Circuit == "open":
			list = append(list, worry{v.T("console.worry.account", "name", a.Name, "failure", a.Failure), attentionPath(dispatch.Deferred) + "&account=" + url.QueryEscape(a.Name)})
		case a.Device != nil && !a.Device.Works() && a.now.Sub(a.Device.Since) >= lateAfter:
			list = append(list, worry{v.T("accounts.worry.device", "name", a.Name), a.Path()})
		case a.Device != nil && a.Device.BalanceLow:
			list = append(list, worry{v.T("accounts.worry.balance", "name", a.Name), a.Path()})
		}
	}
	return list
}

// advice words what the volumes suggest.
func advice(v *page.Visit, given []dispatch.VolumeAdvice) []string {
	var list []string
	for _, a := range given {
		day := time.Date(a.Day.Year(), a.Day.Month(), a.Day.Day(), 0, 0, 0, 0, v.Zone)
		list = append(list, v.T("accounts.advice."+string(a.Code), "count", a.Parts, "threshold", v.Number(a.Threshold), "day", v.Date(day)))
	}
	return list
}

func (c console) accounts(v *page.Visit, _ access.Operator) error {
	data, err := c.readAccounts(v)
	if err != nil {
		return err
	}
	return v.Show("accounts", data)
}

// accountData is one account, and the looks at its line.
type accountData struct {
	accountLine
	Watching bool // its line is watched now
	Newest   *dispatch.Trace
	Traces   []dispatch.Trace // all, the newest first
	Lines    []traceLine
	Covered  bool // the lines are shown without numbers and texts
}

// traceLine is a line of a trace as its reader may see it.
type traceLine struct {
	At   time.Time
	Sent bool
	Text string
}

func (c console) readAccount(v *page.Visit, o access.Operator) (accountData, error) {
	all, err := c.readAccounts(v)
	if err != nil {
		return accountData{}, err
	}
	for _, a := range all.Accounts {
		if a.Name != v.R.PathValue("name") {
			continue
		}
		data := accountData{accountLine: a, Covered: !o.Role.Includes(access.AdminRole)}
		if !a.Setup.Device {
			return data, nil
		}
		if data.Traces, err = c.Deliveries.Traces(v.Context(), a.Name); err != nil || len(data.Traces) == 0 {
			return data, err
		}
		data.Newest = &data.Traces[0]
		data.Watching = data.Newest.Until.After(c.Now())
		for _, l := range data.Newest.Lines {
			line := traceLine{l.At, l.Sent, l.Text}
			if data.Covered {
				line.Text = l.Covered
			}
			data.Lines = append(data.Lines, line)
		}
		return data, nil
	}
	return accountData{}, missing("account")
}

func (c console) account(v *page.Visit, o access.Operator) error {
	data, err := c.readAccount(v, o)
	if err != nil {
		return err
	}
	return v.Show("account", data)
}

// accountLive sends an account's figures for as long as its reader may see them.
func (c console) accountLive(v *page.Visit) error {
	read := func() (any, error) {
		o, err := c.who(v)
		if err != nil {
			return nil, err
		}
		return c.readAccount(v, o)
	}
	if _, err := read(); err != nil {
		return err
	}
	return v.Live("account", "figures", overviewEvery, c.Stopping, read)
}

// traceAccount has the line of an account's hardware watched, or no longer.
func (c console) traceAccount(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	name := v.R.PathValue("name")
	if form.Get("watch") == "true" {
		err = c.Deliveries.BeginTrace(v.Context(), name, actor(o))
	} else {
		err = c.Deliveries.EndTrace(v.Context(), name)
	}
	if err != nil {
		return err
	}
	return v.Go(accountPath(name))
}
