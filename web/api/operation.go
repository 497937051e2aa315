package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"herald/access"
)

// handlerTimeout bounds the work of one request after its body has been read.
const handlerTimeout = 30 * time.Second

// operation is one thing that can be asked of the API.
type operation struct {
	id          string
	method      string
	path        string // below /api/v1
	tag         string
	summary     string
	description string
	scope       access.Scope // empty: any key
	status      int          // when it succeeds; 0: 200
	errors      []int        // besides those that every operation may answer
	secret      bool         // the answer holds a secret: it is not kept to be given again
}

const root = "/api/v1"

func (o operation) huma() huma.Operation {
	scopes := []string{}
	if o.scope != "" {
		scopes = append(scopes, string(o.scope))
	}
	if o.status == 0 {
		o.status = http.StatusOK
	}
	return huma.Operation{
		OperationID: o.id, Method: o.method, Path: root + o.path, Tags: []string{o.tag},
		Summary: o.summary, Description: o.description, DefaultStatus: o.status,
		Security:  []map[string][]string{{keyScheme: scopes}},
		Responses: map[string]*huma.Response{},
		// Limits are kept by readBody; nothing is left for huma to refuse.
		MaxBodyBytes: -1, BodyReadTimeout: -1,
	}
}

// add makes an operation of a handler. The handler's input says which of
// query, path and body there is (huma's tags), its output what is answered.
func add[I, O any](a *API, o operation, handle func(context.Context, *I) (*O, error)) {
	op := o.huma()
	op.Middlewares = huma.Middlewares{a.readBody}
	if !o.secret {
		op.Middlewares = append(op.Middlewares, a.replay)
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
		defer cancel()
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
	a.document(a.huma.OpenAPI().Paths[op.Path], o)
}

// document adds to an operation's description what is the same for all: the
// errors, and that everything can be had in XML too.
func (a *API) document(item *huma.PathItem, o operation) {
	op := map[string]*huma.Operation{
		http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put,
		http.MethodPatch: item.Patch, http.MethodDelete: item.Delete,
	}[o.method]
	statuses := append([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests}, o.errors...)
	if op.RequestBody != nil {
		statuses = append(statuses, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
		inXML(op.RequestBody.Content)
	}
	if strings.Contains(o.path, "{") {
		statuses = append(statuses, http.StatusNotFound)
	}
	for _, response := range op.Responses {
		inXML(response.Content)
	}
	for _, status := range statuses {
		op.Responses[strconv.Itoa(status)] = a.problemResponse(http.StatusText(status))
	}
	op.Responses["default"] = a.problemResponse("Any other problem")
	if o.method == http.MethodPost && o.path != "/events" && !o.secret {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: keyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString},
			Description: "Your own name for this request. Sent again with the same body within a day it is not done again, and answered the same.",
		})
	}
}

// inXML says that what can be had in JSON can be had in XML, unless it has said
// itself what XML is.
func inXML(content map[string]*huma.MediaType) {
	json, ok := content["application/json"]
	if _, own := content["application/xml"]; ok && !own {
		content["application/xml"] = &huma.MediaType{Schema: json.Schema}
	}
}

func (a *API) problemResponse(description string) *huma.Response {
	schema := schemaOf[Problem](a.huma)
	return &huma.Response{Description: description, Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: schema},
		"application/problem+xml":  {Schema: schema},
	}}
}
