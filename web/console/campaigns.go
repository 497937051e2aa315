package console

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"herald/access"
	"herald/campaigns"
	"herald/dispatch"
	"herald/problem"
	"herald/web/page"
)

// campaignRoutes are the pages of what marketers plan. Operators read them,
// marketers write, try, start and stop.
func (c console) campaignRoutes(operator, marketer func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	if c.Campaigns == nil {
		return nil
	}
	return []page.Route{
		operator("GET /console/campaigns", c.campaigns),
		marketer("GET /console/campaigns/new", c.newCampaign),
		marketer("POST /console/campaigns", c.createCampaign),
		operator("GET /console/campaigns/{id}", c.campaign),
		{Pattern: "GET /console/campaigns/{id}/live", Handle: c.campaignLive, Live: true},
		marketer("GET /console/campaigns/{id}/edit", c.editCampaign),
		marketer("POST /console/campaigns/{id}/edit", c.changeCampaign),
		{Pattern: "POST /console/campaigns/{id}/sms/{message}", Handle: c.sizeSMS},
		marketer("POST /console/campaigns/{id}/dry-run", c.tryCampaign),
		marketer("POST /console/campaigns/{id}/copy", c.copyCampaign),
		marketer("POST /console/campaigns/{id}/delete", c.deleteCampaign),
		marketer("POST /console/campaigns/{id}/{verb}", c.moveCampaign),
	}
}

const campaignsPerPage = 50

// campaignsData is a page of campaigns with their latest ledgers.
type campaignsData struct {
	Form    *page.Form // state
	States  []page.Choice
	Found   []campaignLine
	Older   string // the address of the next page; empty on the last
	CanEdit bool
}

// campaignLine is a campaign in a list, and what became of its latest run.
type campaignLine struct {
	campaigns.Campaign
	Ledger dispatch.Ledger
}

// Through is how many of the latest run's messages a provider took.
func (l campaignLine) Through() int64 { return l.Ledger.Accepted + l.Ledger.Delivered }

func (c console) campaigns(v *page.Visit, o access.Operator) error {
	form := v.NewForm(v.R.URL.Query())
	before, err := strconv.ParseInt(form.Get("before"), 10, 64)
	if err != nil {
		before = 0
	}
	found, err := c.Campaigns.List(v.Context(), campaigns.ListFilter{State: campaigns.State(form.Get("state")), Before: before, Limit: campaignsPerPage + 1})
	if err != nil {
		return err
	}
	data := campaignsData{Form: form, States: stateChoices(v), CanEdit: o.Role.Includes(access.MarketerRole)}
	if len(found) > campaignsPerPage {
		found = found[:campaignsPerPage]
		query := narrowing(url.Values{"state": {form.Get("state")}})
		query.Set("before", strconv.FormatInt(found[len(found)-1].ID, 10))
		data.Older = Base + "/campaigns?" + query.Encode()
	}
	for _, campaign := range found {
		line := campaignLine{Campaign: campaign}
		if campaign.Run != nil {
			if line.Ledger, err = c.Campaigns.RunLedger(v.Context(), campaign.Run.ID); err != nil {
				return err
			}
		}
		data.Found = append(data.Found, line)
	}
	return v.Show("campaigns", data)
}

func stateChoices(v *page.Visit) []page.Choice {
	list := []page.Choice{{Value: "", Label: v.T("console.any")}}
	for _, s := range campaigns.States {
		list = append(list, page.Choice{Value: string(s), Label: v.Word("campaign.state", s)})
	}
	return list
}

// campaignData is a campaign, how it stands, and what can be done with it.
type campaignData struct {
	campaigns.Campaign
	Ledger  dispatch.Ledger // of the latest run
	Outlook *campaigns.Outlook
	Runs    []campaignRun
	History []campaigns.Change
	Next    []nextDate
	CanEdit bool
	SMS     campaignSizes
	// Accounts are those of the members whom the dry run names as left out, by id.
	Accounts map[int64]string
}

// campaignRun is a run and what became of its messages.
type campaignRun struct {
	campaigns.Run
	Ledger dispatch.Ledger
}

