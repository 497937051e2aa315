package console

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"herald/access"
	"herald/dispatch/replies"
	"herald/problem"
	"herald/web/page"
)

// replyRoutes are the pages of what members write back.
func (c console) replyRoutes(operator func(string, func(*page.Visit, access.Operator) error) page.Route) []page.Route {
	if c.Replies == nil {
		return nil
	}
	export := operator("GET /console/replies.csv", c.repliesCSV)
	export.Live = true // it takes as long as there are replies
	return []page.Route{
		operator("GET /console/replies", c.replies),
		export,
		operator("POST /console/replies/read", c.readReplies),
		operator("POST /console/replies/{id}/read", c.readReply),
	}
}

// repliesData is a page of the inbox and the search that found it.
type repliesData struct {
	Form     *page.Form // address
	Found    []replyLine
	Unread   int
	Many     bool // there are more unread than are counted
	New      bool // only what nobody has read
	Keywords bool // also what was nothing but a keyword
	Narrowed bool
	Here     string // the address of this page
	Next     string // of the next one; empty on the last
	First    string // of the first, when this is another
	CSV      string
	// The addresses of this search with the switches turned.
	TurnNew, TurnKeywords string
}

// replyLine is a reply as a list shows it: Text is its beginning, and Rest what
// is left when that is long. Answers is the delivery that it probably answers;
// empty: none that we know.
type replyLine struct {
	replies.Reply
	Text, Rest string
	Answers    string
}

const (
	repliesPerPage = 50
	replyBeginning = 400 // characters
)

func replyLines(found []replies.Reply) []replyLine {
	lines := make([]replyLine, len(found))
	for i, r := range found {
		lines[i] = replyLine{Reply: r, Text: r.Text}
		if text := []rune(r.Text); len(text) > replyBeginning {
			lines[i].Text, lines[i].Rest = string(text[:replyBeginning]), string(text[replyBeginning:])
		}
		if r.DeliveryID != uuid.Nil {
			lines[i].Answers = r.DeliveryID.String()
		}
	}
	return lines
}

func (c console) replies(v *page.Visit, _ access.Operator) error {
	query := v.R.URL.Query()
	filter, err := replyFilter(query)
	if err != nil {
		return err
	}
	filter.Limit = repliesPerPage + 1
	found, err := c.Replies.Find(v.Context(), filter)
	if err != nil {
		return err
	}
	data := repliesData{
		Form: v.NewForm(query), New: filter.Unread, Keywords: filter.All, Narrowed: filter.Unread || filter.All || filter.From != "",
		Here: replyPage(query, "before", query.Get("before")), CSV: Base + "/replies.csv?" + replySearch(query).Encode(),
		TurnNew: turned(query, "new"), TurnKeywords: turned(query, "keywords"),
	}
	if filter.Before != 0 {
		data.First = replyPage(query, "before", "")
	}
	if len(found) > repliesPerPage {
		found = found[:repliesPerPage]
		data.Next = replyPage(query, "before", strconv.FormatInt(found[repliesPerPage-1].ID, 10))
	}
	data.Found = replyLines(found)
	if data.Unread, err = c.Replies.Unread(v.Context()); err != nil {
		return err
	}
	data.Many = data.Unread >= replies.UnreadMost
	return v.Show("replies", data)
}

// replySearch are the filters of a query, without the place in the list.
func replySearch(query url.Values) url.Values {
	kept := url.Values{}
	for _, name := range []string{"address", "new", "keywords"} {
		if value := query.Get(name); value != "" {
			kept.Set(name, value)
		}
	}
	return kept
}

// replyPage is the address of a search with one more value; an empty one takes
// it away.
func replyPage(query url.Values, name, value string) string {
	kept := replySearch(query)
	if kept.Set(name, value); value == "" {
		kept.Del(name)
	}
	if len(kept) == 0 {
		return Base + "/replies"
	}
	return Base + "/replies?" + kept.Encode()
}

// turned is the address of a search with a switch turned.
func turned(query url.Values, name string) string {
	if query.Get(name) != "" {
		return replyPage(query, name, "")
	}
	return replyPage(query, name, "1")
}

func replyFilter(query url.Values) (replies.Filter, error) {
	f := replies.Filter{Unread: query.Get("new") != "", All: query.Get("keywords") != "", From: soughtAddress(query.Get("address"))}
	if before := query.Get("before"); before != "" {
		id, err := strconv.ParseInt(before, 10, 64)
		if err != nil || id < 1 {
			return f, missing("page")
		}
		f.Before = id
	}
	return f, nil
}

// readReply marks a reply as read, or as unread again.
func (c console) readReply(v *page.Visit, o access.Operator) error {
	id, err := strconv.ParseInt(v.R.PathValue("id"), 10, 64)
	if err != nil {
		return missing("reply")
	}
	form, err := v.Form()
	if err != nil {
		return err
	}
	read := form.Get("read") == "true"
	if _, err := c.Replies.Mark(v.Context(), id, read, actor(o)); err != nil {
		return err
	}
	if read {
		v.Say("replies.marked_read")
	} else {
		v.Say("replies.marked_unread")
	}
	return goBack(v, form)
}

// readReplies marks the inbox as read up to the reply that was the newest when
// the page was shown.
func (c console) readReplies(v *page.Visit, o access.Operator) error {
	form, err := v.Form()
	if err != nil {
		return err
	}
	upTo, err := strconv.ParseInt(form.Get("up_to"), 10, 64)
	if err != nil || upTo < 1 {
		return problem.New(problem.Invalid, "up_to must be a reply that was shown")
	}
	n, err := c.Replies.MarkAll(v.Context(), upTo, actor(o))
	if err != nil {
		return err
	}
	v.Say("replies.read_all.done", "count", n)
	return goBack(v, form)
}

var replyHeader = []string{
	"id", "sent", "taken", "member", "from", "account", "to", "channel", "kind", "done", "answer", "text", "delivery_id", "read", "read_by",
}

// repliesCSV streams all that the search finds, newest first; times are in
// UTC. Once it has begun, a failure can only be told by breaking it off.
func (c console) repliesCSV(v *page.Visit, _ access.Operator) error {
	filter, err := replyFilter(v.R.URL.Query())
	if err != nil {
		return err
	}
	filter.Limit = exportBatch
	found, err := c.Replies.Find(v.Context(), filter)
	if err != nil {
		return err
	}
	h := v.W.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="replies-%s.csv"`, c.Now().In(v.Zone).Format(time.DateOnly)))
	out := csv.NewWriter(v.W)
	_ = out.Write(replyHeader) // Error tells of every write
	for {
		for _, r := range found {
			_ = out.Write(replyCells(r))
		}
		if out.Flush(); out.Error() != nil || len(found) < exportBatch {
			return nil // it is complete, or the reader has gone
		}
		filter.Before = found[len(found)-1].ID
		if found, err = c.Replies.Find(v.Context(), filter); err != nil {
			if v.Context().Err() == nil {
				c.Logger.ErrorContext(v.Context(), "an export broke off", "request", v.RequestID, "error", err)
			}
			panic(http.ErrAbortHandler)
		}
	}
}

func replyCells(r replies.Reply) []string {
	delivery, read := "", ""
	if r.DeliveryID != uuid.Nil {
		delivery = r.DeliveryID.String()
	}
	if r.ReadAt != nil {
		read = r.ReadAt.Format(time.RFC3339)
	}
	return []string{
		strconv.FormatInt(r.ID, 10), r.SentAt.Format(time.RFC3339), r.TakenAt.Format(time.RFC3339), cell(r.Member), cell(r.From),
		cell(r.Account), cell(r.To), string(r.Channel), string(r.Kind), string(r.Done), string(r.Answer), cell(r.Text), delivery, read, cell(r.ReadBy),
	}
}
