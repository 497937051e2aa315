package tpdu

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors are those that circulate in manuals of modems and in the
// documentation of smstools and gammu.
func TestKnownUnits(t *testing.T) {
	t.Run("a submit of hellohello with a relative validity", func(t *testing.T) {
		pdu := unhex(t, "0011000B916407281553F80000AA0AE8329BFD4697D9EC37")
		centre, unit, err := SplitCentre(pdu)
		if err != nil || centre != (Address{}) {
			t.Fatalf("the centre is %v, %v", centre, err)
		}
		s, err := ParseSubmit(unit)
		if err != nil {
			t.Fatal(err)
		}
		want := Submit{
			To:       Address{Type: International, Digits: "46708251358"},
			Validity: Validity{For: 4 * day}, UserData: UserData{Length: 10, Data: unhex(t, "E8329BFD4697D9EC37")},
		}
		if d := cmp.Diff(want, s); d != "" {
			t.Error(d)
		}
		if s.To.Number() != "+46708251358" || unpackSeptets(s.Data, s.Length) != "hellohello" {
			t.Errorf("to %s: %q", s.To.Number(), unpackSeptets(s.Data, s.Length))
		}
		again, err := s.MarshalBinary()
		if err != nil || !bytes.Equal(again, unit) {
			t.Errorf("written again it is %X, %v", again, err)
		}
	})
	t.Run("a deliver with a centre", func(t *testing.T) {
		pdu := unhex(t, "07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37")
		centre, unit, err := SplitCentre(pdu)
		if err != nil || centre.Number() != "+27381000015" {
			t.Fatalf("the centre is %v, %v", centre, err)
		}
		d, err := ParseDeliver(unit)
		if err != nil {
			t.Fatal(err)
		}
		if d.More || d.From.Digits != "27838890001" || unpackSeptets(d.Data, d.Length) != "hellohello" {
			t.Errorf("it is %+v", d)
		}
		if want := time.Date(2099, 3, 29, 15, 16, 59, 0, time.FixedZone("", 2*3600)); !d.At.Equal(want) {
			t.Errorf("at %v, want %v", d.At, want)
		}
		whole, err := AppendCentre(nil, centre)
		if err != nil {
			t.Fatal(err)
		}
		again, err := d.MarshalBinary()
		if err != nil || !bytes.Equal(append(whole, again...), pdu) {
			t.Errorf("written again it is %X%X, %v", whole, again, err)
		}
	})
	t.Run("a deliver from a name", func(t *testing.T) {
		d := Deliver{From: Address{Type: Alphanumeric, Name: "Herald"}, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), UserData: UserData{DCS: UCS2, Length: 2, Data: []byte{0x4f, 0x60}}}
		unit, err := d.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if want := unhex(t, "040BD0C8B23CCC2603"); !bytes.Equal(unit[:9], want) {
			t.Errorf("written as %X, not %X", unit[:9], want)
		}
		back, err := ParseDeliver(unit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, back); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a status report", func(t *testing.T) {
		r, err := ParseStatusReport(unhex(t, "06E80B911326880736F4625012010000806250120151228000"))
		if err != nil {
			t.Fatal(err)
		}
		if r.More || r.Reference != 0xe8 || r.To.Number() != "+31628870634" || r.Status.Fate() != Delivered ||
			!r.At.Equal(time.Date(2026, 5, 21, 10, 0, 0, 0, time.FixedZone("", 2*3600))) || r.Done.Sub(r.At) != 15*time.Minute+22*time.Second {
			t.Errorf("it is %+v", r)
		}
	})
}

func TestStatusesMeanWhatTheStandardSays(t *testing.T) {
	for status, want := range map[Status]Fate{
		0x00: Delivered, 0x01: Delivered, 0x02: Delivered, 0x03: Expired, 0x10: Delivered,
		0x20: Trying, 0x25: Trying, 0x26: Expired, 0x30: Trying,
		0x40: Failed, 0x45: Failed, 0x46: Expired, 0x47: Failed, 0x49: Failed, 0x4a: Expired, 0x5f: Failed,
		0x60: Expired, 0x65: Expired, 0x7f: Expired, 0x80: Expired, 0xff: Expired,
	} {
		if got := status.Fate(); got != want {
			t.Errorf("%#x is %d, want %d", byte(status), got, want)
		}
	}
}

func TestDataCodingSchemes(t *testing.T) {
	for dcs, want := range map[DCS]struct {
		alphabet DCS
		septets  bool
		class    int
	}{
		0x00: {GSM7, true, -1}, 0x04: {Data8, false, -1}, 0x08: {UCS2, false, -1}, 0x0c: {GSM7, true, -1},
		0x10: {GSM7, true, 0}, 0x18: {UCS2, false, 0}, 0x20: {GSM7, false, -1}, 0x48: {UCS2, false, -1},
		0x84: {GSM7, true, -1}, 0xc0: {GSM7, true, -1}, 0xd8: {GSM7, true, -1}, 0xe0: {UCS2, false, -1},
		0xf0: {GSM7, true, 0}, 0xf5: {Data8, false, 1}, 0xf6: {Data8, false, 2},
	} {
		if dcs.Alphabet() != want.alphabet || dcs.Septets() != want.septets || dcs.Class() != want.class {
			t.Errorf("%#x is %#x, septets %v, class %d, want %+v", byte(dcs), dcs.Alphabet(), dcs.Septets(), dcs.Class(), want)
		}
	}
}

