package pdu

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	octets, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(text))
	if err != nil {
		t.Fatal(err)
	}
	return octets
}

// one reads a single unit.
func one(t testing.TB, unit []byte) (Header, []byte) {
	t.Helper()
	r := NewReader(bytes.NewReader(unit))
	h, body, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Next(); err != io.EOF {
		t.Errorf("behind the unit there is %v, want its end", err)
	}
	return h, body
}

// TestBindIsTheSpecificationsExample is the unit that section 3.2.2 shows.
func TestBindIsTheSpecificationsExample(t *testing.T) {
	want := unhex(t, `00 00 00 2F 00 00 00 02 00 00 00 00 00 00 00 01
		53 4D 50 50 33 54 45 53 54 00 73 65 63 72 65 74 30 38 00
		53 55 42 4D 49 54 31 00 00 01 01 00`)
	bind := Bind{SystemID: "SMPP3TEST", Password: "secret08", SystemType: "SUBMIT1", TON: 1, NPI: 1}
	unit, err := AppendBind(nil, BindTransmitter, 1, bind)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(unit, want) {
		t.Errorf("it is\n%x, want\n%x", unit, want)
	}
	h, body := one(t, want)
	if h != (Header{BindTransmitter, OK, 1}) {
		t.Errorf("the header is %+v", h)
	}
	if got, err := ParseBind(body); err != nil || got != bind {
		t.Errorf("it reads as %+v, %v", got, err)
	}
}

func TestMessagesComeBackAsTheyWere(t *testing.T) {
	number := rapid.Custom(func(t *rapid.T) Address {
		return Address{TON(rapid.Byte().Draw(t, "ton")), NPI(rapid.Byte().Draw(t, "npi")), rapid.StringMatching(`[0-9A-Za-z]{0,20}`).Draw(t, "number")}
	})
	when := rapid.StringMatching(`([0-9]{15}[+R])?`)
	rapid.Check(t, func(t *rapid.T) {
		m := Message{
			ServiceType: rapid.StringMatching(`[A-Z]{0,5}`).Draw(t, "service"), Source: number.Draw(t, "source"), Destination: number.Draw(t, "destination"),
			ESMClass: rapid.Byte().Draw(t, "esm"), ProtocolID: rapid.Byte().Draw(t, "protocol"), Priority: rapid.Byte().Draw(t, "priority"),
			Schedule: when.Draw(t, "schedule"), Validity: when.Draw(t, "validity"),
			RegisteredDelivery: rapid.Byte().Draw(t, "registered"), ReplaceIfPresent: rapid.Byte().Draw(t, "replace"),
			DataCoding: rapid.Byte().Draw(t, "coding"), DefaultMessageID: rapid.Byte().Draw(t, "default"),
			ShortMessage: rapid.SliceOfN(rapid.Byte(), 1, MaxShortMessage).Draw(t, "text"),
			Options:      AppendOption16(AppendOption(nil, 7, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "option")), UserMessageReference, 513),
		}
		unit, err := AppendMessage([]byte("before"), SubmitSM, 9, &m)
		if err != nil {
			t.Fatal(err)
		}
		h, body, err := NewReader(bytes.NewReader(unit[len("before"):])).Next()
		if err != nil || h != (Header{SubmitSM, OK, 9}) {
			t.Fatalf("the header is %+v, %v", h, err)
		}
		got, err := ParseMessage(body)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Fatalf("it is\n%+v, was\n%+v", got, m)
		}
		if reference, found := got.Options.Number(UserMessageReference); !found || reference != 513 {
			t.Fatalf("the reference is %d, %v", reference, found)
		}
	})
}

func TestAnswersComeBackAsTheyWere(t *testing.T) {
	unit, err := AppendBindResp(nil, BindTransceiver, 3, "smsc")
	if err != nil {
		t.Fatal(err)
	}
	h, body := one(t, unit)
	if name, version, err := ParseBindResp(body); h.Command != BindTransceiver.Response() || name != "smsc" || version != Version34 || err != nil {
		t.Errorf("bind_resp: %+v %q %x %v", h, name, version, err)
	}
	unit, err = AppendMessageResp(nil, SubmitSM, 4, "0a1b")
	if err != nil {
		t.Fatal(err)
	}
	if _, body = one(t, unit); string(body) != "0a1b\x00" {
		t.Errorf("the body is %q", body)
	}
	for _, c := range []struct {
		body, id string
	}{{"0a1b\x00", "0a1b"}, {"", ""}, {"no zero", "no zero"}, {"\x00", ""}, {"a\x00more", "a"}} {
		if id, err := ParseMessageResp([]byte(c.body)); id != c.id || err != nil {
			t.Errorf("%q is the id %q, %v", c.body, id, err)
		}
	}
	want := QueryResp{MessageID: "77", FinalDate: "261122110000000+", State: Undeliverable, ErrorCode: 9}
	unit, err = AppendQueryResp(nil, 5, want)
	if err != nil {
		t.Fatal(err)
	}
	_, body = one(t, unit)
	if got, err := ParseQueryResp(body); got != want || err != nil {
		t.Errorf("query_resp: %+v %v", got, err)
	}
	question := Query{MessageID: "77", Source: Address{International, ISDN, "861380"}}
	if unit, err = AppendQuery(nil, 6, question); err != nil {
		t.Fatal(err)
	}
	_, body = one(t, unit)
	if got, err := ParseQuery(body); got != question || err != nil {
		t.Errorf("query: %+v %v", got, err)
	}
	h, body = one(t, AppendBare(nil, SubmitSM.Response(), RTHROTTLED, 7))
	if h != (Header{SubmitSM.Response(), RTHROTTLED, 7}) || len(body) != 0 {
		t.Errorf("a refusal is %+v with %x", h, body)
	}
}

