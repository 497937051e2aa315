package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"herald/problem"
)

// Page is some of a list.
type Page[T any] struct {
	Items []T `json:"items" nullable:"false"`
	// Next leads on; it is absent on the last page.
	Next string `json:"next,omitempty" doc:"Send it back as cursor for the page after this one; absent on the last page."`
}

// PageQuery asks for a page. It is exported, like all inputs that others
// embed, because huma reads no others.
type PageQuery struct {
	Cursor string `query:"cursor" maxLength:"400" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many to list."`
}

// after is the cursor of a list in the order of ids; 0 at its start.
func (p PageQuery) after() (int64, error) {
	if p.Cursor == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(p.Cursor, 10, 64)
	if err != nil || id < 0 {
		return 0, badCursor()
	}
	return id, nil
}

func badCursor() error {
	var f problem.Fields
	f.Add("query.cursor", "cursor", "must be the next of the page before")
	return f.Err("there is no such page")
}

// pageOf cuts a list, of which one more than the limit was asked for, into a
// page.
func pageOf[T any](list []T, limit int, cursor func(T) string) *out[Page[T]] {
	page := Page[T]{Items: list}
	if len(list) > limit {
		page.Items = list[:limit]
		page.Next = cursor(list[limit-1])
	}
	if page.Items == nil {
		page.Items = []T{}
	}
	return &out[Page[T]]{Body: page}
}

// whole is a list that has no further pages.
func whole[T any](list []T, err error) (*out[Page[T]], error) {
	if err != nil {
		return nil, err
	}
	return pageOf(list, len(list), func(T) string { return "" }), nil
}

func idCursor(id int64) string { return strconv.FormatInt(id, 10) }

// out is an answer with a body.
type out[T any] struct{ Body T }

func body[T any](v T, err error) (*out[T], error) {
	if err != nil {
		return nil, err
	}
	return &out[T]{Body: v}, nil
}

// created is an answer that says where the new resource is.
type created[T any] struct {
	Location string `header:"Location"`
	Body     T
}

// none is an answer without a body.
type none struct{}

func nothing(err error) (*none, error) {
	if err != nil {
		return nil, err
	}
	return &none{}, nil
}

// NumberPath asks for a resource by its number.
type NumberPath struct {
	ID int64 `path:"id" minimum:"1" doc:"The resource's number."`
}

// Clearable is a member of a change that null takes away; where it is absent
// it stays as it is.
type Clearable[T any] struct {
	set   bool
	value *T
}

// UnmarshalJSON reads null or a T.
func (c *Clearable[T]) UnmarshalJSON(text []byte) error {
	c.set, c.value = true, nil
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	return json.Unmarshal(text, &c.value)
}

// Schema is T's, or null.
func (c Clearable[T]) Schema(r huma.Registry) *huma.Schema {
	schema := *r.Schema(reflect.TypeFor[T](), false, "")
	schema.Nullable = true
	return &schema
}

// change is nil when it stays as it is.
func (c Clearable[T]) change() **T {
	if !c.set {
		return nil
	}
	return &c.value
}
