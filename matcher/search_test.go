package matcher_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"herald/matcher"
	"herald/problem"
	"herald/timeid"
)

// happened records an event as if it had been received at an instant.
func (s *shop) happened(at time.Time, e matcher.Event) uuid.UUID {
	s.Helper()
	data, err := json.Marshal(e.Data)
	if err != nil {
		s.Fatal(err)
	}
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	id := timeid.New(at)
	_, err = s.pool.Exec(s.ctx, `
		WITH new AS (
			INSERT INTO event_keys
			SELECT encode(substr(sha256(convert_to($2::text, 'UTF8') || '\x00'::bytea || convert_to($3::text, 'UTF8')), 1, 16), 'hex')::uuid, $1
			RETURNING event_id)
		INSERT INTO events (id, source, source_id, type, subject, time, data, received_at)
		SELECT event_id, $2, $3, $4, $5, $6, $7, $6 FROM new`, id, e.Source, e.ID, e.Type, e.Subject, at, string(data))
	if err != nil {
		s.Fatal(err)
	}
	return id
}

// ids are the senders' ids.
func ids(list []matcher.Record) []string {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = r.ID
	}
	return names
}

func TestSearchFindsByAllThatItNames(t *testing.T) {
	s := openShop(t)
	for i := range 6 {
		e := priceEvent(fmt.Sprint(i), "kettle", 40+float64(i))
		if i%2 == 1 {
			e.Data["product"], e.Subject = "lamp", "lamp/7"
		}
		if i == 5 {
			e.Type, e.Source = "stock.changed", "/warehouse"
		}
		s.happened(opening.Add(time.Duration(i)*time.Hour), e)
	}
	for name, tt := range map[string]struct {
		q    matcher.EventSearch
		want []string
	}{
		"everything, the latest first": {matcher.EventSearch{}, []string{"5", "4", "3", "2", "1", "0"}},
		"a type":                       {matcher.EventSearch{Type: "price.changed"}, []string{"4", "3", "2", "1", "0"}},
		"a source":                     {matcher.EventSearch{Source: "/warehouse"}, []string{"5"}},
		"a sender's id":                {matcher.EventSearch{SourceID: "3"}, []string{"3"}},
		"a name":                       {matcher.EventSearch{Source: "/shop", SourceID: "3"}, []string{"3"}},
		"a name of another type":       {matcher.EventSearch{Source: "/shop", SourceID: "3", Type: "stock.changed"}, nil},
		"a name nobody gave":           {matcher.EventSearch{Source: "/shop", SourceID: "33"}, nil},
		"a subject":                    {matcher.EventSearch{Subject: "lamp/7"}, []string{"5", "3", "1"}},
		"an attribute":                 {matcher.EventSearch{Data: map[string]any{"product": "lamp"}}, []string{"5", "3", "1"}},
		"a figure":                     {matcher.EventSearch{Data: map[string]any{"product": "lamp", "price": 43.0}}, []string{"3"}},
		"a text that looks like one":   {matcher.EventSearch{Data: map[string]any{"price": "43"}}, nil},
		"from an instant on":           {matcher.EventSearch{Since: opening.Add(4 * time.Hour)}, []string{"5", "4"}},
		"until before an instant":      {matcher.EventSearch{Until: opening.Add(time.Hour)}, []string{"0"}},
		"all of it": {
			matcher.EventSearch{
				Type: "price.changed", Source: "/shop", Subject: "lamp/7", Data: map[string]any{"product": "lamp"},
				Since: opening.Add(time.Hour), Until: opening.Add(3 * time.Hour),
			},
			[]string{"1"},
		},
	} {
		page, err := s.events.Search(s.ctx, tt.q)
		if got := ids(page.Events); err != nil || !slices.Equal(got, tt.want) || page.Next != uuid.Nil || page.Stopped {
			t.Errorf("%s: found %v, next %s, stopped %t (%v), want %v", name, got, page.Next, page.Stopped, err, tt.want)
		}
	}
}

func TestSearchRefusesWhatCannotBeAsked(t *testing.T) {
	s := openShop(t)
	many := map[string]any{}
	for i := range 11 {
		many[fmt.Sprint(i)] = "x"
	}
	for name, tt := range map[string]struct {
		q    matcher.EventSearch
		path string
	}{
		"an end before the beginning": {matcher.EventSearch{Since: opening, Until: opening}, "until"},
		"a type with a line break":    {matcher.EventSearch{Type: "a\nb"}, "type"},
		"too many attributes":         {matcher.EventSearch{Data: many}, "data"},
		"a value PostgreSQL has not":  {matcher.EventSearch{Data: map[string]any{"a": "b\x00"}}, "data.a"},
	} {
		_, err := s.events.Search(s.ctx, tt.q)
		if problem.CodeOf(err) != problem.Invalid || !slices.Equal(paths(err), []string{tt.path}) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// paths are the fields that an error blames.
func paths(err error) (list []string) {
	var p *problem.Error
	if errors.As(err, &p) {
		for _, f := range p.Fields {
			list = append(list, f.Path)
		}
	}
	return list
}

func TestPagesOfASearchMeetEveryEventOnce(t *testing.T) {
	s := openShop(t)
	var want []string
	for i := range 53 {
		product := "kettle"
		if i%3 == 0 {
			product = "lamp"
			want = append(want, fmt.Sprint(i))
		}
		s.happened(opening.Add(time.Duration(i)*7*time.Hour), priceEvent(fmt.Sprint(i), product, 1))
	}
	slices.Reverse(want)
	var got []string
	q := matcher.EventSearch{Type: "price.changed", Data: map[string]any{"product": "lamp"}, Limit: 5}
	for pages := 0; ; pages++ {
		page, err := s.events.Search(s.ctx, q)
		if err != nil || page.Stopped || pages > 10 {
			t.Fatalf("page %d: %+v (%v)", pages, page, err)
		}
		got = append(got, ids(page.Events)...)
		if q.Before = page.Next; page.Next == uuid.Nil {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A search whose time is up says where it stopped, and goes on from there.
func TestASearchThatIsOutOfTimeSaysSo(t *testing.T) {
	s := openShop(t)
	for i := range 3 {
		s.happened(opening.Add(time.Duration(i)*time.Hour), priceEvent(fmt.Sprint(i), "kettle", 1))
	}
	q := matcher.EventSearch{Data: map[string]any{"product": "kettle"}, Budget: time.Nanosecond}
	page, err := s.events.Search(s.ctx, q)
	if err != nil || !page.Stopped || len(page.Events) != 0 || page.Next == uuid.Nil {
		t.Fatalf("in no time: %+v (%v)", page, err)
	}
	q.Before, q.Budget = page.Next, 0
	if page, err = s.events.Search(s.ctx, q); err != nil || len(page.Events) != 3 || page.Next != uuid.Nil {
		t.Errorf("with time: %+v (%v)", page, err)
	}
}
