package mapping_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/collectors/mapping"
	"herald/matcher"
	"herald/xmlform"
)

func prices(eventType string) xmlform.Members {
	if eventType == "price.changed" {
		return xmlform.Members{"price": xmlform.Number, "sale": xmlform.Boolean}
	}
	return nil
}

func TestARowBecomesAnEvent(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	row := map[string]any{
		"no": json.Number("9007199254740993"), "kind": "price.changed", "sku": "kettle", "price": "49.50", "sale": "true",
		"changed": "2026-01-02 11:04:05", "note": "", "stock": json.Number("3"), "old": nil,
	}
	tests := map[string]struct {
		mapping mapping.Mapping
		want    matcher.Event
	}{
		"all but the envelope is data": {
			mapping.Mapping{ID: "no", TypeColumn: "kind", Source: "/shop", Subject: "sku", Time: "changed", Zone: shanghai, Types: prices},
			matcher.Event{
				ID: "9007199254740993", Type: "price.changed", Source: "/shop", Subject: "kettle", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
				Data: map[string]any{"sku": "kettle", "price": 49.5, "sale": true, "stock": 3.0},
			},
		},
		"data has names of its own": {
			mapping.Mapping{Type: "price.changed", SourceColumn: "sku", Data: map[string]string{"product": "sku", "price": "price", "left": "stock", "old": "old"}, Types: prices},
			matcher.Event{ID: "given", Type: "price.changed", Source: "kettle", Data: map[string]any{"product": "kettle", "price": 49.5, "left": 3.0}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, mistakes := tt.mapping.Event(row, "given")
			if diff := cmp.Diff(tt.want, got); diff != "" || mistakes != nil {
				t.Errorf("mistakes %v (-want +got):\n%s", mistakes, diff)
			}
		})
	}
}

func TestTimesAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := mapping.Mapping{Type: "t", Source: "/s", Time: "at"}
	for _, written := range []any{
		"2026-01-02T03:04:05Z", "2026-01-02T11:04:05+08:00", "2026-01-02 03:04:05", "2026-01-02 03:04:05.000000+00", " 2026-01-02T03:04:05 ",
		json.Number("1767323045"), "1767323045", json.Number("1767323045000"),
	} {
		if e, mistakes := m.Event(map[string]any{"at": written}, "1"); !e.Time.Equal(want) || mistakes != nil {
			t.Errorf("%v: %v, %v", written, e.Time, mistakes)
		}
	}
	for _, written := range []any{"soon", "02/01/2026", true, json.Number("1.5")} {
		if _, mistakes := m.Event(map[string]any{"at": written}, "1"); len(mistakes) != 1 || mistakes[0].Path != "at" {
			t.Errorf("%v: %v", written, mistakes)
		}
	}
}

func TestARowThatIsNoEventSaysWhichColumn(t *testing.T) {
	t.Parallel()
	m := mapping.Mapping{ID: "no", TypeColumn: "kind", SourceColumn: "from"}
	_, mistakes := m.Event(map[string]any{"no": []any{"a"}, "kind": nil}, "")
	paths := map[string]bool{}
	for _, f := range mistakes {
		paths[f.Path] = true
	}
	if !paths["no"] || !paths["kind"] || !paths["from"] {
		t.Errorf("mistakes %v", mistakes)
	}
}

func FuzzMapping(f *testing.F) {
	f.Add(`{"no":1,"at":"2026-01-02","price":"49.5","sale":"1"}`)
	f.Add(`{"no":{"a":[1e400]},"at":99999999999999999999,"price":"1e999"}`)
	m := mapping.Mapping{ID: "no", Time: "at", TypeColumn: "kind", Source: "/s", Types: func(string) xmlform.Members {
		return xmlform.Members{"price": xmlform.Number, "sale": xmlform.Boolean}
	}}
	f.Fuzz(func(t *testing.T, text string) {
		var row map[string]any
		if json.Unmarshal([]byte(text), &row) != nil {
			return
		}
		e, mistakes := m.Event(row, "1")
		if _, err := json.Marshal(e.Data); err != nil {
			t.Errorf("data that JSON cannot hold: %v", err)
		}
		if e.ID == "" && len(mistakes) == 0 {
			t.Error("an event without an id, and no mistake")
		}
	})
}
