package sms

import (
	"strconv"
	"strings"
	"sync"
)

// escape is the septet that announces one of the extension table.
const escape = 0x1B

// void is a place of a table that has no character.
const void rune = -1

// defaultTable and defaultExtension are 23.038 sections 6.2.1 and 6.2.1.1, a
// line for each sixteen septets. A dot in the middle is a place without a
// character.
const (
	defaultTable = "@£$¥èéùìòÇ\nØø\rÅå" +
		"Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ" +
		" !\"#¤%&'()*+,-./" +
		"0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNO" +
		"PQRSTUVWXYZÄÖÑÜ§" +
		"¿abcdefghijklmno" +
		"pqrstuvwxyzäöñüà"

	defaultExtension = "··········\f·····" +
		"····^······\x1b····" +
		"········{}·····\\" +
		"············[~]·" +
		"|···············" +
		"················" +
		"·····€··········" +
		"················"
)

// The tables of the languages with Latin letters: 23.038 annexes A.2.1 to
// A.2.3, A.3.1 and A.3.3.
const (
	turkishLocking = "@£$¥€éùıòÇ\nĞğ\rÅå" +
		"Δ_ΦΓΛΩΠΨΣΘΞ\x1bŞşßÉ" +
		" !\"#¤%&'()*+,-./" +
		"0123456789:;<=>?" +
		"İABCDEFGHIJKLMNO" +
		"PQRSTUVWXYZÄÖÑÜ§" +
		"çabcdefghijklmno" +
		"pqrstuvwxyzäöñüà"

	turkishShift = "··········\f·····" +
		"····^······\x1b····" +
		"········{}·····\\" +
		"············[~]·" +
		"|······Ğ·İ······" +
		"···Ş············" +
		"···ç·€·ğ·ı······" +
		"···ş············"

	spanishShift = "·········ç\f·····" +
		"····^······\x1b····" +
		"········{}·····\\" +
		"············[~]·" +
		"|Á·······Í·····Ó" +
		"·····Ú··········" +
		"·á···€···í·····ó" +
		"·····ú··········"

	portugueseLocking = "@£$¥êéúíóç\nÔô\rÁá" +
		"Δ_ªÇÀ∞^\\€Ó|\x1bÂâÊÉ" +
		" !\"#º%&'()*+,-./" +
		"0123456789:;<=>?" +
		"ÍABCDEFGHIJKLMNO" +
		"PQRSTUVWXYZÃÕÚÜ§" +
		"~abcdefghijklmno" +
		"pqrstuvwxyzãõ`üà"

	portugueseShift = "·····ê···ç\fÔô·Áá" +
		"··ΦΓ^ΩΠΨΣΘ·\x1b···Ê" +
		"········{}·····\\" +
		"············[~]·" +
		"|À·······Í·····Ó" +
		"·····Ú·····ÃÕ···" +
		"·Â···€···í·····ó" +
		"·····ú·····ãõ··â"
)

// The tables of the other languages differ only in the places that have a ◌
// here: 23.038 annexes A.2.4 to A.2.13 and A.3.4 to A.3.13. For 0x24 of Kannada
// some have U+0CAA, as at 0x3D; phones have U+0CA1, which would be nowhere else.
const (
	lockingFrame = "◌◌◌◌◌◌◌◌◌◌\n◌◌\r◌◌" +
		"◌◌◌◌◌◌◌◌◌◌◌\x1b◌◌◌◌" +
		" !◌◌◌◌◌◌)(◌◌,◌.◌" +
		"0123456789:;◌◌◌?" +
		"◌◌◌◌◌◌◌◌◌◌◌◌◌◌◌◌" +
		"◌◌◌◌◌◌◌◌◌◌◌◌◌◌◌◌" +
		"◌abcdefghijklmno" +
		"pqrstuvwxyz◌◌◌◌◌"

	shiftFrame = "@£$¥¿\"¤%&'\f*+·-/" +
		"<=>¡^¡_#*◌◌\x1b◌◌◌◌" +
		"◌◌◌◌◌◌◌◌{}◌◌◌◌◌\\" +
		"◌◌◌◌◌◌◌◌◌◌◌◌[~]◌" +
		"|ABCDEFGHIJKLMNO" +
		"PQRSTUVWXYZ·····" +
		"·····€··········" +
		"················"
)

