package api

import (
	"context"
	"net/http"

	"herald/access"
	"herald/problem"
	"herald/subscriptions"
)

// TriggerPath asks for a trigger.
type TriggerPath struct {
	Name string `path:"name" maxLength:"100" doc:"The trigger's name." example:"price_drop"`
}

// TriggerPatch switches a trigger on or off.
type TriggerPatch struct {
	Enabled bool `json:"enabled" required:"true" doc:"Whether events may meet it and members subscribe to it; subscriptions stay as they are."`
}

func (a *API) addTriggers() {
	const path = "/triggers/{name}"
	add(a, operation{
		id: "list-triggers", method: http.MethodGet, path: "/triggers", tag: tagTriggers, scope: access.TriggersRead,
		summary: "List the triggers", description: "All of them, by name.",
	}, a.listTriggers)
	add(a, operation{
		id: "get-trigger", method: http.MethodGet, path: path, tag: tagTriggers, scope: access.TriggersRead,
		summary: "Read a trigger",
	}, a.getTrigger)
	add(a, operation{
		id: "put-trigger", method: http.MethodPut, path: path, tag: tagTriggers, scope: access.TriggersWrite,
		summary: "Define a trigger", errors: []int{http.StatusConflict},
		description: "Makes a new version, in force at once; its subscriptions follow it. With `version` it is saved only while that is the stored one. `enabled` is not looked at: switch it with PATCH. Its template must be there in English.",
	}, a.putTrigger)
	add(a, operation{
		id: "switch-trigger", method: http.MethodPatch, path: path, tag: tagTriggers, scope: access.TriggersWrite,
		summary: "Switch a trigger on or off",
	}, a.switchTrigger)
}

func (a *API) listTriggers(ctx context.Context, _ *struct{}) (*out[Page[subscriptions.Trigger]], error) {
	return whole(a.cfg.Triggers.List(ctx))
}

func (a *API) getTrigger(ctx context.Context, in *TriggerPath) (*out[DatedTrigger], error) {
	t, err := a.cfg.Triggers.Get(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return body(a.datedTrigger(ctx, t))
}

func (a *API) putTrigger(ctx context.Context, in *struct {
	TriggerPath
	Body DatedTrigger // as it is read: its next dates are not looked at
},
) (*out[subscriptions.Trigger], error) {
	t := in.Body.Trigger
	if t.Name != "" && t.Name != in.Name {
		var f problem.Fields
		f.Add("name", "same", "must be %s, as in the address, or left out: a name never changes", in.Name)
		return nil, f.Err("the definition is another trigger's")
	}
	t.Name = in.Name
	if t.Template != "" {
		if err := a.cfg.Templates.Require(ctx, t.Template); err != nil {
			return nil, err
		}
	}
	return body(a.cfg.Triggers.Save(ctx, t, callerOf(ctx).actor()))
}

func (a *API) switchTrigger(ctx context.Context, in *struct {
	TriggerPath
	Body TriggerPatch
},
) (*out[subscriptions.Trigger], error) {
	if err := a.cfg.Triggers.SetEnabled(ctx, in.Name, in.Body.Enabled, callerOf(ctx).actor()); err != nil {
		return nil, err
	}
	return body(a.cfg.Triggers.Get(ctx, in.Name))
}
