package config

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"

	"herald/problem"
)

// Company is whose service this is.
type Company struct {
	Name  string            `yaml:"name" help:"Whose service this is, as messages, calls and pages say it; also the sender of e-mail and faxes whose account gives none. Empty: they name nobody."`
	Names map[string]string `yaml:"names" help:"The name in languages in which it is another, such as zh: 示例商城. None: the same in all."`
}

// In is the company's name in a language (BCP 47): the one given for it or,
// by CLDR, for a language above it, as zh is above zh-CN; else Name.
func (c Company) In(locale string) string {
	if len(c.Names) == 0 {
		return c.Name
	}
	tag, err := language.Parse(locale)
	if err != nil {
		return c.Name
	}
	for ; tag != language.Und; tag = tag.Parent() {
		if name := c.Names[tag.String()]; name != "" {
			return name
		}
	}
	return c.Name
}

func (c Company) check(f *problem.Fields) {
	checkName(f, "company.name", c.Name)
	if c.Name == "" && len(c.Names) > 0 {
		f.Add("company.name", "required", "is needed beside company.names, for all other languages")
	}
	for _, locale := range slices.Sorted(maps.Keys(c.Names)) {
		at := "company.names." + locale
		switch tag, err := language.Parse(locale); {
		case err != nil:
			f.Add(at, "locale", "is for %q, which must be a language such as zh or zh-CN", locale)
		case tag.String() != locale:
			f.Add(at, "locale", "is for a language that must be written %s", tag)
		}
		if c.Names[locale] == "" {
			f.Add(at, "required", "must be a name")
		}
		checkName(f, at, c.Names[locale])
	}
}

// maxName is how many characters a company's name has at most: it is said at
// the beginning of calls, and stands in one line with others.
const maxName = 60

// checkName notes what a name must not have that stands in the headers of
// mail and at the head of faxes.
func checkName(f *problem.Fields, at, name string) {
	if n := utf8.RuneCountInString(name); n > maxName {
		f.Add(at, "max_len", "has %d characters and must have at most %d", n, maxName)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, breaksLine) {
		f.Add(at, "charset", "must be one line, without control characters")
	}
	if strings.TrimSpace(name) != name {
		f.Add(at, "format", "must not begin or end with blanks")
	}
}

// breaksLine reports whether a character is a control character, or what some
// readers take for the end of a line.
func breaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }
