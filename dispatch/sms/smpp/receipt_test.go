package smpp

import (
	"fmt"
	"net"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"herald/dispatch"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/smpp/pdu"
	"herald/postgres/pgtest"
)

func TestReceiptsAreReadAsMakersWriteThem(t *testing.T) {
	for name, c := range map[string]struct {
		m    pdu.Message
		want receipt // the zero receipt: it cannot be read
	}{
		"as the specification has it": {
			pdu.Message{ShortMessage: []byte("id:0123456789 sub:001 dlvrd:001 submit date:9912312359 done date:0001010001 stat:DELIVRD err:000 text:Hello")},
			receipt{id: "0123456789", state: pdu.Delivered, code: "000", done: "0001010001"},
		},
		"in other letters and order, without most": {
			pdu.Message{ShortMessage: []byte("Stat:Undeliv ID:ab-12 Err:27 Text:id:9 stat:DELIVRD")},
			receipt{id: "ab-12", state: pdu.Undeliverable, code: "27"},
		},
		"with seconds": {
			pdu.Message{ShortMessage: []byte("id:1 submit date:261122110000 done date:261122110001 stat:EXPIRED err:1")},
			receipt{id: "1", state: pdu.Expired, code: "1", done: "261122110001"},
		},
		"in a payload": {
			pdu.Message{Options: pdu.AppendOption(nil, pdu.MessagePayload, []byte("id:1 stat:REJECTD"))},
			receipt{id: "1", state: pdu.Rejected},
		},
		"in options": {
			pdu.Message{Options: pdu.AppendOption(pdu.AppendOption(nil, pdu.ReceiptedMessageID, []byte("77\x00")), pdu.MessageStateTag, []byte{2})},
			receipt{id: "77", state: pdu.Delivered},
		},
		"in both: the options count": {
			pdu.Message{ShortMessage: []byte("id:1 stat:ENROUTE"), Options: pdu.AppendOption(pdu.AppendOption(nil, pdu.ReceiptedMessageID, []byte("2")), pdu.MessageStateTag, []byte{5})},
			receipt{id: "2", state: pdu.Undeliverable},
		},
		"unknown to a GSM network": {
			pdu.Message{ShortMessage: []byte("id:1 stat:UNDELIV"), Options: pdu.AppendOption(nil, pdu.NetworkErrorCode, []byte{3, 0, 1})},
			receipt{id: "1", state: pdu.Undeliverable, dead: true},
		},
		"error 1 of another network": {
			pdu.Message{ShortMessage: []byte("id:1 stat:UNDELIV"), Options: pdu.AppendOption(nil, pdu.NetworkErrorCode, []byte{1, 0, 1})},
			receipt{id: "1", state: pdu.Undeliverable},
		},
		"without an id":           {pdu.Message{ShortMessage: []byte("stat:DELIVRD")}, receipt{}},
		"without a state":         {pdu.Message{ShortMessage: []byte("id:1")}, receipt{}},
		"a state nobody knows":    {pdu.Message{ShortMessage: []byte("id:1 stat:MAYBE")}, receipt{}},
		"the end of another word": {pdu.Message{ShortMessage: []byte("paid:1 stat:DELIVRD")}, receipt{}},
		"nothing":                 {pdu.Message{}, receipt{}},
	} {
		got, ok := parseReceipt(&c.m)
		if want := c.want != (receipt{}); ok != want || ok && got != c.want {
			t.Errorf("%s: it is %+v, %v, want %+v", name, got, ok, c.want)
		}
	}
}

