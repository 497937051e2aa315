package sms

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"herald/e2e/peers"
)

// question is a text and the units it became.
type question struct {
	Text  string   `json:"text"`
	TPDUs []string `json:"tpdus"`

	made Composition
}

// answer is what libraries that we did not write make of them.
type answer struct {
	Read     string   `json:"read"`
	Places   [][3]int `json:"places"`
	Encoding string   `json:"encoding"`
	Parts    []int    `json:"parts"`
	Packed   string   `json:"packed"`
}

// TestOthersReadAndCountTheSame has node-pdu read the units of generated texts
// and pack their septets, and split-sms count and cut them.
func TestOthersReadAndCountTheSame(t *testing.T) {
	questions := questions(t)
	answers := ask(t, questions)
	for i, q := range questions {
		a := answers[i]
		if a.Read != q.Text {
			t.Fatalf("%q is read as %q", q.Text, a.Read)
		}
		for p, place := range a.Places {
			if len(q.made.Parts) > 1 && place != [3]int{0x34, len(q.made.Parts), p + 1} {
				t.Errorf("%q: part %d is read as %v", q.Text, p, place)
			}
		}
		if got := map[Encoding]string{GSM7: "GSM", UCS2: "Unicode"}[q.made.Encoding]; got != a.Encoding {
			t.Errorf("%q: we chose %s, they %s", q.Text, got, a.Encoding)
		}
		var lengths []int
		for _, part := range q.made.Parts {
			lengths = append(lengths, len(part))
		}
		if !slices.Equal(lengths, a.Parts) {
			t.Errorf("%q: we cut it into %v, they into %v", q.Text, lengths, a.Parts)
		}
		if len(q.made.Parts) == 1 && q.made.Encoding == GSM7 {
			if got := strings.ToUpper(hex.EncodeToString(q.made.Octets(0, 0))); got != a.Packed {
				t.Errorf("%q: we pack %s, they %s", q.Text, got, a.Packed)
			}
		}
	}
}

// questions are texts of the kinds that are cut alike everywhere: theirs do
// not keep what a reader sees as one character together, and node-pdu has no §.
func questions(t *testing.T) []question {
	alphabet := []rune(strings.NewReplacer("\x1b", "", "§", "", "\r", "").Replace(defaultTable))
	extension := []rune("^{}\\[~]|€")
	ucs := []rune("中文短信促销õ日本語абв😀🎉")
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from []rune) rune { return from[random.IntN(len(from))] }
	var all []question
	for i := range 600 {
		var text []rune
		for range 1 + random.IntN([]int{20, 75, 165, 700}[i%4]) {
			switch kind := random.IntN(20); {
			case kind == 0 && i%3 > 0:
				text = append(text, pick(extension))
			case kind < 8 && i%5 > 2:
				text = append(text, pick(ucs))
			default:
				text = append(text, pick(alphabet))
			}
		}
		all = append(all, asked(t, string(text)))
	}
	for n := range 8 { // an @ where a receiver may take it for padding
		all = append(all, asked(t, strings.Repeat("x", 8+n)+"@"))
	}
	return all
}

// asked composes a text and wraps its parts as SMS-SUBMIT without validity
// (23.040 section 9.2.2.2) behind an empty service centre.
func asked(t *testing.T, text string) question {
	m, err := Compose(text, Options{})
	if err != nil {
		t.Fatal(err)
	}
	q := question{Text: text, made: m}
	for i := range m.Parts {
		first, coding := byte(0x01), byte(0)
		if len(m.Parts) > 1 {
			first |= 0x40
		}
		if m.Encoding == UCS2 {
			coding = 8
		}
		unit := []byte{0, first, 0, 4, 0x81, 0x21, 0x43, 0, coding, byte(m.Length(i))}
		q.TPDUs = append(q.TPDUs, hex.EncodeToString(m.AppendOctets(unit, 0x1234, i)))
	}
	return q
}

func ask(t *testing.T, questions []question) []answer {
	script, err := filepath.Abs("testdata/oracle.cjs")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	var said, failed bytes.Buffer
	cmd := peers.Node(t, script)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(raw), &said, &failed
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, failed.String())
	}
	var answers []answer
	if err := json.Unmarshal(said.Bytes(), &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}
