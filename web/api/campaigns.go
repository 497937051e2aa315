package api

import (
	"context"
	"net/http"

	"herald/access"
	"herald/calendar"
	"herald/campaigns"
	"herald/dispatch"
	"herald/subscriptions"
	"herald/templates"
)

// Campaigns is what *campaigns.Store does.
type Campaigns interface {
	Create(ctx context.Context, p campaigns.Plan, actor string) (campaigns.Campaign, error)
	Change(ctx context.Context, id int64, version int, p campaigns.Plan, actor string) (campaigns.Campaign, error)
	Copy(ctx context.Context, id int64, actor string) (campaigns.Campaign, error)
	Delete(ctx context.Context, id int64) error
	Get(ctx context.Context, id int64) (campaigns.Campaign, error)
	List(ctx context.Context, f campaigns.ListFilter) ([]campaigns.Campaign, error)
	Runs(ctx context.Context, id int64) ([]campaigns.Run, error)
	History(ctx context.Context, id int64) ([]campaigns.Change, error)
	Start(ctx context.Context, id int64, actor string) (campaigns.Campaign, error)
	Pause(ctx context.Context, id int64, actor string) (campaigns.Campaign, error)
	Resume(ctx context.Context, id int64, actor string) (campaigns.Campaign, error)
	Stop(ctx context.Context, id int64, actor string) (campaigns.Campaign, error)
	DryRun(ctx context.Context, id int64, actor string) error
	CancelDryRun(ctx context.Context, id int64) error
	Outlook(ctx context.Context, id int64) (campaigns.Outlook, error)
	RunLedger(ctx context.Context, runID int64) (dispatch.Ledger, error)
	NextDates(ctx context.Context, w campaigns.When, n int) ([]calendar.Moment, error)
}

// CampaignPlan is a plan to be saved.
type CampaignPlan struct {
	campaigns.Plan
	Version int `json:"version,omitempty" minimum:"1" doc:"Change it only while this is the stored version."`
}

// CampaignRun is a firing of a campaign and what became of its messages.
type CampaignRun struct {
	campaigns.Run
	Ledger dispatch.Ledger `json:"ledger"`
}

// CampaignText is a message of a campaign as a sample member would read it.
type CampaignText struct {
	Channel subscriptions.Channel `json:"channel"`
	Locale  string                `json:"locale"`
	Filled
}

// Outlook is a dry run, with what its SMS take.
type Outlook struct {
	campaigns.Outlook
	Samples []Sample `json:"samples" nullable:"false"`
}

// Sample is a message as a member would read it.
type Sample struct {
	campaigns.Sample
	SMS *SMS `json:"sms,omitempty" doc:"What the text takes, where the channel is sms."`
}

