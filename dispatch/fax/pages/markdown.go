package pages

import (
	"strconv"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	tables "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// headingSizes are the sizes of headings by their level.
var headingSizes = [6]float64{20, 17, 14, 13, 12, 12}

// deepest is how deep blocks may stand within blocks; what is deeper is left out.
const deepest = 40

// markdown writes a message.
func (w *writer) markdown(source string) {
	raw := []byte(source)
	doc := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(raw))
	r := reader{writer: w, source: raw}
	r.blocks(doc, 0)
}

// reader writes what Markdown says.
type reader struct {
	*writer
	source []byte
}

func (r *reader) blocks(parent ast.Node, depth int) {
	if depth > deepest {
		return
	}
	for n := parent.FirstChild(); n != nil && !r.full; n = n.NextSibling() {
		r.block(n, depth)
	}
}

func (r *reader) block(n ast.Node, depth int) {
	const inset = 18
	switch n := n.(type) {
	case *ast.Heading:
		size := headingSizes[n.Level-1]
		r.space(size * 0.7)
		r.ensure(size*leading + 2*bodySize*leading)
		r.paragraph(r.spans(n, span{bold: true}), size, 0)
		r.space(size * 0.3)
	case *ast.Paragraph:
		r.paragraph(r.spans(n, span{}), bodySize, 0)
		r.space(bodySize * 0.6)
	case *ast.TextBlock: // a paragraph of a list without blank lines
		r.paragraph(r.spans(n, span{}), bodySize, 0)
	case *ast.List:
		r.list(n, depth)
	case *ast.Blockquote:
		r.bars = append(r.bars, left+r.indent+inset/3)
		r.within(inset, func() { r.blocks(n, depth+1) })
		r.bars = r.bars[:len(r.bars)-1]
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		r.within(inset, func() { r.paragraph(r.verbatim(n), bodySize, 0) })
		r.space(bodySize * 0.6)
	case *ast.ThematicBreak:
		r.rule()
	case *tables.Table:
		r.table(n)
	case *ast.HTMLBlock, *ast.LinkReferenceDefinition:
		// Markup of another kind, and what is said where it is used.
	}
}

// list writes the items of a list, each behind its mark.
func (r *reader) list(list *ast.List, depth int) {
	number := list.Start
	for item := list.FirstChild(); item != nil && !r.full; item = item.NextSibling() {
		sign, size := r.clean("•"), bodySize*0.6
		if list.IsOrdered() {
			sign, size = strconv.Itoa(number)+".", bodySize
			number++
		}
		r.ensure(bodySize * leading)
		if r.full {
			return
		}
		width := r.width(sign, size) + bodySize*0.6
		page, y := len(r.pages)-1, r.y
		r.within(max(width, 20), func() {
			if x := left + r.indent - width; x >= left {
				r.pages[page].marks = append(r.pages[page].marks, mark{x, y + bodySize*ascent - (bodySize-size)/3, size, false, sign})
			}
			r.blocks(item, depth+1)
		})
		if r.y == y && len(r.pages)-1 == page { // it says nothing
			r.y += bodySize * leading
		}
	}
	r.space(bodySize * 0.6)
}

// verbatim are the lines of a block of code.
func (r *reader) verbatim(n ast.Node) []span {
	var spans []span
	for i := range n.Lines().Len() {
		at := n.Lines().At(i)
		spans = append(spans, span{text: r.clean(strings.TrimRight(string(at.Value(r.source)), "\r\n")), ends: true})
	}
	return spans
}

// spans are the text within a block, in its styles: strong text is bold, and
// other emphasis underlined.
func (r *reader) spans(parent ast.Node, style span) []span {
	var all []span
	r.gather(parent, style, 0, &all)
	return all
}

func (r *reader) gather(parent ast.Node, style span, depth int, into *[]span) {
	if depth > deepest {
		return
	}
	say := func(text string) {
		s := style
		s.text = text
		*into = append(*into, s)
	}
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		inner := style
		switch n := n.(type) {
		case *ast.Text:
			value := string(n.Value(r.source))
			if !n.IsRaw() && parent.Kind() != ast.KindCodeSpan {
				value = plain(value)
			}
			say(r.clean(value))
			if n.HardLineBreak() {
				(*into)[len(*into)-1].ends = true
			} else if n.SoftLineBreak() {
				say(between(n, r.source, value))
			}
			continue
		case *ast.String:
			say(r.clean(string(n.Value)))
			continue
		case *ast.AutoLink:
			say(r.clean(string(n.Label(r.source))))
			continue
		case *ast.RawHTML:
			continue
		case *ast.Emphasis:
			if n.Level > 1 {
				inner.bold = true
			} else {
				inner.underline = true
			}
		}
		r.gather(n, inner, depth+1, into)
		if link, is := n.(*ast.Link); is {
			r.address(n, string(link.Destination), say)
		}
	}
}

// address writes out where a link leads, where its text does not say so: paper
// cannot be clicked.
func (r *reader) address(link ast.Node, destination string, say func(string)) {
	var shown []span
	r.gather(link, span{}, 0, &shown)
	var text strings.Builder
	for _, s := range shown {
		text.WriteString(s.text)
	}
	at := r.clean(strings.TrimPrefix(strings.TrimPrefix(plain(destination), "mailto:"), "tel:"))
	if at != "" && !strings.Contains(text.String(), at) {
		say(" (" + at + ")")
	}
}

// between is what stands between two lines of the source: a blank, but nothing
// between two characters of a writing that has none.
func between(n *ast.Text, source []byte, before string) string {
	next, is := n.NextSibling().(*ast.Text)
	if !is {
		return " "
	}
	after := []rune(string(next.Value(source)))
	runes := []rune(before)
	if len(runes) > 0 && len(after) > 0 && unspaced(runes[len(runes)-1]) && unspaced(after[0]) {
		return ""
	}
	return " "
}

// unspaced reports whether a character is of Chinese or Japanese, which have no
// blanks.
func unspaced(c rune) bool {
	return c >= 0x2e80 && c <= 0x9fff || c >= 0xf900 && c <= 0xfaff || c >= 0xff00 && c <= 0xffef || c >= 0x20000 && c <= 0x3ffff
}

// plain is a text without the backslashes and entities of Markdown (CommonMark
// 0.31, sections 2.4 and 2.5).
func plain(text string) string {
	if !strings.ContainsAny(text, `\&`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && util.IsPunct(text[i+1]):
			i++
			b.WriteByte(text[i])
			continue
		case text[i] == '&':
			const longest = 40
			if n := strings.IndexByte(text[i:min(len(text), i+longest)], ';'); n > 0 {
				entity := []byte(text[i : i+n+1])
				if said := string(util.ResolveEntityNames(util.ResolveNumericReferences(entity))); said != string(entity) {
					b.WriteString(said)
					i += n
					continue
				}
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
