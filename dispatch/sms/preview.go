package sms

import "github.com/rivo/uniseg"

// Preview is what a text will take and cost, for whoever writes it.
type Preview struct {
	Encoding       Encoding
	Locking, Shift Language
	Text           string // as it will be read
	Parts          int
	// Used and Left are units of the last part: septets, or sixteen bits of
	// UCS-2. With Left 0 the next character takes another part.
	Used, Left int
	Cost       float64 // in the currency of the price
	// Forcing are the characters that the default alphabet has not, each once,
	// in the order they come; none when UCS-2 was asked for, or is not needed.
	Forcing []Forcing
	// TooLong says that it needs more than 255 parts and cannot be sent.
	TooLong bool
}

// Forcing is a character, as a reader sees one, that forces a text to UCS-2.
type Forcing struct {
	Text  string
	Times int
	// Instead is what it could be written with; empty: nothing, or nothing that
	// is needed.
	Instead string
}

// NewPreview tells what Compose will make of a text, at a price for each part.
func NewPreview(text string, o Options, pricePerPart float64) Preview {
	m, err := Compose(text, o)
	p := Preview{Encoding: m.Encoding, Locking: m.Locking, Shift: m.Shift, Text: m.Text, Parts: len(m.Parts)}
	if err != nil {
		p.TooLong = true
		return p
	}
	unit := 1
	if m.Encoding == UCS2 {
		unit = 2
	}
	last := len(m.Parts[len(m.Parts)-1])
	p.Used = last / unit
	p.Left = (m.room(len(m.Parts) > 1) - last) / unit
	p.Cost = pricePerPart * float64(p.Parts)
	if m.Encoding == UCS2 && !o.UCS2Only {
		p.Forcing = forcing(m.Text)
	}
	return p
}

// forcing lists what the default alphabet has not.
func forcing(text string) []Forcing {
	var all []Forcing
	places := map[string]int{}
	for state := -1; text != ""; {
		var cluster string
		cluster, text, _, state = uniseg.FirstGraphemeClusterInString(text, state)
		if _, ok := EncodeGSM7(compose(cluster), DefaultLanguage, DefaultLanguage); ok {
			continue
		}
		at, known := places[cluster]
		if !known {
			other, _ := transliterate(cluster)
			at = len(all)
			places[cluster] = at
			all = append(all, Forcing{Text: cluster, Instead: other})
		}
		all[at].Times++
	}
	return all
}
