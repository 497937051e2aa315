package templates

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The messages that Herald brings: one file a locale, and the page they share.
//
//go:embed starter
var starterFiles embed.FS

// starterLocale is one file of starter messages.
type starterLocale struct {
	Locale      string
	Brand       string // above the message
	Alerts      string // the words of the link to the member's alerts
	Unsubscribe string // the words of the link that stops the alert
	Why         string // why the member gets this
	Call        starterCall
	Fax         starterFax
	Phrases     map[string]string
	Messages    map[string]starterMessage
}

// starterCall is what all calls of a locale say: whose call it is, the
// questions, and what follows on each answer.
type starterCall struct {
	Hello                       string
	Confirm, Repeat, Stop       string
	Between                     string // between the questions
	Confirmed, Stopped, Goodbye string
}

// starterFax is what all faxes of a locale have.
type starterFax struct {
	Facts string // above the facts
	Colon string // between a link's words and its address
}

// starterMessage is one message; every text is Liquid. One without a subject
// is an SMS only.
type starterMessage struct {
	Subject string
	Lead    string // the one sentence that says it
	Code    string // set large
	Text    string
	Facts   []starterFact
	Items   bool   // a digest: its items follow
	Stop    string // instead of the file's words for the link that stops it
	Button  string
	Link    string   // where the button leads; empty: links.delivery
	Why     string   // instead of the file's
	Own     bool     // Herald's own message: no alert to see or to stop
	Always  bool     // of an alert, but sent of Herald's own accord, whatever the triggers are
	Spoken  []string `yaml:"call"` // what a call says; none: the lead and the text
	SMS     string
	// Transactional messages tell of what the member is doing: their calls
	// offer no end to such calls.
	Transactional bool
}

type starterFact struct {
	Label, Value string
	If           string // shown only when this is not empty
}

// LoadStarter saves the starter templates when there are no templates at all.
// Otherwise a newer Herald may have more to say, and those are saved that are
// of a name which there is none of and which Herald sends of its own accord,
// and the channels that a message of its own lacks in a language. What
// the house has worded stays as it is, and a message that it made itself under
// a starter's name is not touched. Several nodes may do so at once.
func (s *Store) LoadStarter(ctx context.Context) error {
	starters, own, err := starterTemplates()
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('starter templates', 0))`); err != nil {
			return err
		}
		there, err := readShelf(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range starters {
			if !there.lacks(t, own[t.Name]) {
				continue
			}
			t.SavedAt = s.now()
			if _, err := check(ctx, &t); err != nil {
				return fmt.Errorf("%s %s %s: %w", t.Name, t.Channel, t.Locale, err)
			}
			if err := saveTx(ctx, tx, &t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load starter templates: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.kept)
	return nil
}

// shelf is which templates there are.
type shelf struct {
	names map[string]bool
	keys  map[key]bool
	ours  map[key]bool // names and locales that Herald brought something of
}

// starterAuthor is who has saved the starter templates.
const starterAuthor = "herald"

func readShelf(ctx context.Context, tx pgx.Tx) (shelf, error) {
	there := shelf{map[string]bool{}, map[key]bool{}, map[key]bool{}}
	rows, err := tx.Query(ctx, `
		SELECT   name, channel, locale, bool_or(saved_by = $1)
		FROM     templates
		GROUP BY name, channel, locale`, starterAuthor)
	if err != nil {
		return there, err
	}
	var k key
	var ours bool
	_, err = pgx.ForEachRow(rows, []any{&k.name, &k.channel, &k.locale, &ours}, func() error {
		there.names[k.name] = true
		there.keys[k] = true
		if ours {
			there.ours[key{name: k.name, locale: k.locale}] = true
		}
		return nil
	})
	return there, err
}

// lacks reports whether a starter is to be brought; own: Herald sends it of
// its own accord.
func (s shelf) lacks(t Template, own bool) bool {
	switch {
	case len(s.names) == 0:
		return true
	case s.keys[key{t.Name, t.Channel, t.Locale}]:
		return false
	case !s.names[t.Name]:
		return own
	}
	return s.ours[key{name: t.Name, locale: t.Locale}]
}
