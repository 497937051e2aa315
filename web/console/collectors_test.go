package console_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"herald/collectors"
	"herald/e2e/peers"
)

// things are a source of things that are no events.
type things struct{ n int }

func (s things) Collect(ctx context.Context, turn *collectors.Turn) error {
	at := 0
	if err := turn.Position(&at); err != nil {
		return err
	}
	var items []collectors.Item
	for ; at < s.n; at++ {
		items = append(items, collectors.Item{
			Err: errors.New("a price is missing"), Original: fmt.Appendf(nil, "<thing %d>", at), Key: fmt.Sprint(at), Place: fmt.Sprintf("things.csv:%d", at),
		})
	}
	turn.Waiting(4321)
	if err := turn.Take(ctx, items, at); err != nil {
		return err
	}
	return errors.New("connection refused")
}

func (things) Reread(context.Context, string, []byte) (collectors.Item, error) {
	return collectors.Item{}, errors.New("still missing")
}

func (things) Check(context.Context) error { return nil }

// collect runs a collector of so many things until its run has failed.
func (s *stand) collect(name string, n int) (stop func()) {
	s.t.Helper()
	r := collectors.NewRunner(collectors.Config{
		Store: s.Collectors, Intake: s.intake, Node: "node-1", Now: time.Now, Logger: slog.New(slog.DiscardHandler), FirstRetry: time.Hour, LookAgain: 10 * time.Millisecond,
		Collectors: []collectors.Collector{{Name: name, Kind: collectors.Folder, Schedule: collectors.Every(time.Hour), AtOnce: true, Source: things{n}}},
	})
	must(s.t, r.Register(s.t.Context()))
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { r.Run(ctx) })
	stop = func() {
		cancel()
		done.Wait()
	}
	s.t.Cleanup(stop)
	s.untilCollector(name, func(state collectors.State) bool { return state.FailingSince != nil })
	return stop
}

func (s *stand) untilCollector(name string, is func(collectors.State) bool) {
	s.t.Helper()
	limit := time.After(peers.Patience)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		state, err := s.Collectors.Get(s.t.Context(), name)
		must(s.t, err)
		if is(state) {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			s.t.Fatalf("waited in vain; it is %+v", state)
		}
	}
}

func TestCollectorsShowHowTheyAreAndWhatTheyCouldNotTake(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	v := s.signedIn("bob")
	v.get("/console/collectors").is(http.StatusOK).has("Nothing is collected yet", `aria-current="page"`)
	s.collect("stock", 25)
	v.get("/console/collectors").is(http.StatusOK).has("1 collector fails", `href="/console/collectors/stock"`, "folder", "25", "4,321")
	a := v.get("/console/collectors/stock").is(http.StatusOK)
	a.has("connection refused", "things.csv:24", "a price is missing", "&lt;thing 24&gt;", "node-1", "?before=", "Try all again").lacks("things.csv:4<", "Forget this collector")
	v.get("/console/collectors/nobody").is(http.StatusNotFound)
	v.get("/console/collectors/stock?before=x").is(http.StatusNotFound)
	file := v.get("/console/collectors/stock/dead-letters.ndjson").is(http.StatusOK)
	file.has(`"place":"things.csv:0","reason":"a price is missing","tries":0,"original":"\u003cthing 0\u003e"`)
	v.get("/console/collectors?lang=zh-CN").is(http.StatusOK)
}

func TestDeadLettersAreTriedAgainAndThrownAwayByHand(t *testing.T) {
	t.Parallel()
	s := newStand(t)
	stop := s.collect("stock", 3)
	v := s.signedIn("ann")
	letters, err := s.Collectors.Letters(t.Context(), collectors.LetterFilter{Collector: "stock", Limit: 10})
	must(t, err)
	first, at := fmt.Sprint(letters[2].ID), "/console/collectors/stock"
	v.post("/console/collectors/stock/again", url.Values{"letter": {first}, "back": {at}}).is(http.StatusOK).has("1 dead letter is being tried again")
	s.untilLetters(func(left []collectors.Letter) bool { return len(left) == 3 && left[2].Tries == 1 })
	v.get("/console/collectors/stock").has("still missing", "tried again once")
	v.post("/console/collectors/stock/discard", url.Values{"letter": {first}, "back": {at}}).is(http.StatusOK).has("1 dead letter was thrown away")
	v.post("/console/collectors/stock/discard", url.Values{"letter": {first}, "back": {at}}).is(http.StatusNotFound)
	v.post("/console/collectors/stock/discard", url.Values{"letter": {"x"}}).is(http.StatusNotFound)
	v.post("/console/collectors/stock/discard", nil).is(http.StatusUnprocessableEntity)
	v.post("/console/collectors/stock/discard", url.Values{"up_to": {fmt.Sprint(letters[0].ID)}, "back": {at}}).is(http.StatusOK).
		has("2 dead letters were thrown away", "Everything that was found could be taken")
	v.post("/console/collectors/stock/forget", nil).has("A node runs this collector")
	stop()
	v.get("/console/collectors/stock").has("not run by any node", "Forget this collector")
	s.signedIn("bob").post("/console/collectors/stock/forget", nil).is(http.StatusForbidden)
	v.post("/console/collectors/stock/forget", nil).is(http.StatusOK).has("The collector stock is forgotten", "Nothing is collected yet")
}

func (s *stand) untilLetters(is func([]collectors.Letter) bool) {
	s.t.Helper()
	s.untilCollector("stock", func(collectors.State) bool {
		left, err := s.Collectors.Letters(s.t.Context(), collectors.LetterFilter{Collector: "stock", Limit: 10})
		must(s.t, err)
		return is(left)
	})
}