func TestReceiptsAreToldFromTexts(t *testing.T) {
	both := pdu.AppendOption(pdu.AppendOption(nil, pdu.ReceiptedMessageID, []byte("2")), pdu.MessageStateTag, []byte{5})
	for name, c := range map[string]struct {
		m    pdu.Message
		want bool
	}{
		"marked":                      {pdu.Message{ESMClass: 0x04}, true},
		"on its way":                  {pdu.Message{ESMClass: 0x20}, true},
		"by its options":              {pdu.Message{Options: both}, true},
		"a text with a header":        {pdu.Message{ESMClass: 0x40}, false},
		"a text that looks like one":  {pdu.Message{ShortMessage: []byte("id:1 stat:DELIVRD")}, false},
		"a phone's acknowledgement":   {pdu.Message{ESMClass: 0x10}, false},
		"a marked one, with a header": {pdu.Message{ESMClass: 0x44}, true},
	} {
		if got := isReceipt(&c.m); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestStatesMeanWhatTheyShould(t *testing.T) {
	c := newClient(t, Account{Name: "a", Host: "h", SystemID: "s"}, nil)
	for state, want := range map[pdu.State]dispatch.ReportEvent{
		pdu.Enroute: dispatch.ReportDelayed, pdu.Delivered: dispatch.ReportDelivered, pdu.Expired: dispatch.ReportExpired,
		pdu.Deleted: dispatch.ReportBounced, pdu.Undeliverable: dispatch.ReportBounced, pdu.Accepted: dispatch.ReportDelayed,
		pdu.UnknownState: dispatch.ReportDelayed, pdu.Rejected: dispatch.ReportBounced, 9: dispatch.ReportDelayed,
	} {
		m := pdu.Message{ESMClass: pdu.ESMReceipt, Options: pdu.AppendOption(pdu.AppendOption(nil, pdu.ReceiptedMessageID, []byte("2")), pdu.MessageStateTag, []byte{byte(state)})}
		if r, ok := c.report(&m); !ok || r.Event != want {
			t.Errorf("%v means %s, want %s", state, r.Event, want)
		}
	}
	m := pdu.Message{ESMClass: pdu.ESMIntermediate, ShortMessage: []byte("id:1 stat:DELIVRD")}
	if r, _ := c.report(&m); r.Event != dispatch.ReportDelayed {
		t.Errorf("what is on its way means %s", r.Event)
	}
}

// TestIDsAreFoundOut whatever numbers they are.
func TestIDsAreFoundOut(t *testing.T) {
	decimal, hex, wide := "%d", "%X", "%010d"
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SampledFrom([]string{decimal, hex, wide}).Draw(t, "in answers")
		out := rapid.SampledFrom([]string{decimal, "%x"}).Draw(t, "in receipts")
		if in == hex && out == "%x" || in != hex && out == decimal {
			out = in // alike
		}
		d := newIDs(idsAuto)
		numbers := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 1<<40), 2, 20, rapid.ID[uint64]).Draw(t, "ids")
		recorded := map[uint64]string{}
		for _, n := range numbers {
			recorded[n] = d.answered(fmt.Sprintf(in, n), "+"+strconv.FormatUint(n, 10))
		}
		for _, n := range numbers {
			if got := d.reported(fmt.Sprintf(out, n), "+"+strconv.FormatUint(n, 10)); got != recorded[n] {
				t.Fatalf("%d is recorded as %s, and reported as %s", n, recorded[n], got)
			}
		}
		// What is sent later, too.
		after := d.answered(fmt.Sprintf(in, 77), "+77")
		if got := d.reported(fmt.Sprintf(out, 77), "+77"); got != after {
			t.Fatalf("77 is recorded as %s, and reported as %s", after, got)
		}
	})
}

// TestAReceiptMayFollowItsAnswerAtOnce: who submitted has not looked at the
// answer yet when the receipt is read, whose id is in the other form.
func TestAReceiptMayFollowItsAnswerAtOnce(t *testing.T) {
	t.Parallel()
	client := newClient(t, accountAt(t, centre(t, func(conn net.Conn, in *pdu.Reader) {
		h, _, err := in.Next()
		if err != nil {
			t.Error(err)
			return
		}
		both, err := pdu.AppendMessageResp(nil, h.Command, h.Sequence, "a0b0c1")
		if err == nil {
			both, err = pdu.AppendMessage(both, pdu.DeliverSM, 1, &pdu.Message{
				Source: pdu.Address{TON: 1, NPI: 1, Number: "8613800000206"}, Destination: pdu.Address{Number: "SHOP"}, ESMClass: pdu.ESMReceipt,
				ShortMessage: []byte("id:10531009 sub:001 dlvrd:001 stat:DELIVRD err:000 text:hello"),
			})
		}
		if err == nil {
			_, err = conn.Write(both)
		}
		for err == nil { // until we leave
			_, _, err = in.Next()
		}
	})), parts.NewStore(pgtest.New(t)))
	heard := listen(t, client)
	r, err := open(t, client).Send(t.Context(), to("+8613800000206", "hello"))
	if err != nil {
		t.Fatal(err)
	}
	heard.reported(r.ProviderID, dispatch.ReportDelivered)
}

func TestIDsThatAreNoNumbersStay(t *testing.T) {
	for _, form := range []string{idsAuto, idsSame, idsHexDecimal, idsDecimalHex} {
		d := newIDs(form)
		for _, id := range []string{"", "00ab-XY.9", "0123456789abcdef0123456789ABCDEF-1"} {
			if answered, reported := d.answered(id, "+1"), d.reported(id, "+1"); answered != id || reported != id {
				t.Errorf("%s: %q is recorded as %q, and reported as %q", form, id, answered, reported)
			}
		}
	}
}
