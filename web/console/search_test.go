package console_test

import (
	"encoding/csv"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
)

func TestFiltersNarrowTheSearch(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	day := s.delivered("fine", "refused")[0].CreatedAt.UTC()
	v := s.signedIn("ann")
	today, tomorrow := day.Format(time.DateOnly), day.AddDate(0, 0, 1).Format(time.DateOnly)
	for query, want := range map[string][]string{
		"":                                {"fine", "refused"},
		"state=failed":                    {"refused"},
		"state=pending":                   nil,
		"member=FINE":                     {"fine"},
		"member=nobody":                   nil,
		"address=+fine@Example.COM+":      {"fine"},
		"trigger=price_drop":              {"fine", "refused"},
		"trigger=low_balance":             nil,
		"channel=email&state=accepted":    {"fine"},
		"channel=fax":                     nil,
		"since=" + today:                  {"fine", "refused"},
		"since=" + tomorrow:               nil,
		"until=" + today:                  {"fine", "refused"},
		"since=2020-01-01&until=" + today: {"fine", "refused"},
	} {
		a := v.get("/console/deliveries?" + query).is(http.StatusOK)
		for _, account := range []string{"fine", "refused"} {
			if shown := strings.Contains(a.body, ">"+account+"</a>"); shown != slices.Contains(want, account) {
				t.Errorf("%q shows %s: %v", query, account, shown)
			}
		}
		if len(want) == 0 {
			a.has("No delivery fits this search", "Clear the search")
		}
	}
}

func TestAnEmptyListSaysHowToBegin(t *testing.T) {
	t.Parallel()
	v := newStand(t).signedIn("ann")
	v.get("/console/deliveries").is(http.StatusOK).has("Nothing has been sent yet", `href="/console/triggers"`).lacks("deliveries.csv")
	v.get("/console").is(http.StatusOK).has("No notification was decided today", "No node hands messages over")
	v.get("/console/members").has("herald import members")
}

func TestASearchThatCannotBeKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	v := newStand(t).signedIn("ann")
	for query, want := range map[string]string{
		"member=wei&since=yesterday":                   "Please enter a date",
		"member=wei&until=2026-02-30":                  "Please enter a date",
		"member=wei&state=lost":                        "Please choose from the list",
		"member=wei&channel=pigeon":                    "Please choose from the list",
		"member=wei&trigger=nosuch":                    "Please choose from the list",
		"member=wei&since=2026-03-02&until=2026-03-01": "Please choose a later moment",
	} {
		v.get("/console/deliveries?"+query).is(http.StatusUnprocessableEntity).has(want, `value="wei"`, `aria-invalid="true"`)
		v.get("/console/deliveries.csv?" + query).is(http.StatusUnprocessableEntity)
	}
	for _, path := range []string{
		"/console/deliveries?before=x", "/console/deliveries/x", "/console/deliveries/" + uuid.NewString(), "/console/triggers/nosuch", "/console/nothing",
	} {
		v.get(path).is(http.StatusNotFound).has("There is nothing here")
	}
}

func TestTheExportHasEveryDeliveryOnce(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	s.subscribe(s.member("wei", "").ID, "4411")
	const many = 520 // more than one batch
	s.prices(many, "4411", "Baby stroller Lite")
	_, err := s.pool.Exec(t.Context(), `UPDATE deliveries SET account = '=1+1', provider_id = '+cmd|x', address = '+8613800138000'`)
	must(t, err)
	a := s.signedIn("ann").get("/console/deliveries.csv?member=wei").is(http.StatusOK)
	if got := a.header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment") {
		t.Errorf("disposition %q", got)
	}
	lines, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	must(t, err)
	seen := map[string]bool{}
	for _, line := range lines[1:] {
		seen[line[0]] = true
	}
	if len(lines) != many+1 || len(seen) != many {
		t.Errorf("%d lines with %d deliveries, want %d", len(lines), len(seen), many)
	}
	first := lines[1]
	if first[5] != "+8613800138000" || first[10] != "'=1+1" || first[11] != "'+cmd|x" || first[6] != string(dispatch.Pending) {
		t.Errorf("line %q", first)
	}
	pages := s.signedIn("bob").get("/console/deliveries")
	if next := pages.link("next"); !strings.Contains(next, "before=") {
		t.Errorf("the next page is %s", next)
	}
}
