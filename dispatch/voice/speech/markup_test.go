package speech

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"herald/e2e/peers"
	"herald/hardware/sip/siptest"
)

const (
	mandarin = `<voice name="cmn-latn-pinyin">`
	english  = `<voice name="en">`
	spell    = `<say-as interpret-as="characters">`
	unspell  = `</say-as>`
	back     = `</voice>`
)

func TestMarked(t *testing.T) {
	for _, c := range []struct{ locale, text, want string }{
		{"zh", "您好，现在¥49。", "您好，现在49元。"},
		{"zh", "茶 & <水>", "茶 &amp; &lt;水&gt;"},
		{"en", "Fish & chips by Herald", "Fish &amp; chips by Herald"},
		{"de", "Ihr iPhone <3", "Ihr iPhone &lt;3"},
		{"zh", "欢迎使用 Herald 服务。", mandarin + "欢迎使用 " + back + english + "Herald" + back + mandarin + " 服务。" + back},
		{"zh-CN", "Herald", english + "Herald" + back},
		{"zh", "订单AB1234已发货", mandarin + "订单" + back + english + spell + "AB" + unspell + back + mandarin + "1 2 3 4已发货" + back},
		{"zh", "编号SKU-8812", mandarin + "编号" + back + english + spell + "SKU" + unspell + back + mandarin + "8 8 1 2" + back},
		{"zh", "iPhone 15 Pro Max", english + "iPhone" + back + mandarin + " 15 " + back + english + "Pro Max" + back},
		{"zh", "5G套餐", mandarin + "5" + back + english + spell + "G" + unspell + back + mandarin + "套餐" + back},
		{"zh", "VIP会员，Wi-Fi", english + spell + "VIP" + unspell + back + mandarin + "会员，" + back + english + "Wi-Fi" + back},
		{"zh", "HUAWEI H&M A-B", english + "HUAWEI H&amp;M " + spell + "A" + unspell + " " + spell + "B" + unspell + back},
		{"zh", "$49USD", mandarin + "49美元" + back + english + spell + "USD" + unspell + back},
		{"zh", "发到a2.b@example.com。", mandarin + "发到" + back + english + "a2.b@example.com" + back + mandarin + "。" + back},
		{"zh", "见www.example.com/orders/1234", mandarin + "见" + back + english + "www.example.com/orders/1234" + back},
		{"zh", "15:05, 1.5", "15点05分, 1点5"},
		{"yue", "多謝Herald", `<voice name="yue">多謝` + back + english + "Herald" + back},
	} {
		voice, err := newVoices(nil).of(c.locale)
		if err != nil {
			t.Fatal(err)
		}
		if got := marked(c.text, c.locale, voice, "en"); got != c.want {
			t.Errorf("%s: %q is marked as\n%q, want\n%q", c.locale, c.text, got, c.want)
		}
	}
}

// Whatever the text, its markup is well-formed, and every letter and digit is
// said.
func TestMarkedLosesNothing(t *testing.T) {
	said := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '您' || r == '茶' {
				return r
			}
			return -1
		}, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([ aBc<>&"'@.:/您茶，-]|[A-Z]{1,4}|\d{1,4}){0,20}`).Draw(t, "text")
		got := marked(text, "zh", "cmn", "en")
		var all strings.Builder
		for d := xml.NewDecoder(strings.NewReader("<speak>" + got + "</speak>")); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%q is marked as %q: %v", text, got, err)
			}
			if words, is := token.(xml.CharData); is {
				all.Write(words)
			}
		}
		// Of hours, those that are full lose their minutes.
		if want := said(text); !strings.Contains(text, ":00") && said(all.String()) != want {
			t.Fatalf("%q is marked as %q", text, got)
		}
	})
}

// TestEspeakSaysLatinWordsInEnglish: by the sounds that it says it makes, and
// by those that it makes. It is Chinese again behind them.
func TestEspeakSaysLatinWordsInEnglish(t *testing.T) {
	program := peers.Program(t, "espeak-ng", "espeak-ng")
	s := speaker(t, nil)
	const text = "欢迎使用 Herald 服务，请联系service@example.com。"
	given, err := s.given(text, "zh", "cmn-latn-pinyin")
	if err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clone(s.engine.command[1:]), "-q", "-x")
	args[slices.Index(args, "{voice}")] = "cmn-latn-pinyin"
	args = slices.DeleteFunc(args, func(a string) bool { return a == "--stdout" })
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(given)
	sounds, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, sound := range []string{"j'i35N_| s.'i.21_| 'yu51N_|", "h'Er@Ld", "f'u35_| wu33_|", "s'3:vIs _at_ Egz'aamp@L d'0t k'0m"} {
		if !bytes.Contains(sounds, []byte(sound)) {
			t.Errorf("%s is not in what it says:\n%s", sound, sounds)
		}
	}
	name, err := s.Speak(t.Context(), "Herald Herald Herald Herald", "en")
	if err != nil {
		t.Fatal(err)
	}
	within, err := s.Speak(t.Context(), "谢谢，Herald Herald Herald Herald，谢谢。", "zh")
	if err != nil {
		t.Fatal(err)
	}
	if like := siptest.Likeness(name, within); like < 0.9 {
		t.Errorf("a name in Chinese has a likeness of %.2f to the same in English", like)
	}
	if long := siptest.Sounding(within) - siptest.Sounding(name); long < 500*time.Millisecond {
		t.Errorf("the Chinese around it takes %s", long)
	}
}

// TestTextsAreGivenAsTheProgramReadsThem: another command of an operator's may
// not read markup.
func TestTextsAreGivenAsTheProgramReadsThem(t *testing.T) {
	const text = "茶 & Herald ¥5"
	for name, c := range map[string]struct {
		command []string
		want    string
	}{
		"ours":                   {nil, mandarin + "茶 &amp; " + back + english + "Herald" + back + mandarin + " 5元" + back},
		"espeak-ng, with markup": {[]string{"/usr/bin/espeak-ng", "-m"}, mandarin + "茶 &amp; " + back + english + "Herald" + back + mandarin + " 5元" + back},
		"espeak-ng, without":     {[]string{"espeak-ng", "--stdin"}, "茶 & Herald 5元"},
		"another":                {[]string{"say", "-m"}, text},
	} {
		s := speaker(t, func(cfg *Config) { cfg.Command = c.command })
		if got, err := s.given(text, "zh", "cmn-latn-pinyin"); err != nil || got != c.want {
			t.Errorf("%s is given %q, %v", name, got, err)
		}
	}
}
