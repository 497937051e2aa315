package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// The tags that operations are grouped by.
const (
	tagEvents        = "Events"
	tagMembers       = "Members"
	tagTriggers      = "Triggers"
	tagTemplates     = "Templates"
	tagSubscriptions = "Subscriptions"
	tagDeliveries    = "Deliveries"
	tagWebhooks      = "Webhooks"
	tagCampaigns     = "Campaigns"
	tagReplies       = "Replies"
	tagKeys          = "Keys"
)

const overview = `What happens in the company's systems comes in as events; who asked to hear of it, and what was sent, can be read and changed here.

Authenticate with an API key (` + "`herald admin key`" + `): ` + "`Authorization: Bearer hk_…`" + `. Every resource can be had in JSON and in XML (` + "`Accept`, `Content-Type`" + `). Lists come in pages: send ` + "`next`" + ` back as ` + "`cursor`" + `. Errors are RFC 9457 problem details. A POST with an ` + "`Idempotency-Key`" + ` acts once.`

func (a *API) description(version string) huma.Config {
	cfg := huma.DefaultConfig("Herald", version)
	cfg.Info.Description = overview
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", "" // describe serves its own
	cfg.CreateHooks = nil                                       // no $schema in resources
	cfg.Formats = formats()
	cfg.Transformers = []huma.Transformer{a.ownErrors}
	cfg.FieldsOptionalByDefault = true
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		keyScheme: {Type: "http", Scheme: "bearer", Description: "An API key, made by `herald admin key`. Each operation names the scope that it needs."},
	}
	cfg.Security = nil
	cfg.Tags = []*huma.Tag{
		{Name: tagEvents, Description: "What happens: CloudEvents in every form."},
		{Name: tagMembers, Description: "Registered customers, how to reach them, and what they agreed to."},
		{Name: tagTriggers, Description: "The kinds of alert on offer."},
		{Name: tagTemplates, Description: "What messages say."},
		{Name: tagSubscriptions, Description: "Members' choices of triggers."},
		{Name: tagDeliveries, Description: "What was sent, and what became of it."},
		{Name: tagReplies, Description: "What members wrote back."},
		{Name: tagCampaigns, Description: "What marketers plan: whom, what, when, and what came of it."},
		{Name: tagWebhooks, Description: "Which of your systems are told what became of messages, by Standard Webhooks."},
		{Name: tagKeys, Description: "The API key in use."},
	}
	return cfg
}

// schemaOf is the schema of a Go type, by reference where it has a name.
func schemaOf[T any](api huma.API) *huma.Schema {
	t := reflect.TypeFor[T]()
	return api.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}

// describe serves the description, which is complete by now.
func (a *API) describe() error {
	openapi := a.huma.OpenAPI()
	schemas := openapi.Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's, in whose place there is Problem
	delete(schemas, "ErrorDetail")
	asJSON, err := json.MarshalIndent(openapi, "", "  ")
	if err != nil {
		return fmt.Errorf("describe the api: %w", err)
	}
	asYAML, err := openapi.YAML()
	if err != nil {
		return fmt.Errorf("describe the api: %w", err)
	}
	page, err := referencePage(openapi)
	if err != nil {
		return fmt.Errorf("describe the api: %w", err)
	}
	a.mux.Handle("GET /openapi.json", fixed("application/openapi+json", asJSON))
	a.mux.Handle("GET /openapi.yaml", fixed("application/openapi+yaml", asYAML))
	a.mux.Handle("GET /docs/api", fixed("text/html; charset=utf-8", page))
	return nil
}

func fixed(contentType string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = w.Write(body)
	})
}
