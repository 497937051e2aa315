package speech

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// voices are the names of a program's voices, by language in small letters.
type voices map[string]string

// usual are espeak-ng's where they are not called as their language. Its voice
// cmn is Mandarin, too, but takes the Pinyin that it makes of most characters
// for English words (as of 1.51, in Debian 12).
var usual = voices{"zh": "cmn-latn-pinyin", "zh-hk": "yue", "zh-mo": "yue", "en-us": "en-us", "pt-br": "pt-br"}

// newVoices puts a configuration's over the usual ones. A language that is
// configured is spoken so in all its regions that are not.
func newVoices(configured map[string]string) voices {
	all := maps.Clone(usual)
	for language := range configured {
		maps.DeleteFunc(all, func(usual, _ string) bool { return strings.HasPrefix(usual, strings.ToLower(language)+"-") })
	}
	for language, voice := range configured {
		all[strings.ToLower(language)] = voice
	}
	return all
}

var tag = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)

// isTag reports whether a text has the form of a language (BCP 47, section
// 2.1, without its order of parts).
func isTag(text string) bool { return len(text) <= 64 && tag.MatchString(text) }

// of is the voice of a locale: that of the most particular language that has
// one (RFC 4647, section 3.4), otherwise the language's own name.
func (v voices) of(locale string) (string, error) {
	locale = strings.ReplaceAll(cmp.Or(locale, "en"), "_", "-")
	if !isTag(locale) {
		return "", fmt.Errorf("%q is no language", locale)
	}
	for language := strings.ToLower(locale); ; {
		if voice, found := v[language]; found {
			return voice, nil
		}
		end := strings.LastIndexByte(language, '-')
		if end < 0 {
			return language, nil
		}
		if end >= 2 && language[end-2] == '-' { // a letter says what follows it, and goes with it
			end -= 2
		}
		language = language[:end]
	}
}
