package script

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

const (
	verbs       = "say, play, pause, gather, record, transfer, confirm, stop, repeat or hang_up"
	gatherKeys  = "say, play, wait, tries, choices and otherwise"
	recordKeys  = "ask and yes"
	defaultWait = 5 * time.Second
	defaultTry  = 2
	maxPause    = 10 * time.Second
	maxWait     = 30 * time.Second
	maxTries    = 5
)

// soundName is a file of the folder of sounds and of no other.
var soundName = regexp.MustCompile(`^[\p{L}\p{N}_][\p{L}\p{N}_. -]{0,98}\.(wav|WAV)$`)

// step reads one step: a mapping with one verb.
func (r *reader) step(node ast.Node, path string, in scope) Step {
	entries, ok := r.mapping(node, path, "one of "+verbs)
	if !ok {
		return Step{}
	}
	if len(entries) != 1 {
		r.wrong(lineOf(node), path, "one_verb", "a step is one of %s: begin each with a - of its own", verbs)
		return Step{}
	}
	e := entries[0]
	at := inside(path, e.key)
	switch e.key {
	case "say":
		return Step{Say: r.text(e.value, at)}
	case "play":
		return Step{Play: r.sound(e.value, at)}
	case "pause":
		return Step{Pause: r.length(e.value, at, maxPause)}
	}
	if in.machine {
		r.wrong(e.line, at, "machine", "a message for machines is made of say, play and pause: nobody is there for %s", short(e.key))
		return Step{}
	}
	switch e.key {
	case "gather":
		return Step{Gather: r.gather(e.value, at, in)}
	case "record":
		return Step{Record: r.record(e.value, at)}
	case "transfer":
		number, _ := r.word(e.value, at)
		r.checkText(e.value, at, number)
		return Step{Transfer: &number}
	case "confirm":
		return Step{Confirm: r.pressed(e, at, in)}
	case "stop":
		return Step{Stop: r.pressed(e, at, in)}
	case "repeat":
		return Step{Repeat: r.pressed(e, at, in)}
	case "hang_up":
		return Step{HangUp: r.yes(e.value, at)}
	}
	r.unknown(e, path, verbs)
	return Step{}
}

// text reads a text that is not empty.
func (r *reader) text(node ast.Node, path string) string {
	text, ok := r.word(node, path)
	if !ok {
		return ""
	}
	if strings.TrimSpace(text) == "" {
		r.wrong(lineOf(node), path, "required", "write what is said")
	}
	r.checkText(node, path, text)
	return text
}

// checkText bounds a text and remembers where its first line stands.
func (r *reader) checkText(node ast.Node, path, text string) {
	if n := utf8.RuneCountInString(text); n > maxText {
		r.wrong(lineOf(node), path, "max_len", "the text has %d characters, at most %d are said in one step: cut it, or begin another step", n, maxText)
	}
	line := lineOf(node)
	if _, isBlock := node.(*ast.LiteralNode); isBlock {
		line++ // below the | or >
	}
	r.script.lines[path] = line
}

func (r *reader) sound(node ast.Node, path string) string {
	name, ok := r.word(node, path)
	if ok && !soundName.MatchString(name) {
		r.wrong(lineOf(node), path, "format", "name a recording of the account's folder of sounds, such as chime.wav, without any folder")
	}
	return name
}

// length reads a span of time above nothing.
func (r *reader) length(node ast.Node, path string, most time.Duration) time.Duration {
	word, ok := r.word(node, path)
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(word)
	if err != nil || d <= 0 || d > most {
		r.wrong(lineOf(node), path, "duration", "write a time with its unit, such as 500ms or 2s, of at most %s", most)
		return 0
	}
	return d
}

// pressed reads what only somebody who pressed a digit may bring about.
func (r *reader) pressed(e entry, path string, in scope) bool {
	if !in.pressed {
		r.wrong(e.line, path, "choice", "%s stands in a choice of gather, for somebody must have pressed a digit for it", e.key)
	}
	return r.yes(e.value, path)
}

func (r *reader) yes(node ast.Node, path string) bool {
	b, ok := node.(*ast.BoolNode)
	if !ok || !b.Value {
		r.wrong(lineOf(node), path, "true", "write true here, or remove the step")
		return false
	}
	return true
}

func (r *reader) gather(node ast.Node, path string, in scope) *Gather {
	g := &Gather{Wait: defaultWait, Tries: defaultTry}
	entries, ok := r.mapping(node, path, gatherKeys)
	if !ok {
		return g
	}
	within := scope{depth: in.depth + 1, pressed: in.pressed}
	asked := false
	for _, e := range entries {
		at := inside(path, e.key)
		switch e.key {
		case "say":
			g.Say = r.text(e.value, at)
		case "play":
			g.Play = r.sound(e.value, at)
		case "wait":
			g.Wait = r.length(e.value, at, maxWait)
		case "tries":
			g.Tries = r.tries(e.value, at)
		case "choices":
			asked = true
			g.Choices = r.choices(e.value, at, within)
		case "otherwise":
			g.Otherwise = r.list(e.value, at, within)
		default:
			r.unknown(e, path, gatherKeys)
		}
	}
	if !asked {
		r.wrong(lineOf(node), inside(path, "choices"), "required", `say what each digit does, such as "choices: {1: [{confirm: true}]}"`)
	}
	return g
}

func (r *reader) tries(node ast.Node, path string) int {
	word, ok := r.word(node, path)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(word)
	if err != nil || n < 1 || n > maxTries {
		r.wrong(lineOf(node), path, "range", "write how often it is asked, from 1 to %d", maxTries)
		return 0
	}
	return n
}

func (r *reader) choices(node ast.Node, path string, within scope) []Choice {
	entries, ok := r.mapping(node, path, "digits")
	if ok && len(entries) == 0 {
		r.wrong(lineOf(node), path, "required", `say what each digit does, such as "choices: {1: [{confirm: true}]}"`)
	}
	within.pressed = true
	var all []Choice
	for _, e := range entries {
		at := inside(path, short(e.key))
		digit, ok := digitOf(e.key)
		if !ok {
			r.wrong(e.line, at, "digit", `%q is no key of a telephone: write one of 0 to 9, "*" or "#"`, short(e.key))
		}
		all = append(all, Choice{digit, r.list(e.value, at, within)})
	}
	slices.SortFunc(all, func(a, b Choice) int { return cmp.Compare(a.Digit, b.Digit) })
	return all
}

// digitOf is the one key of a telephone that a word names.
func digitOf(word string) (rune, bool) {
	if len(word) != 1 || !strings.Contains("0123456789*#", word) {
		return 0, false
	}
	return rune(word[0]), true
}

func (r *reader) record(node ast.Node, path string) *Record {
	c := &Record{}
	entries, ok := r.mapping(node, path, recordKeys)
	if !ok {
		return c
	}
	for _, e := range entries {
		at := inside(path, e.key)
		switch e.key {
		case "ask":
			c.Ask = r.text(e.value, at)
		case "yes":
			word, ok := r.word(e.value, at)
			if !ok {
				continue
			}
			if c.Yes, ok = digitOf(word); !ok {
				r.wrong(e.line, at, "digit", `%q is no key of a telephone: write one of 0 to 9, "*" or "#"`, short(word))
			}
		default:
			r.unknown(e, path, recordKeys)
		}
	}
	if c.Ask == "" || c.Yes == 0 {
		r.wrong(lineOf(node), path, "required", `write the question and the digit that consents, such as "record: {ask: Press 1 if we may record this call., yes: 1}"`)
	}
	return c
}