func TestAValidityIsNeverShorterThanAsked(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		time.Second: 5 * time.Minute, 5 * time.Minute: 5 * time.Minute, 12 * time.Hour: 12 * time.Hour,
		12*time.Hour + 1: 12*time.Hour + 30*time.Minute, day: day, day + 1: 2 * day, 30 * day: 30 * day,
		30*day + 1: 35 * day, 10000 * day: 63 * 7 * day,
	} {
		if got := ofRelative(relative(asked)); got != want {
			t.Errorf("%v becomes %v, want %v", asked, got, want)
		}
	}
	for vp := range 256 {
		if got := relative(ofRelative(byte(vp))); got != byte(vp) {
			t.Errorf("%d comes back as %d", vp, got)
		}
	}
}

func TestAnEnhancedValidityIsRead(t *testing.T) {
	for unit, want := range map[string]time.Duration{
		"0900049121430000" + "01AA0000000000" + "00":        4 * day,
		"0900049121430000" + "021E0000000000" + "00":        30 * time.Second,
		"0900049121430000" + "03214365000000" + "00":        12*time.Hour + 34*time.Minute + 56*time.Second,
		"0900049121430000" + "8700000000000000"[:14] + "00": 0,
	} {
		s, err := ParseSubmit(unhex(t, unit))
		if err != nil || s.Validity.For != want {
			t.Errorf("%s is valid for %v, %v, want %v", unit, s.Validity.For, err, want)
		}
	}
}

func TestAStampThatIsNoneCostsNoMessage(t *testing.T) {
	for name, stamp := range map[string]string{"zeros": "00000000000000", "month 13": "62311000000000", "letters": "FFFFFFFFFFFFFF", "30 February": "62200300000000"} {
		d, err := ParseDeliver(unhex(t, "0404912143"+"0000"+stamp+"00"))
		if err != nil || !d.At.IsZero() {
			t.Errorf("%s: %v, %v", name, d.At, err)
		}
	}
}