// script is the letters of a language: for each ◌ of the frames, in their
// order, the last two hexadecimal digits of a character whose first two are
// the page's. "05-0B" is a run, a dot a place without a character, four digits
// a character of another page, and what is not named at the end has none.
type script struct{ page, locking, shift string }

var scripts = map[Language]script{
	Bengali: {
		"09",
		`81-83 85-8B 8C . . 8F  90 . . 93-9A 9B-9E  9F-A4 A5 A6 A7 A8  . AA AB
		 AC-B0 . B2 . . . B6-B9 BC BD  BE-C4 . . C7 C8 . . CB-CD  CE  D7 DC DD F0 F1`,
		`E6 E7 E8-EB  EC-EF DF E0-E2 E3 F2-F5  F6-FA`,
	},
	Gujarati: {
		"0A",
		`81-83 85-8B 8C 8D . 8F  90 91 . 93-9A 9B-9E  9F-A4 A5 A6 A7 A8  . AA AB
		 AC-B0 . B2 B3 . B5-B9 BC BD  BE-C5 . C7-C9 . CB-CD  D0  E0-E3 F1`,
		`0964 0965 E6-E9  EA-EF`,
	},
	Hindi: {
		"09",
		`01-03 05-0B 0C 0D 0E 0F  10-1A 1B-1E  1F-24 25 26 27 28  29 2A 2B
		 2C-39 3C 3D  3E-4D  50  72 7B 7C 7E 7F`,
		`64 65 66-69  6A-6F 51 52 53 54 58-5A  5B-63 70 71`,
	},
	Kannada: {
		"0C",
		`. 82 83 85-8B 8C . 8E 8F  90 . 92-9A 9B-9E  9F-A4 A5 A6 A7 A8  . AA AB
		 AC-B3 . B5-B9 BC BD  BE-C4 . C6-C8 . CA-CD  D5  D6 E0-E3`,
		`0964 0965 E6-E9  EA-EF DE F1 F2`,
	},
	Malayalam: {
		"0D",
		`. 02 03 05-0B 0C . 0E 0F  10 . 12-1A 1B-1E  1F-24 25 26 27 28  . 2A 2B
		 2C-39 . 3D  3E-44 . 46-48 . 4A-4D  57  60-63 79`,
		`0964 0965 66-69  6A-6F 70 71 72-75 7A  7B-7F`,
	},
	Oriya: {
		"0B",
		`01-03 05-0B 0C . . 0F  10 . . 13-1A 1B-1E  1F-24 25 26 27 28  . 2A 2B
		 2C-30 . 32 33 . 35-39 3C 3D  3E-44 . . 47 48 . . 4B-4D  56  57 60-63`,
		`0964 0965 66-69  6A-6F 5C 5D 5F 70 71`,
	},
	Punjabi: {
		"0A",
		`01-03 05-0A . . . . 0F  10 . . 13-1A 1B-1E  1F-24 25 26 27 28  . 2A 2B
		 2C-30 . 32 33 . 35 36 . 38 39 3C .  3E-42 . . . . 47 48 . . 4B-4D  51  70-74`,
		`0964 0965 66-69  6A-6F 59 5A 5B 5C 5E 75`,
	},
	Tamil: {
		"0B",
		`. 82 83 85-8A . . . 8E 8F  90 . 92-95 . . . 99 9A . 9C . 9E  9F . . . A3 A4 . . . A8  A9 AA .
		 . . AE-B9 . .  BE-C2 . . . C6-C8 . CA-CD  D0  D7 F0-F2 F9`,
		`0964 0965 E6-E9  EA-EF F3 F4 F5-F8 FA`,
	},
	Telugu: {
		"0C",
		`01-03 05-0B 0C . 0E 0F  10 . 12-1A 1B-1E  1F-24 25 26 27 28  . 2A 2B
		 2C-33 . 35-39 . 3D  3E-44 . 46-48 . 4A-4D  55  56 60-63`,
		`. . 66-69  6A-6F 58 59 78-7C  7D-7F`,
	},
	Urdu: {
		"06",
		`27 22 28 7B 80 7E A6 2A C2 7F 79 7D 7A 7C  2B 2C 81 84 83 85 86 87 2D 2E 2F 8C 88 89 8A
		 8F 8D 30 31 91 93 99 32 96 98  9A 33 34  35-39 41 42 A9 AA AB AF B3 B1 44-46
		 BA BB BC 48 C4 D5 C1 BE 21 CC D0 D2 4D 50 4F 57  54  55 51 53 56 70`,
		`00 01 F0-F3  F4-F9 0C 0D 0E-12  13 14 1B 1F 40 52 58 6B 6C 72 73 CD  D4`,
	},
}