// Through is how many of the run's messages a provider took.
func (r campaignRun) Through() int64 { return r.Ledger.Accepted + r.Ledger.Delivered }

// shownRuns is how many runs the page of a campaign lists.
const shownRuns = 10

func (c console) campaign(v *page.Visit, o access.Operator) error {
	data, err := c.readCampaign(v, o)
	if err != nil {
		return err
	}
	return v.Show("campaign", data)
}

// campaignLive sends how a campaign stands for as long as its reader may see it.
func (c console) campaignLive(v *page.Visit) error {
	o, err := c.who(v)
	if err != nil {
		return err
	}
	if _, err := c.readCampaign(v, o); err != nil {
		return err
	}
	return v.Live("campaign", "standing", overviewEvery, c.Stopping, func() (any, error) {
		if o, err = c.who(v); err != nil {
			return nil, err
		}
		return c.readCampaign(v, o)
	})
}

func campaignID(v *page.Visit) (int64, error) {
	id, err := strconv.ParseInt(v.R.PathValue("id"), 10, 64)
	if err != nil {
		return 0, missing("campaign")
	}
	return id, nil
}

func (c console) readCampaign(v *page.Visit, o access.Operator) (campaignData, error) {
	id, err := campaignID(v)
	if err != nil {
		return campaignData{}, err
	}
	data := campaignData{CanEdit: o.Role.Includes(access.MarketerRole)}
	if data.Campaign, err = c.Campaigns.Get(v.Context(), id); err != nil {
		return campaignData{}, err
	}
	outlook, err := c.Campaigns.Outlook(v.Context(), id)
	if err == nil {
		data.Outlook = &outlook
	} else if !gone(err) {
		return campaignData{}, err
	}
	runs, err := c.Campaigns.Runs(v.Context(), id)
	if err != nil {
		return campaignData{}, err
	}
	for i, run := range runs[:min(len(runs), shownRuns)] {
		ledger, err := c.Campaigns.RunLedger(v.Context(), run.ID)
		if err != nil {
			return campaignData{}, err
		}
		if i == 0 {
			data.Ledger = ledger
		}
		data.Runs = append(data.Runs, campaignRun{run, ledger})
	}
	if data.Accounts, err = c.leftOut(v, data.Outlook); err != nil {
		return campaignData{}, err
	}
	if data.SMS, err = c.campaignSizes(v, data.Campaign, data.Outlook); err != nil {
		return campaignData{}, err
	}
	if data.State != campaigns.Finished && data.State != campaigns.Stopped {
		if data.Next, err = c.nextDates(v, data.When); err != nil {
			return campaignData{}, err
		}
	}
	data.History, err = c.Campaigns.History(v.Context(), id)
	return data, err
}

// leftOut are the accounts of the members whom a dry run names as left out.
func (c console) leftOut(v *page.Visit, o *campaigns.Outlook) (map[int64]string, error) {
	if o == nil {
		return nil, nil //nolint:nilnil // nobody was asked about, so nobody is named
	}
	var ids []int64
	for _, refused := range o.Refused {
		ids = append(ids, refused.Members...)
	}
	return c.Members.Accounts(v.Context(), ids)
}

// Waiting is how many messages have not left yet.
func (d campaignData) Waiting() int64 {
	var waiting int64
	for _, r := range d.Runs {
		if r.State == campaigns.Preparing || r.State == campaigns.Sending {
			waiting += r.Ledger.Pending + r.Ledger.Deferred
		}
	}
	return waiting
}

// Preparing is how many percent of the members of the latest run are read.
func (d campaignData) Preparing() int {
	if d.Run == nil {
		return 0
	}
	return int(100 * d.Run.Prepared)
}

// Counted is how many percent of the members the dry run has asked.
func (d campaignData) Counted() int { return int(100 * d.Outlook.Share) }

// Foretold is how many would be told, by a dry run of the plan as it is now; 0
// when there was none.
func (d campaignData) Foretold() int64 {
	if d.Outlook == nil || d.Outlook.State != "done" || d.Outlook.Version != d.Version {
		return 0
	}
	var sum int64
	for _, r := range d.Outlook.Reached {
		sum += r.Count
	}
	return sum
}

