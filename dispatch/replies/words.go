package replies

import (
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"herald/problem"
)

// Words are the keywords of each kind. A message is one when it is nothing
// else: case, full-width letters, spaces, and punctuation at either end do not
// count. An empty list takes the usual words: nobody can leave STOP without an
// effect by mistake.
type Words struct {
	Stop  []string
	Start []string
	Help  []string
}

// UsualWords are those that carriers ask for (CTIA Messaging Principles and
// Best Practices, section 5.1.3; 47 CFR 64.1200(a)(10)), and what people in
// China write: TD is the beginning of 退订 in Pinyin.
func UsualWords() Words {
	return Words{
		Stop: []string{
			"STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPT OUT", "OPT-OUT",
			"TD", "T", "退订", "退訂", "取消订阅", "取消訂閱", "停止", "拒收",
		},
		Start: []string{"START", "UNSTOP", "SUBSCRIBE", "OPT IN", "OPT-IN", "订阅", "訂閱", "恢复", "恢復", "恢复订阅"},
		Help:  []string{"HELP", "INFO", "帮助", "幫助", "BZ"},
	}
}

const (
	maxWords = 100 // of a kind
	maxWord  = 40  // characters of a keyword
)

// matcher tells keywords from other messages.
type matcher map[string]Kind

// newMatcher makes one. The error is Invalid with the fields as "stop[0]": a
// word must have letters or digits, and stand for one thing only.
func newMatcher(w Words) (matcher, error) {
	usual := UsualWords()
	m := matcher{}
	var f problem.Fields
	for _, list := range []struct {
		kind         Kind
		given, usual []string
	}{{Stop, w.Stop, usual.Stop}, {Start, w.Start, usual.Start}, {Help, w.Help, usual.Help}} {
		words := list.given
		if len(words) == 0 {
			words = list.usual
		}
		if len(words) > maxWords {
			f.AddArgs(string(list.kind), "max_items", map[string]any{"max": maxWords}, "must be at most %d words", maxWords)
			continue
		}
		for i, word := range words {
			key, ok := essence(word)
			other, taken := m[key]
			path := string(list.kind) + "[" + strconv.Itoa(i) + "]"
			switch {
			case !ok || key == "":
				f.Add(path, "keyword", "%q is no keyword: it needs letters or digits, and at most %d of them", word, maxWord)
			case taken && other != list.kind:
				f.Add(path, "unique", "%q already means %s", word, other)
			default:
				m[key] = list.kind
			}
		}
	}
	return m, f.Err("these keywords cannot be used")
}

// kind is what a message asks for.
func (m matcher) kind(text string) Kind {
	if key, ok := essence(text); ok {
		if kind, known := m[key]; known {
			return kind
		}
	}
	return Message
}

// maxEssence is the most bytes that a keyword has, with room for the longest
// forms of its characters.
const maxEssence = 16 * maxWord

// essence is what is left of a text when everything is taken away that people
// do not mean when they write a keyword; false when that is too long for one.
// It is compatibility-composed (NFKC, Unicode Standard Annex #15), which makes
// full-width letters plain ones.
func essence(text string) (string, bool) {
	text = strings.TrimFunc(text, negligible)
	if len(text) > maxEssence {
		return "", false
	}
	var b strings.Builder
	length := 0
	for _, r := range strings.TrimFunc(norm.NFKC.String(text), negligible) {
		if blank(r) {
			continue
		}
		b.WriteRune(fold(r))
		if length++; length > maxWord {
			return "", false
		}
	}
	return b.String(), true
}

// fold is the same rune for all cases of a letter (Unicode's simple folding).
func fold(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

// blank reports whether a rune leaves nothing on the screen.
func blank(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

// negligible reports whether a rune before or after a word changes nothing.
func negligible(r rune) bool {
	return blank(r) || unicode.IsPunct(r) || unicode.IsSymbol(r) || unicode.IsMark(r)
}