func TestDataComesBackAsItWas(t *testing.T) {
	m := Message{Source: Address{Alphanumeric, UnknownPlan, "SHOP"}, Destination: Address{International, ISDN, strings.Repeat("7", 64)}, DataCoding: 8, Options: AppendOption(nil, MessagePayload, []byte{0x4e, 0x2d})}
	unit, err := AppendData(nil, 8, &m)
	if err != nil {
		t.Fatal(err)
	}
	_, body := one(t, unit)
	got, err := ParseData(body)
	if err != nil || !reflect.DeepEqual(got, m) || string(got.Text()) != "\x4e\x2d" {
		t.Errorf("it is %+v, %v", got, err)
	}
}

func TestFieldsThatDoNotFitAreRefused(t *testing.T) {
	long, zero := strings.Repeat("1", 70), "1\x002"
	for name, write := range map[string]func(text string) ([]byte, error){
		"system_id": func(s string) ([]byte, error) { return AppendBind(nil, BindReceiver, 1, Bind{SystemID: s}) },
		"password":  func(s string) ([]byte, error) { return AppendBind(nil, BindReceiver, 1, Bind{Password: s}) },
		"range":     func(s string) ([]byte, error) { return AppendBind(nil, BindReceiver, 1, Bind{AddressRange: s}) },
		"bind_resp": func(s string) ([]byte, error) { return AppendBindResp(nil, BindReceiver, 1, s) },
		"id":        func(s string) ([]byte, error) { return AppendMessageResp(nil, SubmitSM, 1, s) },
		"service":   func(s string) ([]byte, error) { return AppendMessage(nil, SubmitSM, 1, &Message{ServiceType: s}) },
		"source": func(s string) ([]byte, error) {
			return AppendMessage(nil, SubmitSM, 1, &Message{Source: Address{Number: s}})
		},
		"schedule":   func(s string) ([]byte, error) { return AppendMessage(nil, SubmitSM, 1, &Message{Schedule: s}) },
		"validity":   func(s string) ([]byte, error) { return AppendMessage(nil, SubmitSM, 1, &Message{Validity: s}) },
		"data":       func(s string) ([]byte, error) { return AppendData(nil, 1, &Message{ServiceType: s}) },
		"query":      func(s string) ([]byte, error) { return AppendQuery(nil, 1, Query{MessageID: s}) },
		"query_resp": func(s string) ([]byte, error) { return AppendQueryResp(nil, 1, QueryResp{FinalDate: s}) },
		"destination": func(s string) ([]byte, error) {
			return AppendMessage(nil, DeliverSM, 1, &Message{Destination: Address{Number: s}})
		},
	} {
		if unit, err := write(long); !errors.Is(err, ErrTooLong) || len(unit) > 0 {
			t.Errorf("%s: too long gives %v and %x", name, err, unit)
		}
		if unit, err := write(zero); !errors.Is(err, ErrZeroOctet) || len(unit) > 0 {
			t.Errorf("%s: a zero octet gives %v and %x", name, err, unit)
		}
	}
	if _, err := AppendMessage(nil, SubmitSM, 1, &Message{ShortMessage: make([]byte, 255)}); !errors.Is(err, ErrTooLong) {
		t.Errorf("a short_message of 255 octets gives %v", err)
	}
	options := AppendOption(AppendOption(nil, MessagePayload, make([]byte, 0xFFFF)), 7, make([]byte, 0xFFFF))
	if _, err := AppendMessage(nil, SubmitSM, 1, &Message{Options: options}); !errors.Is(err, ErrTooLong) {
		t.Errorf("options of 128 KiB give %v", err)
	}
	if _, err := AppendData(nil, 1, &Message{Options: options}); !errors.Is(err, ErrTooLong) {
		t.Errorf("options of 128 KiB give %v", err)
	}
}