// table is one of the tables, both ways. Where a character has two places the
// first is written.
type table struct {
	runes   [128]rune
	septets map[rune]byte
}

func readTable(text string) *table {
	t := &table{septets: make(map[rune]byte, 128)}
	i := 0
	for _, r := range text {
		if r == '·' || r == '◌' {
			r = void
		}
		t.runes[i] = r
		if _, twice := t.septets[r]; !twice && r != void && r != escape {
			t.septets[r] = byte(i)
		}
		i++
	}
	return t
}

// fill puts the letters of a script in the places of a frame.
func fill(frame, page, letters string) string {
	var b strings.Builder
	for field := range strings.FieldsSeq(letters) {
		if field == "." {
			b.WriteRune('·')
			continue
		}
		first, last, run := strings.Cut(field, "-")
		if !run {
			last = first
		}
		for r := character(page, first); r <= character(page, last); r++ {
			b.WriteRune(r)
		}
	}
	found := []rune(b.String())
	return strings.Map(func(r rune) rune {
		if r != '◌' || len(found) == 0 {
			return r
		}
		r, found = found[0], found[1:]
		return r
	}, frame)
}

func character(page, digits string) rune {
	if len(digits) == 2 {
		digits = page + digits
	}
	n, err := strconv.ParseUint(digits, 16, 16)
	if err != nil {
		panic("sms: a table is mistyped: " + digits)
	}
	return rune(n)
}

// tables are the tables of all languages, read when they are first needed.
type tables struct{ locking, shift [Urdu + 1]*table }

var national = sync.OnceValue(func() *tables {
	t := &tables{}
	t.locking[DefaultLanguage], t.shift[DefaultLanguage] = readTable(defaultTable), readTable(defaultExtension)
	t.locking[Turkish], t.shift[Turkish] = readTable(turkishLocking), readTable(turkishShift)
	t.locking[Spanish], t.shift[Spanish] = t.locking[DefaultLanguage], readTable(spanishShift)
	t.locking[Portuguese], t.shift[Portuguese] = readTable(portugueseLocking), readTable(portugueseShift)
	for l, s := range scripts {
		t.locking[l] = readTable(fill(lockingFrame, s.page, s.locking))
		t.shift[l] = readTable(fill(shiftFrame, s.page, s.shift))
	}
	return t
})

// of gives the tables of two languages; one that is unknown is the default
// (23.038 section 6.2.1.2.4).
func (t *tables) of(locking, shift Language) (*table, *table) {
	if locking > Urdu {
		locking = DefaultLanguage
	}
	if shift > Urdu {
		shift = DefaultLanguage
	}
	return t.locking[locking], t.shift[shift]
}

// locks reports whether there is a locking shift table, or none is needed.
func (l Language) locks() bool { return l <= Urdu && l != Spanish }

// shifts reports whether there is a single shift table, or none is needed.
func (l Language) shifts() bool { return l <= Urdu }
