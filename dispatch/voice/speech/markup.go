package speech

import (
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// espeak-ng's Chinese voices take Latin letters for Pinyin, where they can be:
// "service" becomes three syllables. What is written with them in a Chinese text
// (a brand, an order's number, an address) is said by the English voice, to which
// markup switches: SSML, of which espeak-ng knows <voice> and <say-as>. It must
// be told of the way back, too: by itself it goes back to its voice cmn.

// marked is a text as espeak-ng should be given it where it reads markup; voice
// is that of locale, and english the one for English.
func marked(text, locale, voice, english string) string {
	if languageOf(locale) != "zh" {
		return html.EscapeString(spoken(text, locale))
	}
	parts := partsOf(text)
	if len(parts) == 1 && !parts[0].latin {
		return html.EscapeString(spoken(text, locale))
	}
	var all strings.Builder
	for _, p := range parts {
		said, by := "", voice
		if p.latin {
			said, by = p.text, english
		} else {
			said = html.EscapeString(spoken(p.text, locale))
		}
		all.WriteString(`<voice name="` + html.EscapeString(by) + `">` + said + "</voice>")
	}
	return all.String()
}

// part is a piece of a text in one language: Chinese, or what is written with
// Latin letters, which has its markup already.
type part struct {
	text  string
	latin bool
}

var (
	// word is a run of Latin letters and digits, with what holds it together.
	word = regexp.MustCompile(`[\p{Latin}\d]+(?:[-@._:/'’&+]+[\p{Latin}\d]+)*`)
	// address is one of the Internet's.
	address = regexp.MustCompile(`@|://|\.\p{Latin}{2,}(/|$)`)
	// letters are what is said of a word in English; the rest of it is numbers.
	letters = regexp.MustCompile(`\p{Latin}+(?:[-'’&]\p{Latin}+)*`)
)

// partsOf divides a Chinese text by language.
func partsOf(text string) []part {
	var all parts
	end := 0
	for _, at := range word.FindAllStringIndex(text, -1) {
		one := text[at[0]:at[1]]
		if !letters.MatchString(one) {
			continue // a number is Chinese
		}
		all.chinese(text[end:at[0]])
		if end = at[1]; address.MatchString(one) {
			all.latin(html.EscapeString(one))
			continue
		}
		all.mixed(one)
	}
	all.chinese(text[end:])
	return all
}

// parts are put together piece by piece.
type parts []part

// mixed adds a word of letters and, perhaps, digits, such as AB1234.
func (p *parts) mixed(word string) {
	end := 0
	for _, at := range letters.FindAllStringIndex(word, -1) {
		p.chinese(digitsWithin(word[end:at[0]]))
		p.latin(inEnglish(word[at[0]:at[1]]))
		end = at[1]
	}
	p.chinese(digitsWithin(word[end:]))
}

func (p *parts) chinese(text string) {
	if n := len(*p); n > 0 && !(*p)[n-1].latin {
		(*p)[n-1].text += text
	} else if strings.TrimSpace(text) != "" {
		*p = append(*p, part{text: text})
	}
}

func (p *parts) latin(text string) {
	if n := len(*p); n > 0 && (*p)[n-1].latin {
		(*p)[n-1].text += " " + text
	} else {
		*p = append(*p, part{text: text, latin: true})
	}
}

// fewDigits is how many are still a number beside letters, as in iPhone15; more
// are said one by one.
const fewDigits = 2

// digitsWithin is what is said of the digits of a word with letters.
func digitsWithin(text string) string {
	text = strings.Trim(text, "-@._:/'’&+")
	if len(text) > fewDigits && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsDigit(r) }) {
		return strings.Join(strings.Split(text, ""), " ")
	}
	return text
}

// spelt is how many capitals are said one by one, as Chinese say VIP; a voice
// says more of them as a word where it can.
const spelt = 3

// inEnglish is the markup of letters.
func inEnglish(text string) string {
	n := utf8.RuneCountInString(text)
	switch capitals := strings.ToUpper(text) == text; {
	case capitals && strings.Contains(text, "-"):
		var all []string
		for one := range strings.SplitSeq(text, "-") {
			all = append(all, inEnglish(one))
		}
		return strings.Join(all, " ")
	case n == 1, capitals && n <= spelt && !strings.Contains(text, "&"):
		return `<say-as interpret-as="characters">` + html.EscapeString(text) + "</say-as>"
	}
	return html.EscapeString(text)
}