func TestWhatIsCutOffIsRefused(t *testing.T) {
	m := Message{Source: Address{Number: "1"}, ShortMessage: []byte("text"), Options: AppendOption16(nil, UserMessageReference, 1)}
	unit, err := AppendMessage(nil, SubmitSM, 1, &m)
	if err != nil {
		t.Fatal(err)
	}
	body := unit[HeaderLength:]
	withoutOptions := len(body) - len(m.Options)
	for n := range len(body) {
		if _, err := ParseMessage(body[:n]); err == nil && n != withoutOptions {
			t.Errorf("%d of %d octets are read", n, len(body))
		}
	}
	if _, err := ParseBind(bytes.Repeat([]byte{'x'}, 20)); !errors.Is(err, ErrTooLong) {
		t.Errorf("a system_id of 20 octets gives %v", err)
	}
}

func TestReaderBelievesNoLength(t *testing.T) {
	for name, c := range map[string]struct {
		octets string
		want   error
	}{
		"nothing":           {"", io.EOF},
		"half a header":     {"0000", io.ErrUnexpectedEOF},
		"half a body":       {"00000012 00000004 00000000 00000001 00", io.ErrUnexpectedEOF},
		"no body":           {"00000011 00000004 00000000 00000001", io.ErrUnexpectedEOF},
		"shorter than one":  {"0000000F 00000004 00000000 00000001", ErrLength},
		"zero":              {"00000000 00000004 00000000 00000001", ErrLength},
		"four gigabytes":    {"FFFFFFFF 00000004 00000000 00000001", ErrLength},
		"a little too long": {"00011001 00000004 00000000 00000001", ErrLength},
	} {
		if _, _, err := NewReader(bytes.NewReader(unhex(t, c.octets))).Next(); !errors.Is(err, c.want) {
			t.Errorf("%s gives %v, want %v", name, err, c.want)
		}
	}
}

// TestReaderGivesAllOfManyUnits in whatever pieces they come.
func TestReaderGivesAllOfManyUnits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []byte
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, MaxLength-HeaderLength)), 1, 12).Draw(t, "sizes")
		for i, size := range sizes {
			start := len(all)
			all = append(Begin(all, DeliverSM, OK, uint32(i)), bytes.Repeat([]byte{byte(i)}, size)...)
			End(all, start)
		}
		in := io.Reader(bytes.NewReader(all))
		if rapid.Bool().Draw(t, "halves") {
			in = iotest.HalfReader(in)
		}
		r := NewReader(in)
		for i, size := range sizes {
			h, body, err := r.Next()
			if err != nil || h.Sequence != uint32(i) || !bytes.Equal(body, bytes.Repeat([]byte{byte(i)}, size)) {
				t.Fatalf("unit %d is %+v with %d octets, %v", i, h, len(body), err)
			}
		}
		if r.Buffered() {
			t.Fatal("something is left")
		}
	})
}

func TestNamesAreTheSpecifications(t *testing.T) {
	for got, want := range map[string]string{
		SubmitSM.String(): "submit_sm", DeliverSM.Response().String(): "deliver_sm_resp", GenericNack.String(): "generic_nack",
		Command(0x77).String(): "command 0x00000077", RTHROTTLED.String(): "RTHROTTLED 0x58", RXTAPPN.String(): "RX_T_APPN 0x64",
		Status(0x401).String(): "0x00000401", Delivered.String(): "DELIVRD", State(99).String(): "UNKNOWN",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if s, known := ParseState("REJECTD"); s != Rejected || !known {
		t.Errorf("REJECTD is %v", s)
	}
	if s, known := ParseState("delivered"); s != UnknownState || known {
		t.Errorf("delivered is %v, %v", s, known)
	}
	if !Status(0x4FF).IsVendors() || Status(0x58).IsVendors() {
		t.Error("who defines a status is not told apart")
	}
}

func FuzzUnits(f *testing.F) {
	for _, unit := range [][]byte{
		AppendBare(nil, EnquireLink, OK, 1),
		{0, 0, 0, 0x12, 0x80, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 0},
	} {
		f.Add(unit)
	}
	whole, err := AppendMessage(nil, SubmitSM, 1, &Message{ShortMessage: []byte("text"), Options: AppendOption16(nil, UserMessageReference, 1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, octets []byte) {
		r := NewReader(bytes.NewReader(octets))
		for {
			_, body, err := r.Next()
			if err != nil {
				return
			}
			if m, err := ParseMessage(body); err == nil {
				again, err := AppendMessage(nil, SubmitSM, 1, &m)
				if err == nil && !bytes.Equal(again[HeaderLength:], body) {
					t.Errorf("%x is written as %x", body, again[HeaderLength:])
				}
				m.Options.Text(ReceiptedMessageID)
			}
			_, _ = ParseData(body)
			_, _ = ParseBind(body)
			_, _, _ = ParseBindResp(body)
			_, _ = ParseMessageResp(body)
			_, _ = ParseQuery(body)
			_, _ = ParseQueryResp(body)
		}
	})
}