// Reached is how many the dry run would tell so far.
func (d campaignData) Reached() int64 {
	var sum int64
	for _, r := range d.Outlook.Reached {
		sum += r.Count
	}
	return sum
}

// Takes is how long the messages foretold take at the campaign's own rate; 0:
// it has none.
func (d campaignData) Takes() time.Duration {
	if d.Rate == 0 {
		return 0
	}
	return time.Duration(d.Foretold()/int64(d.Rate)) * time.Second
}

// Can reports whether a verb may be done with the campaign as it stands.
func (d campaignData) Can(verb string) bool {
	switch verb {
	case "start", "edit", "delete":
		return d.State == campaigns.Draft
	case "pause":
		return d.State == campaigns.Scheduled || d.State == campaigns.Preparing || d.State == campaigns.Sending
	case "resume":
		return d.State == campaigns.Paused
	case "stop":
		return d.State == campaigns.Scheduled || d.State == campaigns.Preparing || d.State == campaigns.Sending || d.State == campaigns.Paused
	}
	return true
}

func campaignPath(id int64) string { return fmt.Sprint(Base, "/campaigns/", id) }

func (c console) tryCampaign(v *page.Visit, o access.Operator) error {
	id, form, err := campaignForm(v)
	if err != nil {
		return err
	}
	if form.Get("do") == "cancel" {
		err = c.Campaigns.CancelDryRun(v.Context(), id)
	} else {
		err = c.Campaigns.DryRun(v.Context(), id, actor(o))
	}
	if err != nil {
		return err
	}
	return v.Go(campaignPath(id) + "#outlook")
}

func (c console) copyCampaign(v *page.Visit, o access.Operator) error {
	id, _, err := campaignForm(v)
	if err != nil {
		return err
	}
	copied, err := c.Campaigns.Copy(v.Context(), id, actor(o))
	if err != nil {
		return err
	}
	v.Say("campaign.copied")
	return v.Go(campaignPath(copied.ID) + "/edit")
}

func (c console) deleteCampaign(v *page.Visit, _ access.Operator) error {
	id, _, err := campaignForm(v)
	if err != nil {
		return err
	}
	if err := c.Campaigns.Delete(v.Context(), id); err != nil {
		return err
	}
	v.Say("campaign.deleted")
	return v.Go(Base + "/campaigns")
}

// moveCampaign starts, pauses, resumes or stops a campaign.
func (c console) moveCampaign(v *page.Visit, o access.Operator) error {
	id, _, err := campaignForm(v)
	if err != nil {
		return err
	}
	verb := v.R.PathValue("verb")
	do, known := map[string]func() (campaigns.Campaign, error){
		"start":  func() (campaigns.Campaign, error) { return c.Campaigns.Start(v.Context(), id, actor(o)) },
		"pause":  func() (campaigns.Campaign, error) { return c.Campaigns.Pause(v.Context(), id, actor(o)) },
		"resume": func() (campaigns.Campaign, error) { return c.Campaigns.Resume(v.Context(), id, actor(o)) },
		"stop":   func() (campaigns.Campaign, error) { return c.Campaigns.Stop(v.Context(), id, actor(o)) },
	}[verb]
	if !known {
		return missing("page")
	}
	switch _, err := do(); problem.CodeOf(err) {
	case "":
		if err != nil {
			return err
		}
		v.Say("campaign.did." + verb)
	case problem.Conflict: // it moved since the page was shown
		v.Tell(page.Flash{Text: v.T("campaign.moved"), Bad: true})
	case problem.Invalid: // its moment has passed, or never comes
		v.Tell(page.Flash{Text: v.T("campaign.not_startable"), Bad: true})
	default:
		return err
	}
	return v.Go(campaignPath(id))
}

func campaignForm(v *page.Visit) (int64, *page.Form, error) {
	id, err := campaignID(v)
	if err != nil {
		return 0, nil, err
	}
	form, err := v.Form()
	return id, form, err
}
