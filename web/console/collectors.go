package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"herald/access"
	"herald/collectors"
	"herald/problem"
	"herald/web/page"
)

// collectorRoutes are the pages of what fetches events from elsewhere.
func (c console) collectorRoutes(operator, admin func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	if c.Collectors == nil {
		return nil
	}
	export := operator("GET /console/collectors/{name}/dead-letters.ndjson", c.lettersFile)
	export.Live = true // it takes as long as there are letters
	return []page.Route{
		operator("GET /console/collectors", c.collectors),
		operator("GET /console/collectors/{name}", c.collector),
		export,
		operator("POST /console/collectors/{name}/again", c.tryLetters),
		operator("POST /console/collectors/{name}/discard", c.discardLetters),
		admin("POST /console/collectors/{name}/forget", c.forgetCollector),
	}
}

// collectorLine is a collector and, in a word, how it is.
type collectorLine struct {
	collectors.State
	Is string // failing, running, resting or stopped
}

// Left is what waits outside, where that is known.
func (l collectorLine) Left() int64 { return *l.Waiting }

func lineOf(s collectors.State) collectorLine {
	switch {
	case s.Holder == "":
		return collectorLine{s, "stopped"}
	case s.FailingSince != nil:
		return collectorLine{s, "failing"}
	case s.NextAt != nil:
		return collectorLine{s, "resting"}
	}
	return collectorLine{s, "running"}
}

type collectorsData struct {
	Collectors []collectorLine
	Failing    int
	Letters    int64
}

func (c console) collectors(v *page.Visit, _ access.Operator) error {
	list, err := c.Collectors.List(v.Context())
	if err != nil {
		return err
	}
	var data collectorsData
	for _, s := range list {
		line := lineOf(s)
		data.Collectors = append(data.Collectors, line)
		data.Letters += s.DeadLetters
		if line.Is == "failing" {
			data.Failing++
		}
	}
	return v.Show("collectors", data)
}

// letterLine is a dead letter as a list shows it: Text is the beginning of the
// original, and Rest what is left when that is long.
type letterLine struct {
	collectors.Letter
	Text, Rest string
}

type collectorData struct {
	Collector collectorLine
	Letters   []letterLine
	Here      string
	Older     string // the address of the next page; empty on the last
	First     string // of the first, when this is another
	Newest    int64  // the id of the newest letter that is shown
	CanForget bool
}

const (
	lettersPerPage  = 20
	letterBeginning = 400 // characters
)

func collectorPath(name string) string { return Base + "/collectors/" + name }

func (c console) collector(v *page.Visit, o access.Operator) error {
	name := v.R.PathValue("name")
	state, err := c.Collectors.Get(v.Context(), name)
	if err != nil {
		return err
	}
	data := collectorData{Collector: lineOf(state), Here: collectorPath(name)}
	data.CanForget = data.Collector.Is == "stopped" && o.Role.Includes(access.AdminRole)
	filter := collectors.LetterFilter{Collector: name, Limit: lettersPerPage + 1}
	if before := v.R.URL.Query().Get("before"); before != "" {
		if filter.Before, err = strconv.ParseInt(before, 10, 64); err != nil || filter.Before < 1 {
			return missing("page")
		}
		data.First, data.Here = data.Here, data.Here+"?before="+before
	}
	letters, err := c.Collectors.Letters(v.Context(), filter)
	if err != nil {
		return err
	}
	if len(letters) > lettersPerPage {
		letters = letters[:lettersPerPage]
		data.Older = collectorPath(name) + "?before=" + strconv.FormatInt(letters[lettersPerPage-1].ID, 10)
	}
	for _, l := range letters {
		data.Newest = max(data.Newest, l.ID)
		data.Letters = append(data.Letters, letterLineOf(l))
	}
	return v.Show("collector", data)
}

func letterLineOf(l collectors.Letter) letterLine {
	text := []rune(readable(l.Original))
	beginning := min(len(text), letterBeginning)
	return letterLine{l, string(text[:beginning]), string(text[beginning:])}
}

// readable is an original as text.
func readable(original []byte) string {
	if !utf8.Valid(original) {
		return strings.ToValidUTF8(string(original), "\uFFFD")
	}
	return string(original)
}

// letterID is the letter of a form; 0: all of them.
func letterID(form *page.Form) (int64, error) {
	if form.Get("letter") == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(form.Get("letter"), 10, 64)
	if err != nil || id < 1 {
		return 0, missing("dead letter")
	}
	return id, nil
}

func (c console) tryLetters(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	id, err := letterID(form)
	if err != nil {
		return err
	}
	n, err := c.Collectors.Again(v.Context(), v.R.PathValue("name"), id, actor(o))
	if err != nil {
		return err
	}
	v.Say("collectors.again.done", "count", n)
	return goBack(v, form)
}

// discardLetters throws one letter away, or all up to the newest that was shown.
func (c console) discardLetters(v *page.Visit, _ access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	id, err := letterID(form)
	if err != nil {
		return err
	}
	var upTo int64
	if id == 0 {
		if upTo, err = strconv.ParseInt(form.Get("up_to"), 10, 64); err != nil || upTo < 1 {
			return problem.New(problem.Invalid, "up_to must be a dead letter that was shown")
		}
	}
	n, err := c.Collectors.Discard(v.Context(), v.R.PathValue("name"), id, upTo)
	if err != nil {
		return err
	}
	v.Say("collectors.discard.done", "count", n)
	return goBack(v, form)
}

func (c console) forgetCollector(v *page.Visit, _ access.Operator) error {
	name := v.R.PathValue("name")
	err := c.Collectors.Forget(v.Context(), name)
	if problem.CodeOf(err) == problem.Conflict {
		v.Tell(page.Flash{Text: v.T("collectors.forget.runs"), Bad: true})
		return v.Go(collectorPath(name))
	}
	if err != nil {
		return err
	}
	v.Say("collectors.forget.done", "name", name)
	return v.Go(Base + "/collectors")
}

// letterRecord is a line of the file of dead letters.
type letterRecord struct {
	ID       int64     `json:"id"`
	At       time.Time `json:"at"`
	Place    string    `json:"place"`
	Reason   string    `json:"reason"`
	Tries    int       `json:"tries"`
	Original string    `json:"original"`
	Cut      bool      `json:"cut,omitempty"`
}

// lettersFile streams a collector's dead letters, the newest first, a JSON
// object a line. Once it has begun, a failure can only be told by breaking it off.
func (c console) lettersFile(v *page.Visit, _ access.Operator) error {
	name := v.R.PathValue("name")
	if _, err := c.Collectors.Get(v.Context(), name); err != nil {
		return err
	}
	filter := collectors.LetterFilter{Collector: name, Limit: exportBatch}
	letters, err := c.Collectors.Letters(v.Context(), filter)
	if err != nil {
		return err
	}
	h := v.W.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-dead-letters.ndjson"`, name))
	out := json.NewEncoder(v.W)
	for {
		for _, l := range letters {
			if out.Encode(letterRecord{l.ID, l.At.UTC(), l.Place, l.Reason, l.Tries, readable(l.Original), l.Cut}) != nil {
				return nil // the reader has gone
			}
		}
		if len(letters) < exportBatch {
			return nil
		}
		filter.Before = letters[len(letters)-1].ID
		if letters, err = c.Collectors.Letters(v.Context(), filter); err != nil {
			if v.Context().Err() == nil {
				c.Logger.ErrorContext(v.Context(), "an export broke off", "request", v.RequestID, "error", err)
			}
			panic(http.ErrAbortHandler)
		}
	}
}