func TestWhatIsNoUnitIsRefused(t *testing.T) {
	long := append(unhex(t, "040B916407281553F80004"+"62501201000080"+"8D"), make([]byte, 141)...)
	for name, c := range map[string]struct {
		unit []byte
		want error
	}{
		"nothing":                      {nil, ErrShort},
		"an address of 21 semi-octets": {unhex(t, "0415910000"), ErrInvalid},
		"an address cut off":           {unhex(t, "040B9164"), ErrShort},
		"user data cut off":            {unhex(t, "0404912143000062501201000080"+"0AE8"), ErrShort},
		"141 octets of user data":      {long, ErrInvalid},
		"161 septets":                  {append(unhex(t, "0404912143000062501201000080A1"), make([]byte, 141)...), ErrInvalid},
		"more than any unit":           {make([]byte, 300), ErrInvalid},
		"a submit":                     {unhex(t, "0100049121430000"), ErrInvalid},
	} {
		if _, err := ParseDeliver(c.unit); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, _, err := SplitCentre([]byte{12, 0x91}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a centre of twelve octets: %v", err)
	}
	if _, _, err := SplitCentre(nil); !errors.Is(err, ErrShort) {
		t.Errorf("no centre: %v", err)
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	to := Address{Type: International, Digits: "123"}
	for name, s := range map[string]Submit{
		"no address":         {},
		"21 digits":          {To: Address{Type: Unknown, Digits: "123456789012345678901"}},
		"a letter":           {To: Address{Type: Unknown, Digits: "12x"}},
		"a name of twelve":   {To: Address{Type: Alphanumeric, Name: "abcdefghijkl"}},
		"length and data":    {To: to, UserData: UserData{Length: 3, Data: []byte{1}}},
		"too much user data": {To: to, UserData: UserData{DCS: UCS2, Length: 141, Data: make([]byte, 141)}},
		"another century":    {To: to, Validity: Validity{Until: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}},
	} {
		if unit, err := s.MarshalBinary(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %X, %v", name, unit, err)
		}
	}
	for _, number := range []string{"", "+", "12a4x", "+123456789012345678901"} {
		if _, err := Number(number); !errors.Is(err, ErrInvalid) {
			t.Errorf("the number %q: %v", number, err)
		}
	}
}

func TestANumberComesBack(t *testing.T) {
	for number, want := range map[string]string{"+86 138-0013-8000": "+8613800138000", "10086": "10086", "*100#": "*100#"} {
		a, err := Number(number)
		if err != nil || a.Number() != want {
			t.Errorf("%s is %s, %v", number, a.Number(), err)
		}
	}
}

var (
	anAddress = rapid.Custom(func(t *rapid.T) Address {
		if rapid.Bool().Draw(t, "name") {
			return Address{Type: Alphanumeric, Name: rapid.StringMatching(`[A-Za-z0-9]{1,11}`).Draw(t, "name")}
		}
		return Address{Type: rapid.SampledFrom([]byte{Unknown, International, 0xa1}).Draw(t, "type"), Digits: rapid.StringMatching(`[0-9*#abc]{1,20}`).Draw(t, "digits")}
	})
	aTime = rapid.Custom(func(t *rapid.T) time.Time {
		quarters := rapid.IntRange(-48, 56).Draw(t, "quarters")
		zone := time.UTC
		if quarters != 0 {
			zone = time.FixedZone("", quarters*900)
		}
		return time.Unix(rapid.Int64Range(946771200, 4102300000).Draw(t, "unix"), 0).In(zone)
	})
	userData = rapid.Custom(func(t *rapid.T) UserData {
		u := UserData{DCS: DCS(rapid.Byte().Draw(t, "dcs")), Header: rapid.Bool().Draw(t, "header")}
		u.Length = rapid.IntRange(0, MaxData).Draw(t, "length")
		u.Data = rapid.SliceOfN(rapid.Byte(), u.DCS.octets(u.Length), u.DCS.octets(u.Length)).Draw(t, "data")
		return u
	})
	sameMoment = cmp.Comparer(func(x, y time.Time) bool { return x.Equal(y) })
	emptyIsNil = cmp.Comparer(bytes.Equal)
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Submit{
			RejectDuplicates: rapid.Bool().Draw(t, "rd"), ReplyPath: rapid.Bool().Draw(t, "rp"), Report: rapid.Bool().Draw(t, "srr"),
			Reference: rapid.Byte().Draw(t, "mr"), To: anAddress.Draw(t, "to"), PID: rapid.Byte().Draw(t, "pid"), UserData: userData.Draw(t, "ud"),
		}
		switch rapid.IntRange(0, 2).Draw(t, "validity") {
		case 1:
			s.Validity.For = ofRelative(rapid.Byte().Draw(t, "vp"))
		case 2:
			s.Validity.Until = aTime.Draw(t, "until")
		}
		d := Deliver{
			More: rapid.Bool().Draw(t, "mms"), Loop: rapid.Bool().Draw(t, "lp"), ReplyPath: s.ReplyPath, Report: s.Report,
			From: s.To, PID: s.PID, At: aTime.Draw(t, "at"), UserData: s.UserData,
		}
		r := StatusReport{More: d.More, Loop: d.Loop, OfCommand: s.Report, Reference: s.Reference, At: d.At, Done: aTime.Draw(t, "done"), Status: Status(s.PID)}
		r.To = s.To
		check := func(want any, write func() ([]byte, error), read func([]byte) (any, error)) {
			unit, err := write()
			if err != nil {
				t.Fatalf("%+v: %v", want, err)
			}
			got, err := read(unit)
			if err != nil {
				t.Fatalf("%X: %v", unit, err)
			}
			if diff := cmp.Diff(want, got, sameMoment, emptyIsNil); diff != "" {
				t.Fatalf("%X: %s", unit, diff)
			}
			for n := range unit { // no part of it is taken for the whole
				if _, err := read(unit[:n]); !errors.Is(err, ErrShort) {
					t.Fatalf("the first %d octets of %X: %v", n, unit, err)
				}
			}
		}
		check(s, s.MarshalBinary, func(b []byte) (any, error) { return ParseSubmit(b) })
		check(d, d.MarshalBinary, func(b []byte) (any, error) { return ParseDeliver(b) })
		check(r, r.MarshalBinary, func(b []byte) (any, error) { return ParseStatusReport(b) })
	})
}

// FuzzParse: any bytes are read or refused, and what is read can be written
// and read again as the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"0011000B916407281553F80000AA0AE8329BFD4697D9EC37",
		"07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37",
		"0006E80B911326880736F4625012010000806250120151228000",
		"00040BD0C8721EC626030008625012010000800400480069",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, pdu []byte) {
		_, unit, err := SplitCentre(pdu)
		if err != nil || len(unit) == 0 {
			return
		}
		again := func(got any, err error, write func() ([]byte, error), read func([]byte) (any, error)) {
			if err != nil {
				if !errors.Is(err, ErrShort) && !errors.Is(err, ErrInvalid) {
					t.Fatalf("refused as %v", err)
				}
				return
			}
			written, err := write()
			if err != nil {
				return // such as an address of a type without its highest bit
			}
			back, err := read(written)
			if diff := cmp.Diff(got, back, sameMoment, emptyIsNil); err != nil || diff != "" {
				t.Fatalf("%X: %v %s", written, err, diff)
			}
		}
		switch TypeOf(unit[0]) {
		case TypeDeliver:
			d, err := ParseDeliver(unit)
			again(d, err, d.MarshalBinary, func(b []byte) (any, error) { return ParseDeliver(b) })
		case TypeSubmit:
			s, err := ParseSubmit(unit)
			again(s, err, s.MarshalBinary, func(b []byte) (any, error) { return ParseSubmit(b) })
		case TypeStatusReport:
			r, err := ParseStatusReport(unit)
			again(r, err, r.MarshalBinary, func(b []byte) (any, error) { return ParseStatusReport(b) })
		}
	})
}
