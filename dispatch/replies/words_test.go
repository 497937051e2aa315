package replies

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"herald/problem"
)

func usual(t testing.TB) matcher {
	t.Helper()
	m, err := newMatcher(Words{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAKeywordIsAWholeMessage(t *testing.T) {
	m := usual(t)
	for text, want := range map[string]Kind{
		"STOP": Stop, "stop": Stop, " Stop. ": Stop, "STOP!!": Stop, "\"stop\"": Stop, "ＳＴＯＰ": Stop, "ｓｔｏｐ。": Stop, "Stop all": Stop,
		"opt-out": Stop, "Opt out": Stop, "unsubscribe": Stop, "end": Stop, "quit\r\n": Stop, "cancel": Stop, "stop 👍": Stop, "S T O P": Stop,
		"td": Stop, "ＴＤ": Stop, "T": Stop, "t。": Stop, "退订": Stop, "退订！": Stop, "【退订】": Stop, "退　订": Stop, "取消订阅": Stop, "\u200bSTOP\ufeff": Stop, "stop\x00": Stop,
		"start": Start, "UNSTOP": Start, "订阅": Start, "恢复。": Start,
		"help": Help, "Help?": Help, "INFO": Help, "帮助": Help,
		"": Message, "?": Message, "👍": Message, " ": Message,
		"please stop": Message, "stop it": Message, "I cannot stop smiling": Message, "don't stop": Message, "stopped": Message,
		"退订了吗": Message, "我要退订": Message, "help me": Message, "yes": Message, "no": Message, "取消": Message, "1": Message,
		"STOP.START": Message, "ST.OP": Message, "\xffSTOP\xff": Stop, "ST\xffOP": Message,
		strings.Repeat("STOP", 10_000): Message, strings.Repeat(" ", 50_000) + "STOP": Stop,
	} {
		if got := m.kind(text); got != want {
			t.Errorf("%.40q is %s, want %s", text, got, want)
		}
	}
}

func TestOnesOwnWordsReplaceTheUsualOnes(t *testing.T) {
	m, err := newMatcher(Words{Stop: []string{"Genug"}, Help: []string{}, Start: []string{"weiter", "START"}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]Kind{"GENUG!": Stop, "stop": Message, "start": Start, "Weiter": Start, "unstop": Message, "help": Help} {
		if got := m.kind(text); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

func TestWordsThatCannotBeMeantAreNamed(t *testing.T) {
	many := make([]string, maxWords+1)
	for name, tt := range map[string]struct {
		words Words
		path  string
	}{
		"nothing but punctuation": {Words{Stop: []string{"STOP", "?!"}}, "stop[1]"},
		"empty":                   {Words{Help: []string{""}}, "help[0]"},
		"too long":                {Words{Start: []string{strings.Repeat("a", maxWord+1)}}, "start[0]"},
		"two meanings":            {Words{Start: []string{"ｓｔｏｐ"}}, "start[0]"},
		"too many":                {Words{Stop: many}, "stop"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newMatcher(tt.words)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != problem.Invalid || p.Fields[0].Path != tt.path {
				t.Errorf("error %v, want one at %s", err, tt.path)
			}
		})
	}
}

// decoration is what people and telephones put around a word.
func decoration() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.RuneFrom([]rune(" \t\r\n.,!?\"'()。，！？　“”【】…\u200b\u00a0\ufeff👍*")), 0, 12, -1)
}

func TestHowAKeywordIsWrittenDoesNotMatter(t *testing.T) {
	m, words := usual(t), UsualWords()
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SampledFrom([]struct {
			kind  Kind
			words []string
		}{{Stop, words.Stop}, {Start, words.Start}, {Help, words.Help}}).Draw(t, "list")
		var b strings.Builder
		b.WriteString(decoration().Draw(t, "before"))
		for _, r := range rapid.SampledFrom(list.words).Draw(t, "word") {
			switch rapid.IntRange(0, 4).Draw(t, "as") {
			case 0:
				r = unicode.ToLower(r)
			case 1:
				if r > ' ' && r <= '~' {
					r += 0xfee0 // its full-width form
				}
			case 2:
				b.WriteByte(' ')
			}
			b.WriteRune(r)
		}
		b.WriteString(decoration().Draw(t, "after"))
		if got := m.kind(b.String()); got != list.kind {
			t.Fatalf("%q is %s, want %s", b.String(), got, list.kind)
		}
	})
}

func TestAWordMoreMakesItAMessage(t *testing.T) {
	m, words := usual(t), UsualWords()
	all := append(append(words.Stop, words.Start...), words.Help...)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(all).Draw(t, "word") + " " + rapid.StringMatching(`[b-df-hj-np-z]{3,20}`).Draw(t, "another")
		if got := m.kind(text); got != Message {
			t.Fatalf("%q is %s", text, got)
		}
	})
}

func FuzzKind(f *testing.F) {
	for _, seed := range []string{"STOP", "ＳＴＯＰ！", "退订", "\xff\xfe", "ﷺ", strings.Repeat("\u0300", 300), "a\u0300\u0301"} {
		f.Add(seed)
	}
	m, err := newMatcher(Words{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kind := m.kind(text)
		if again := m.kind(" " + strings.ToUpper(text) + "."); utf8.ValidString(text) && kind != Message && again != kind {
			t.Errorf("%q is %s, and in capitals %s", text, kind, again)
		}
		if key, ok := essence(text); ok && utf8.RuneCountInString(key) > maxWord {
			t.Errorf("%q leaves %d characters", text, utf8.RuneCountInString(key))
		}
	})
}
