package templates

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"herald/problem"
	"herald/templates/script"
)

// call is a script whose texts are compiled. What its texts print is said, and
// cannot change what is done.
type call struct {
	script *script.Script
	places []script.Place
	texts  []*part // as its Texts
}

// maxSaid is how many characters one step may say, once it is filled.
const maxSaid = 4000

// compileCall reads a voice template's body; nil when there are mistakes. They
// stand at the path "body", with the line and the place within the script.
func compileCall(source, locale string, mistakes *problem.Fields) *call {
	parsed, err := script.Parse(source)
	if err != nil {
		var p *problem.Error
		if !errors.As(err, &p) {
			mistakes.Add("body", "script", "%v", err)
			return nil
		}
		for _, f := range p.Fields {
			mistakes.AddArgs("body", "script", map[string]any{"line": f.Args["line"], "place": f.Path}, "%s", f.Message)
		}
		return nil
	}
	c := &call{script: parsed, places: parsed.Places()}
	sound := true
	for i, text := range parsed.Texts() {
		p, err := compile(*text, locale, plain)
		if err != nil {
			addCallMistake(mistakes, c.places[i], "syntax", err)
			sound = false
		}
		c.texts = append(c.texts, p)
	}
	if !sound {
		return nil
	}
	return c
}

// addCallMistake tells of a mistake in a text of a script by its line there.
func addCallMistake(mistakes *problem.Fields, place script.Place, rule string, err error) {
	line, message := place.Line, err.Error()
	var at *syntaxError
	if errors.As(err, &at) {
		line, message = place.Line+at.line-1, at.message
	}
	mistakes.AddArgs("body", rule, map[string]any{"line": line, "place": place.Path}, "line %d: %s", line, message)
}

// fill makes the script that is spoken: every text in one line, without
// control characters. All texts together have the bounds of one field.
func (c *call) fill(ctx context.Context, data map[string]any, mistakes *problem.Fields) *script.Script {
	b, cancel := newBudget(ctx)
	defer cancel()
	filled := c.script.Clone()
	for i, text := range filled.Texts() {
		said, err := c.texts[i].renderWithin(b, data)
		if err == nil {
			*text, err = spoken(c.places[i], said)
		}
		if err != nil {
			addCallMistake(mistakes, c.places[i], "render", err)
		}
	}
	return filled
}

// telephone is a number as a telephone line dials it.
var telephone = regexp.MustCompile(`^\+?[0-9]{1,20}$`)

// spoken is what a text printed, as it is said or, of a transfer, dialled.
func spoken(place script.Place, printed string) (string, error) {
	said := oneLine(printed)
	if strings.HasSuffix(place.Path, ".transfer") {
		number := strings.NewReplacer(" ", "", "-", "").Replace(said)
		if number != "" && !telephone.MatchString(number) {
			return "", errors.New("the number to transfer to is none: digits, and a + in front, make one; nothing stands for the account's own")
		}
		return number, nil
	}
	if n := utf8.RuneCountInString(said); n > maxSaid {
		return "", fmt.Errorf("the text has %d characters once it is filled, at most %d are said in one step", n, maxSaid)
	}
	return said, nil
}
