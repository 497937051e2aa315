package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/problem"
	"herald/web/page"
	"herald/webhooks"
)

// webhookRoutes are the pages of the endpoints that are told what became of
// messages. Operators read them, admins change them.
func (c console) webhookRoutes(operator, admin func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	if c.Webhooks == nil {
		return nil
	}
	return []page.Route{
		operator("GET /console/webhooks", c.webhooks),
		admin("GET /console/webhooks/new", c.newWebhook),
		admin("POST /console/webhooks", c.createWebhook),
		operator("GET /console/webhooks/{id}", c.webhook),
		admin("POST /console/webhooks/{id}", c.changeWebhook),
		admin("POST /console/webhooks/{id}/enabled", c.enableWebhook),
		admin("POST /console/webhooks/{id}/secret", c.rotateWebhook),
		admin("POST /console/webhooks/{id}/ping", c.pingWebhook),
		admin("POST /console/webhooks/{id}/replay", c.replayWebhook),
		admin("POST /console/webhooks/{id}/messages/{message}/replay", c.replayWebhookMessage),
		admin("POST /console/webhooks/{id}/delete", c.deleteWebhook),
	}
}

// webhooksData is the list of endpoints.
type webhooksData struct {
	Endpoints []webhooks.Endpoint
	CanEdit   bool
}

func (c console) webhooks(v *page.Visit, o access.Operator) error {
	list, err := c.Webhooks.List(v.Context())
	if err != nil {
		return err
	}
	return v.Show("webhooks", webhooksData{list, o.Role.Includes(access.AdminRole)})
}

// webhookFormData is the form of an endpoint.
type webhookFormData struct {
	Form  *page.Form // url, description, types
	Types []page.Choice
}

func (c console) newWebhook(v *page.Visit, _ access.Operator) error {
	form := v.NewForm(url.Values{"types": {"delivery.*"}})
	return v.Show("webhook-new", webhookFormData{form, typeChoices(v)})
}

// typeChoices are what can be listened to: everything, each family, and after
// it each of its types.
func typeChoices(v *page.Visit) []page.Choice {
	list := []page.Choice{{Value: "*", Label: v.Word("webhooks.type", "*")}}
	for _, family := range webhooks.Families() {
		all := family + ".*"
		list = append(list, page.Choice{Value: all, Label: v.Word("webhooks.type", all) + " (" + all + ")"})
		for _, t := range webhooks.Types() {
			if strings.HasPrefix(t.Name, family+".") {
				list = append(list, page.Choice{Value: t.Name, Label: v.Word("webhooks.type", t.Name) + " (" + t.Name + ")"})
			}
		}
	}
	return list
}

// webhookSecretData is an endpoint's new secret, shown this once. It stands on
// no other page and in no session.
type webhookSecretData struct {
	Endpoint webhooks.Endpoint
	Secret   string
	Rotated  bool
}

func (c console) createWebhook(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	made, secret, err := c.Webhooks.Create(v.Context(), webhooks.NewEndpoint{
		URL: form.Get("url"), Description: form.Get("description"), Types: form.Values["types"], By: actor(o),
	})
	if err != nil {
		return v.Again(err, form, "webhook-new", webhookFormData{form, typeChoices(v)})
	}
	return v.Show("webhook-secret", webhookSecretData{Endpoint: made, Secret: secret})
}

// rotateWebhook is for the version that was shown: loading the page with the
// secret again does not rotate again.
func (c console) rotateWebhook(v *page.Visit, o access.Operator) error {
	id, form, err := webhookForm(v)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(form.Get("version"))
	if err != nil || version < 1 {
		return problem.New(problem.Invalid, "version must be the one that was shown")
	}
	changed, secret, err := c.Webhooks.Rotate(v.Context(), id, version, actor(o))
	if err != nil {
		return err
	}
	return v.Show("webhook-secret", webhookSecretData{changed, secret, true})
}

// webhookID is the endpoint that the path names.
func webhookID(v *page.Visit) (int64, error) {
	id, err := strconv.ParseInt(v.R.PathValue("id"), 10, 64)
	if err != nil {
		return 0, missing("webhook endpoint")
	}
	return id, nil
}

func webhookPath(id int64) string { return Base + "/webhooks/" + strconv.FormatInt(id, 10) }

// webhookForm is the endpoint that the path names, and the form that was posted.
func webhookForm(v *page.Visit) (int64, *page.Form, error) {
	id, err := webhookID(v)
	if err != nil {
		return 0, nil, err
	}
	form, err := v.Form()
	return id, form, err
}

// webhookData is everything of one endpoint.
type webhookData struct {
	webhookFormData
	Endpoint  webhooks.Endpoint
	CanEdit   bool
	Failed    bool // only messages that failed are shown
	Messages  []webhooks.Message
	Attempts  []webhooks.Attempt
	Older     string // the address of the next page of messages; empty on the last
	OlderPost string // and of attempts
	Periods   []page.Choice
}

// webhookLines is how many messages and attempts stand on a page.
const webhookLines = 20

func (c console) webhook(v *page.Visit, o access.Operator) error {
	id, err := webhookID(v)
	if err != nil {
		return err
	}
	data, err := c.readWebhook(v, o, id)
	if err != nil {
		return err
	}
	e := data.Endpoint
	data.Form = v.NewForm(url.Values{
		"url": {e.URL}, "description": {e.Description}, "types": e.Types, "version": {strconv.Itoa(e.Version)}, "period": {"24"},
	})
	return v.Show("webhook", data)
}

// readWebhook is everything but the form.
func (c console) readWebhook(v *page.Visit, o access.Operator, id int64) (webhookData, error) {
	query := v.R.URL.Query()
	data := webhookData{CanEdit: o.Role.Includes(access.AdminRole), Failed: query.Get("failed") != ""}
	data.Types = typeChoices(v)
	for _, hours := range []string{"1", "24", "168", "0"} {
		data.Periods = append(data.Periods, page.Choice{Value: hours, Label: v.Word("webhooks.period", hours)})
	}
	var err error
	if data.Endpoint, err = c.Webhooks.Get(v.Context(), id); err != nil {
		return data, err
	}
	filter := webhooks.Filter{Endpoint: id, Failed: data.Failed, Limit: webhookLines + 1}
	older := func(field string, last uuid.UUID) string {
		query.Set(field, last.String())
		return webhookPath(id) + "?" + query.Encode()
	}
	filter.Before, _ = uuid.Parse(query.Get("before")) // none: the newest
	if data.Messages, err = c.Webhooks.Messages(v.Context(), filter); err != nil {
		return data, err
	}
	if len(data.Messages) > webhookLines {
		data.Messages = data.Messages[:webhookLines]
		data.Older = older("before", data.Messages[webhookLines-1].ID)
	}
	query = v.R.URL.Query()
	filter.Before, _ = uuid.Parse(query.Get("attempts"))
	if data.Attempts, err = c.Webhooks.Attempts(v.Context(), filter); err != nil {
		return data, err
	}
	if len(data.Attempts) > webhookLines {
		data.Attempts = data.Attempts[:webhookLines]
		data.OlderPost = older("attempts", data.Attempts[webhookLines-1].ID)
	}
	return data, nil
}

func (c console) changeWebhook(v *page.Visit, o access.Operator) error {
	id, form, err := webhookForm(v)
	if err != nil {
		return err
	}
	data, err := c.readWebhook(v, o, id)
	if err != nil {
		return err
	}
	data.Form = form
	address, description, types := form.Get("url"), form.Get("description"), form.Values["types"]
	version, err := strconv.Atoi(form.Get("version"))
	if err != nil {
		version = -1 // none that there is
	}
	_, err = c.Webhooks.Change(v.Context(), id, webhooks.Change{
		URL: &address, Description: &description, Types: &types, Version: version, By: actor(o),
	})
	if err != nil {
		return v.Again(err, form, "webhook", data)
	}
	v.Say("webhooks.saved")
	return v.Go(webhookPath(id))
}

func (c console) enableWebhook(v *page.Visit, o access.Operator) error {
	id, form, err := webhookForm(v)
	if err != nil {
		return err
	}
	on := form.Get("enabled") == "true"
	if _, err := c.Webhooks.Change(v.Context(), id, webhooks.Change{Enabled: &on, By: actor(o)}); err != nil {
		return err
	}
	if on {
		v.Say("webhooks.enabled")
	} else {
		v.Say("webhooks.disabled")
	}
	return v.Go(webhookPath(id))
}

func (c console) pingWebhook(v *page.Visit, _ access.Operator) error {
	id, err := webhookID(v)
	if err != nil {
		return err
	}
	if _, err := c.Webhooks.Ping(v.Context(), id); err != nil {
		return err
	}
	v.Say("webhooks.pinged")
	return v.Go(webhookPath(id))
}

// replayWebhook posts again what failed, or everything, of the last so many hours.
func (c console) replayWebhook(v *page.Visit, _ access.Operator) error {
	id, form, err := webhookForm(v)
	if err != nil {
		return err
	}
	hours, err := strconv.Atoi(form.Get("period"))
	if err != nil || hours < 0 || hours > 24*366 {
		return problem.New(problem.Invalid, "period must be hours, or 0 for all")
	}
	since := time.Time{}
	if hours > 0 {
		since = c.Now().Add(-time.Duration(hours) * time.Hour)
	}
	n, err := c.Webhooks.ReplayAll(v.Context(), id, since, form.Checked("delivered"))
	if err := c.sayReplay(v, err, n); err != nil {
		return err
	}
	return v.Go(webhookPath(id))
}

func (c console) replayWebhookMessage(v *page.Visit, _ access.Operator) error {
	id, err := webhookID(v)
	if err != nil {
		return err
	}
	message, err := uuid.Parse(v.R.PathValue("message"))
	if err != nil {
		return missing("message")
	}
	if err := c.sayReplay(v, c.Webhooks.Replay(v.Context(), id, message), 1); err != nil {
		return err
	}
	return v.Go(webhookPath(id))
}

// sayReplay says on the next page what came of a replay.
func (console) sayReplay(v *page.Visit, err error, n int) error {
	if problem.CodeOf(err) == problem.Conflict {
		v.Tell(page.Flash{Text: v.T("webhooks.not_replayed"), Bad: true})
		return nil
	}
	if err == nil {
		v.Say("webhooks.replayed", "count", n)
	}
	return err
}

func (c console) deleteWebhook(v *page.Visit, _ access.Operator) error {
	id, err := webhookID(v)
	if err != nil {
		return err
	}
	if err := c.Webhooks.Delete(v.Context(), id); err != nil {
		return err
	}
	v.Say("webhooks.deleted")
	return v.Go(Base + "/webhooks")
}