func (a *API) addCampaigns() {
	const path, tag = "/campaigns/{id}", tagCampaigns
	read, write := access.CampaignsRead, access.CampaignsWrite
	add(a, operation{
		id: "list-campaigns", method: http.MethodGet, path: "/campaigns", tag: tag, scope: read,
		summary: "List the campaigns", description: "Newest first, without their messages.",
	}, a.listCampaigns)
	add(a, operation{
		id: "create-campaign", method: http.MethodPost, path: "/campaigns", tag: tag, scope: write,
		summary: "Write a campaign", status: http.StatusCreated, description: "It begins as a draft: nothing happens before it is started.",
	}, a.createCampaign)
	add(a, operation{id: "get-campaign", method: http.MethodGet, path: path, tag: tag, scope: read, summary: "Read a campaign"}, a.getCampaign)
	add(a, operation{
		id: "change-campaign", method: http.MethodPut, path: path, tag: tag, scope: write,
		summary: "Change a draft", errors: []int{http.StatusConflict}, description: "The whole plan. With `version` it is saved only while that is the stored one.",
	}, a.changeCampaign)
	add(a, operation{
		id: "delete-campaign", method: http.MethodDelete, path: path, tag: tag, scope: write,
		summary: "Delete a draft", status: http.StatusNoContent, errors: []int{http.StatusConflict},
	}, a.deleteCampaign)
	add(a, operation{
		id: "copy-campaign", method: http.MethodPost, path: path + "/copy", tag: tag, scope: write,
		summary: "Make a draft like a campaign", status: http.StatusCreated,
	}, a.copyCampaign)
	add(a, operation{
		id: "list-campaign-runs", method: http.MethodGet, path: path + "/runs", tag: tag, scope: read,
		summary: "List a campaign's firings with their ledgers", description: "The latest 50, newest first. A run's id is the campaign of its deliveries.",
	}, a.campaignRuns)
	add(a, operation{
		id: "list-campaign-changes", method: http.MethodGet, path: path + "/history", tag: tag, scope: read,
		summary: "List who did what with a campaign", description: "The latest 50, newest first.",
	}, a.campaignHistory)
	add(a, operation{
		id: "preview-campaign", method: http.MethodGet, path: path + "/preview", tag: tag, scope: read,
		summary: "Read a campaign's messages as a member would", description: "Filled from the sample data that every save is tried on; those by SMS with the parts that they take.",
	}, a.previewCampaign)
	a.addCampaignVerbs(path)
}

func (a *API) addCampaignVerbs(path string) {
	for _, verb := range []struct {
		name, summary, description string
		do                         func(context.Context, int64, string) (campaigns.Campaign, error)
	}{
		{"start", "Start a draft", "At once, or at the moment its plan names.", a.cfg.Campaigns.Start},
		{"pause", "Hold a campaign", "Nobody more is told until it is resumed; what has not left waits.", a.cfg.Campaigns.Pause},
		{"resume", "Let a paused campaign go on", "Nobody is told twice.", a.cfg.Campaigns.Resume},
		{"stop", "End a campaign", "For good: what has not left is suppressed.", a.cfg.Campaigns.Stop},
	} {
		add(a, operation{
			id: verb.name + "-campaign", method: http.MethodPost, path: path + "/" + verb.name, tag: tagCampaigns, scope: access.CampaignsWrite,
			summary: verb.summary, description: verb.description, errors: []int{http.StatusConflict},
		}, func(ctx context.Context, in *NumberPath) (*out[campaigns.Campaign], error) {
			return body(verb.do(ctx, in.ID, callerOf(ctx).actor()))
		})
	}
	add(a, operation{
		id: "begin-dry-run", method: http.MethodPost, path: path + "/dry-run", tag: tagCampaigns, scope: access.CampaignsRead,
		summary: "Count whom a campaign would reach", status: http.StatusAccepted, description: "In the background; nobody is told. Read how far it has come with GET.",
	}, a.beginDryRun)
	add(a, operation{
		id: "get-dry-run", method: http.MethodGet, path: path + "/dry-run", tag: tagCampaigns, scope: access.CampaignsRead,
		summary: "Read the latest dry run", description: "How many by channel and language, who is left out and why, and three messages as they would be read, those by SMS with the parts that they take.",
	}, a.dryRun)
	add(a, operation{
		id: "cancel-dry-run", method: http.MethodDelete, path: path + "/dry-run", tag: tagCampaigns, scope: access.CampaignsRead,
		summary: "End the count", status: http.StatusNoContent,
	}, a.cancelDryRun)
}

