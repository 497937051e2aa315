package matcher_test

import (
	"context"
	"embed"
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"herald/dispatch"
	"herald/matcher"
	"herald/subscriptions"
)

//go:embed testdata/*.csv
var series embed.FS

// rows are those of a file of testdata, without its heading.
func rows(t testing.TB, file string) [][]string {
	t.Helper()
	f, err := series.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[1:]
}

func number(t testing.TB, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func date(t testing.TB, layout, text string) time.Time {
	t.Helper()
	at, err := time.Parse(layout, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// nobody is told: these tests look at matches.
var nobody = enqueuer(func(context.Context, pgx.Tx, []dispatch.Notification) error { return nil })

// nodes are intakes on one database; the first has an index, the others ask the
// tables.
func (s *shop) nodes(n int) []*matcher.Intake {
	s.Helper()
	list := []*matcher.Intake{s.intake(nobody, matcher.IntakeConfig{Follower: s.follow(), AuditOneIn: 3})}
	for len(list) < n {
		list = append(list, s.intake(nobody, matcher.IntakeConfig{}))
	}
	return list
}

// order takes a subscription of a trigger.
func (s *shop) order(member int64, trigger string, params map[string]any) int64 {
	s.Helper()
	sub, err := s.subscriptions.Create(s.ctx, subscriptions.Order{MemberID: member, Trigger: trigger, Params: params, Origin: "api", Actor: "member"})
	if err != nil {
		s.Fatalf("subscribe to %s: %v", trigger, err)
	}
	return sub.ID
}

// replay sends events in their order, in pieces of any size, each to one node
// and at once or later to the others, together with older ones.
func (s *shop) replay(nodes []*matcher.Intake, random *rand.Rand, events []matcher.Event) {
	s.Helper()
	for from := 0; from < len(events); {
		to := min(len(events), from+1+random.IntN(200))
		piece := events[from:to]
		again := slices.Clone(events[max(0, from-50):to])
		random.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		var group sync.WaitGroup
		first := random.IntN(len(nodes))
		group.Go(func() { s.accept(nodes[first], piece...) })
		other := nodes[(first+1)%len(nodes)]
		group.Go(func() { s.accept(other, piece...) })
		group.Wait()
		s.accept(other, again...)
		from = to
	}
}

// expectMatches compares "subscription event" lines.
func (s *shop) expectMatches(want []string) {
	s.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, s.matched()); diff != "" {
		s.Errorf("matches (-want +got)\n%s", diff)
	}
	if len(want) == 0 {
		s.Error("nothing was expected")
	}
}

func TestFallsOfRealSharePrices(t *testing.T) {
	s := openShop(t)
	if err := s.triggers.LoadStarter(s.ctx); err != nil {
		t.Fatal(err)
	}
	bySymbol := map[string][]matcher.Event{}
	for i, row := range rows(t, "stocks.csv") {
		bySymbol[row[0]] = append(bySymbol[row[0]], matcher.Event{
			ID: fmt.Sprint(i), Source: "/exchange", Type: "price.changed", Time: date(t, "Jan 2 2006", row[1]),
			Data: map[string]any{"product": row[0], "name": row[0], "price": number(t, row[2]), "currency": "USD"},
		})
	}
	wei := s.member("wei")
	var want []string
	for symbol, events := range bySymbol {
		for _, percent := range []float64{1, 2, 5, 10, 20, 33, 50} {
			id := s.order(wei, "price_fall", map[string]any{"product": symbol, "percent": percent})
			for i := 1; i < len(events); i++ {
				before, after := events[i-1].Data["price"].(float64), events[i].Data["price"].(float64)
				if cents(before)*(100-percent) >= cents(after)*100 {
					want = append(want, fmt.Sprintf("%d %s", id, events[i].ID))
				}
			}
		}
	}
	nodes := s.nodes(3)
	var group sync.WaitGroup
	for _, events := range bySymbol {
		random := rand.New(rand.NewPCG(1, uint64(len(events))))
		group.Go(func() { s.replay(nodes, random, events) })
	}
	group.Wait()
	s.expectMatches(want)
}

// cents are exact where a price in binary is not.
func cents(price float64) float64 { return math.Round(price * 100) }

func TestARealIndexCrossesLevels(t *testing.T) {
	s := openShop(t)
	if err := s.triggers.LoadStarter(s.ctx); err != nil {
		t.Fatal(err)
	}
	var events []matcher.Event
	value := func(i int) float64 { return events[i].Data["value"].(float64) }
	for i, row := range rows(t, "sp500.csv") {
		events = append(events, matcher.Event{
			ID: fmt.Sprint(i), Source: "/exchange", Type: "index.changed", Time: date(t, time.DateOnly, row[0]),
			Data: map[string]any{"index": "SPX", "value": number(t, row[1])},
		})
	}
	wei := s.member("wei")
	var want []string
	for level := 700.0; level < 3400; level += 50 {
		id := s.order(wei, "level_crossed", map[string]any{"index": "SPX", "level": level})
		for i := 1; i < len(events); i++ {
			if value(i-1) >= level && value(i) < level {
				want = append(want, fmt.Sprintf("%d %s", id, events[i].ID))
			}
		}
	}
	// Other senders bring old values late: they meet nobody and change nothing.
	var late []matcher.Event
	for i := 0; i < len(events); i += 40 {
		e := events[i]
		e.ID, e.Time, e.Data = "late-"+e.ID, e.Time.AddDate(0, 0, -1), map[string]any{"index": "SPX", "value": 1.0}
		late = append(late, e)
	}
	nodes, random := s.nodes(2), rand.New(rand.NewPCG(2, 2))
	s.accept(nodes[0], events[0])
	for from := 0; from < len(events); from += 1000 {
		s.replay(nodes, random, events[from:min(len(events), from+1000)])
		s.accept(nodes[1], slices.DeleteFunc(slices.Clone(late), func(e matcher.Event) bool { return !e.Time.Before(events[from].Time) })...)
	}
	s.expectMatches(want)
}

// quake is a trigger on earthquakes with one of several conditions.
func quake(name, condition string) subscriptions.Trigger {
	t := priceDrop()
	t.Name, t.EventType, t.Condition, t.Summary = name, "quake", condition, words(name)
	magnitude := attribute("magnitude", "number")
	magnitude.Optional = true
	t.Attributes = []subscriptions.Attribute{attribute("latitude", "number"), attribute("longitude", "number"), magnitude}
	t.Params = nil
	for _, p := range []string{"latitude", "longitude", "km", "from", "to"} {
		optional := param(p, "number")
		optional.Optional = true
		t.Params = append(t.Params, optional)
	}
	return t
}

func TestAWeekOfRealEarthquakes(t *testing.T) {
	s := openShop(t)
	near := s.save(quake("near", "within(event.latitude, event.longitude, param.latitude, param.longitude, param.km) && event.magnitude >= param.from"))
	strong := s.save(quake("strong", "event.magnitude >= param.from"))
	between := s.save(quake("between", "event.magnitude >= param.from && event.magnitude <= param.to"))
	var events []matcher.Event
	for _, row := range rows(t, "earthquakes.csv") {
		data := map[string]any{"latitude": number(t, row[2]), "longitude": number(t, row[3])}
		if row[4] != "" {
			data["magnitude"] = number(t, row[4])
		}
		ms := int64(number(t, row[1]))
		events = append(events, matcher.Event{ID: row[0], Source: "/usgs", Type: "quake", Time: time.UnixMilli(ms), Data: data})
	}
	wei := s.member("wei")
	var want []string
	ask := func(trigger subscriptions.Trigger, params map[string]any, meets func(latitude, longitude, magnitude float64) bool) {
		id := s.order(wei, trigger.Name, params)
		for _, e := range events {
			magnitude, known := e.Data["magnitude"].(float64)
			if known && meets(e.Data["latitude"].(float64), e.Data["longitude"].(float64), magnitude) {
				want = append(want, fmt.Sprintf("%d %s", id, e.ID))
			}
		}
	}
	for _, from := range []float64{-1, 0, 2.5, 4.5, 6, 9} {
		ask(strong, map[string]any{"from": from}, func(_, _, m float64) bool { return m >= from })
		for _, width := range []float64{0, 0.5, 2} {
			ask(between, map[string]any{"from": from, "to": from + width}, func(_, _, m float64) bool { return m >= from && m <= from+width })
		}
	}
	for _, place := range [][2]float64{{37.77, -122.42}, {61.2, -149.9}, {-17.8, -178.1}, {0, 179.999}, {89.9, 0}, {19.4, -155.3}} {
		for _, km := range []float64{0.5, 50, 500, 3000, 19_000} {
			for _, from := range []float64{-5, 3} {
				params := map[string]any{"latitude": place[0], "longitude": place[1], "km": km, "from": from}
				ask(near, params, func(latitude, longitude, m float64) bool {
					return m >= from && kilometres(latitude, longitude, place[0], place[1]) <= km
				})
			}
		}
	}
	random := rand.New(rand.NewPCG(3, 3))
	random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	s.replay(s.nodes(2), random, events)
	s.expectMatches(want)
}

// kilometres is the distance by way of the chord between two places of the unit
// sphere, which is not how predicate finds it.
func kilometres(latitude1, longitude1, latitude2, longitude2 float64) float64 {
	point := func(latitude, longitude float64) [3]float64 {
		φ, λ := latitude*math.Pi/180, longitude*math.Pi/180
		return [3]float64{math.Cos(φ) * math.Cos(λ), math.Cos(φ) * math.Sin(λ), math.Sin(φ)}
	}
	a, b := point(latitude1, longitude1), point(latitude2, longitude2)
	chord := math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2])
	return 2 * 6371.0088 * math.Asin(min(chord/2, 1))
}
