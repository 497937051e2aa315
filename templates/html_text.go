package templates

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// textOf makes the plain text part from the HTML one: paragraphs stand apart,
// a table has a line for each row, and a link its address behind it. What a
// reader of the HTML does not see (styles, scripts, hidden elements) is left
// out. Any input gives some text; it is read once, from front to back.
func textOf(source string) string {
	w := textWriter{}
	tokens := html.NewTokenizer(strings.NewReader(source))
	for {
		switch tokens.Next() {
		case html.ErrorToken: // the end: a reader of a string has no other error
			return tidyText(cellsApart(w.b.String()))
		case html.TextToken:
			w.text(string(tokens.Text()))
		case html.StartTagToken:
			w.start(tokens.Token())
		case html.SelfClosingTagToken:
			tag := tokens.Token()
			w.start(tag)
			if !voidElements[tag.DataAtom] {
				w.end(tag)
			}
		case html.EndTagToken:
			w.end(tokens.Token())
		}
	}
}

// textWriter builds the text of the part of a page that it has been shown.
type textWriter struct {
	b      strings.Builder
	hidden []atom.Atom // the open elements within the outermost hidden one, itself included
	space  bool        // white space was seen that is not written yet
	links  []link      // the open ones
}

// link is an address and where its words begin in the text.
type link struct {
	address string
	from    int
}

// voidElements have no end tag (HTML Living Standard, section 13.1.2).
var voidElements = map[atom.Atom]bool{
	atom.Area: true, atom.Base: true, atom.Br: true, atom.Col: true, atom.Embed: true, atom.Hr: true,
	atom.Img: true, atom.Input: true, atom.Link: true, atom.Meta: true, atom.Source: true, atom.Track: true,
	atom.Wbr: true,
}

var neverShown = map[atom.Atom]bool{
	atom.Head: true, atom.Style: true, atom.Script: true, atom.Title: true, atom.Template: true, atom.Noscript: true,
}

// paragraphs begin and end with an empty line; lines with a line end.
var (
	paragraphs = map[atom.Atom]bool{
		atom.P: true, atom.H1: true, atom.H2: true, atom.H3: true, atom.H4: true, atom.H5: true, atom.H6: true,
		atom.Table: true, atom.Ul: true, atom.Ol: true, atom.Blockquote: true, atom.Pre: true, atom.Hr: true,
	}
	lines = map[atom.Atom]bool{
		atom.Br: true, atom.Div: true, atom.Tr: true, atom.Li: true, atom.Section: true, atom.Dt: true, atom.Dd: true,
	}
)

// cell stands between the cells of a row until the row is known.
const cell = "\x1f"

func (w *textWriter) start(tag html.Token) {
	name := tag.DataAtom
	if len(w.hidden) > 0 || neverShown[name] || isHidden(tag) {
		if !voidElements[name] {
			w.hidden = append(w.hidden, name)
		}
		return
	}
	w.breakBefore(name)
	switch name {
	case atom.Li:
		w.b.WriteString("- ")
	case atom.Td, atom.Th:
		w.b.WriteString(cell)
		w.space = false
	case atom.Img:
		w.text(attribute(tag, "alt"))
	case atom.A:
		w.flushSpace()
		w.links = append(w.links, link{attribute(tag, "href"), w.b.Len()})
	}
}

func (w *textWriter) end(tag html.Token) {
	name := tag.DataAtom
	if len(w.hidden) > 0 {
		for i := len(w.hidden) - 1; i >= 0; i-- { // tolerates elements that were not closed
			if w.hidden[i] == name {
				w.hidden = w.hidden[:i]
				break
			}
		}
		return
	}
	if name == atom.A && len(w.links) > 0 {
		l := w.links[len(w.links)-1]
		w.links = w.links[:len(w.links)-1]
		w.address(l)
	}
	w.breakBefore(name)
}

// address writes where a link leads, unless its words say so or it leads nowhere.
func (w *textWriter) address(l link) {
	words := strings.TrimSpace(w.b.String()[l.from:])
	isWeb := strings.HasPrefix(l.address, "http://") || strings.HasPrefix(l.address, "https://")
	switch {
	case !isWeb || words == l.address:
	case words == "":
		w.text(l.address)
	default:
		w.b.WriteString(": " + l.address)
	}
}

func (w *textWriter) breakBefore(name atom.Atom) {
	switch {
	case paragraphs[name]:
		w.b.WriteString("\n\n")
		w.space = false
	case lines[name] && name != atom.Br && strings.HasSuffix(w.b.String(), "\n"):
		w.space = false
	case lines[name]:
		w.b.WriteString("\n")
		w.space = false
	}
}

// text writes words with the white space of HTML: any amount is one space.
func (w *textWriter) text(s string) {
	if len(w.hidden) > 0 {
		return
	}
	for i, word := range strings.FieldsFunc(s, isHTMLSpace) {
		if i > 0 || isHTMLSpace(rune(s[0])) {
			w.space = true
		}
		w.flushSpace()
		w.b.WriteString(word)
	}
	if s != "" && isHTMLSpace(rune(s[len(s)-1])) {
		w.space = true
	}
}

// flushSpace writes the white space seen, unless the line has just begun.
func (w *textWriter) flushSpace() {
	if w.space && w.b.Len() > 0 {
		last := w.b.String()[w.b.Len()-1]
		if last != '\n' && last != ' ' && string(last) != cell {
			w.b.WriteByte(' ')
		}
	}
	w.space = false
}

func isHTMLSpace(r rune) bool { return r == ' ' || r == '\n' || r == '\t' || r == '\r' || r == '\f' }

var notDisplayed = regexp.MustCompile(`(?i)display\s*:\s*none`)

func isHidden(tag html.Token) bool {
	for _, a := range tag.Attr {
		if a.Key == "hidden" || a.Key == "style" && strings.Contains(strings.ToLower(a.Val), "none") && notDisplayed.MatchString(a.Val) {
			return true
		}
	}
	return false
}

func attribute(tag html.Token, key string) string {
	for _, a := range tag.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// cellsApart writes the rows: "label: value" where there are two cells,
// "a | b | c" where there are more.
func cellsApart(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		var cells []string
		for part := range strings.SplitSeq(line, cell) {
			if part = strings.TrimSpace(part); part != "" {
				cells = append(cells, part)
			}
		}
		switch {
		case len(cells) == 2 && strings.Contains(line, cell):
			b.WriteString(strings.TrimSuffix(cells[0], ":") + ": " + cells[1])
		default:
			b.WriteString(strings.Join(cells, " | "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