func (a *API) listCampaigns(ctx context.Context, in *struct {
	PageQuery
	State campaigns.State `query:"state" enum:"draft,scheduled,preparing,sending,paused,finished,stopped"`
},
) (*out[Page[campaigns.Campaign]], error) {
	before, err := in.after()
	if err != nil {
		return nil, err
	}
	list, err := a.cfg.Campaigns.List(ctx, campaigns.ListFilter{State: in.State, Before: before, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, func(c campaigns.Campaign) string { return idCursor(c.ID) }), nil
}

func (a *API) createCampaign(ctx context.Context, in *struct{ Body CampaignPlan }) (*created[campaigns.Campaign], error) {
	return madeCampaign(a.cfg.Campaigns.Create(ctx, in.Body.Plan, callerOf(ctx).actor()))
}

func (a *API) copyCampaign(ctx context.Context, in *NumberPath) (*created[campaigns.Campaign], error) {
	return madeCampaign(a.cfg.Campaigns.Copy(ctx, in.ID, callerOf(ctx).actor()))
}

func madeCampaign(c campaigns.Campaign, err error) (*created[campaigns.Campaign], error) {
	if err != nil {
		return nil, err
	}
	return &created[campaigns.Campaign]{Location: root + "/campaigns/" + idCursor(c.ID), Body: c}, nil
}

func (a *API) getCampaign(ctx context.Context, in *NumberPath) (*out[DatedCampaign], error) {
	c, err := a.cfg.Campaigns.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return body(a.datedCampaign(ctx, c))
}

func (a *API) changeCampaign(ctx context.Context, in *struct {
	NumberPath
	Body CampaignPlan
},
) (*out[campaigns.Campaign], error) {
	return body(a.cfg.Campaigns.Change(ctx, in.ID, in.Body.Version, in.Body.Plan, callerOf(ctx).actor()))
}

func (a *API) deleteCampaign(ctx context.Context, in *NumberPath) (*none, error) {
	return nothing(a.cfg.Campaigns.Delete(ctx, in.ID))
}

func (a *API) campaignRuns(ctx context.Context, in *NumberPath) (*out[Page[CampaignRun]], error) {
	if _, err := a.cfg.Campaigns.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	runs, err := a.cfg.Campaigns.Runs(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list := make([]CampaignRun, len(runs))
	for i, r := range runs {
		ledger, err := a.cfg.Campaigns.RunLedger(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		list[i] = CampaignRun{r, ledger}
	}
	return whole(list, nil)
}

func (a *API) campaignHistory(ctx context.Context, in *NumberPath) (*out[Page[campaigns.Change]], error) {
	if _, err := a.cfg.Campaigns.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	return whole(a.cfg.Campaigns.History(ctx, in.ID))
}

func (a *API) previewCampaign(ctx context.Context, in *NumberPath) (*out[Page[CampaignText]], error) {
	c, err := a.cfg.Campaigns.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	data := templates.Sample()
	data["campaign"] = map[string]any{"id": c.ID, "name": c.Name}
	list := make([]CampaignText, len(c.Messages))
	for i, m := range c.Messages {
		content, err := a.cfg.Templates.Preview(ctx, templates.Template{
			Name: c.Template, Channel: string(m.Channel), Locale: m.Locale, Subject: m.Subject, HTML: m.HTML, Body: m.Body,
		}, data)
		if err != nil {
			return nil, err
		}
		list[i] = CampaignText{m.Channel, m.Locale, a.filled(string(m.Channel), content)}
	}
	return whole(list, nil)
}

func (a *API) beginDryRun(ctx context.Context, in *NumberPath) (*none, error) {
	return nothing(a.cfg.Campaigns.DryRun(ctx, in.ID, callerOf(ctx).actor()))
}

func (a *API) dryRun(ctx context.Context, in *NumberPath) (*out[Outlook], error) {
	o, err := a.cfg.Campaigns.Outlook(ctx, in.ID)
	samples := make([]Sample, len(o.Samples))
	for i, s := range o.Samples {
		samples[i] = Sample{Sample: s}
		if s.Problem == "" {
			samples[i].SMS = a.sms(string(s.Channel), s.Text)
		}
	}
	return body(Outlook{o, samples}, err)
}

func (a *API) cancelDryRun(ctx context.Context, in *NumberPath) (*none, error) {
	return nothing(a.cfg.Campaigns.CancelDryRun(ctx, in.ID))
}
