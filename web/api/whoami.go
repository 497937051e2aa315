package api

import (
	"context"
	"net/http"

	"herald/access"
)

// Key is the API key in use.
type Key struct {
	Name   string         `json:"name" example:"shop"`
	Prefix string         `json:"prefix" doc:"The part of the key that may be shown." example:"hk_3f9a"`
	Scopes []access.Scope `json:"scopes" nullable:"false" doc:"What it may do."`
}

func (a *API) addWhoami() {
	add(a, operation{
		id: "whoami", method: http.MethodGet, path: "/whoami", tag: tagKeys,
		summary: "Read what the API key in use may do",
	}, a.whoami)
}

func (a *API) whoami(ctx context.Context, _ *struct{}) (*out[Key], error) {
	k := callerOf(ctx).key
	return body(Key{Name: k.Name, Prefix: k.Prefix, Scopes: k.Scopes}, nil)
}
