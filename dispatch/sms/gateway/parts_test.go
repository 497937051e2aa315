package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/dispatch/sms/parts"
	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const inParts = `
about: a gateway of tests, part by part
settings: {url: {about: its address}}
secrets: {callback: {about: the token}}
request:
  url: '{{.Settings.url}}/send'
  json:
    to: '{{.To}}'
    udh: '{{.Header}}'
    hex: '{{.Hex}}'
    octets: '{{.Octets}}'
    text: '{{.Text}}'
    part: '{{.Part}}/{{.Parts}}'
    coding: '{{.Encoding}}'
    key: '{{.Key}}'
    receipts: '{{.Receipts}}'
text: {parts: each}
answer:
  id: {json: /id}
  rules: [{status: 201, is: accepted}]
receipt:
  id: {query: id}
  state: {query: state}
  states: {delivered: ok, bounced: no}
trust: {token: '{{.Secrets.callback}}'}
`

// forgetful is a store whose notes fail when they are told to.
type forgetful struct {
	*parts.Store
	failing bool
}

func (f *forgetful) Accepted(ctx context.Context, account string, taken ...parts.Part) error {
	if f.failing {
		return errors.New("the database is away")
	}
	return f.Store.Accepted(ctx, account, taken...)
}

func newPartsLine(t *testing.T, description string, answer func(*heard) string) (*line, *forgetful) {
	t.Helper()
	store := &forgetful{Store: parts.NewStore(pgtest.New(t))}
	f := startFarEnd(t, false)
	f.answer = answer
	d, err := Parse("test.yaml", []byte(description))
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(d, Account{
		Name: "far", Settings: map[string]string{"url": f.url()}, Secrets: map[string]string{"callback": "0123456789abcdef"},
		Timeout: answerWithin, CallbackURL: "https://herald.example",
	}, store, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &line{f, openSession(t, g), t}, store
}

// fields are those of a request.
func (h *heard) field(name string) string {
	return scalar(step((&said{body: []byte(h.body)}).document(), []string{name}))
}

func longMessage() dispatch.Message {
	m := messageTo("+8613800138000")
	m.Content.Text = strings.Repeat("The kettle is 39 € now. ", 14) // three parts
	return m
}

func TestPartsGoInTheirOrderWithOneReference(t *testing.T) {
	l, _ := newPartsLine(t, inParts, nil)
	m := longMessage()
	r, err := l.Send(t.Context(), m)
	if err != nil || r.ProviderID != "id-1" || r.Account != "far" {
		t.Fatalf("it gives %+v, %v", r, err)
	}
	heard := l.heard()
	if len(heard) != 3 {
		t.Fatalf("there were %d requests", len(heard))
	}
	var text string
	for i, h := range heard {
		part := string(rune('1' + i))
		if h.field("part") != part+"/3" || h.field("coding") != "gsm7" || h.field("key") != m.DeliveryID.String()+"-"+part {
			t.Errorf("request %d says %s", i, h.body)
		}
		udh := h.field("udh")
		if len(udh) != 12 || udh[:6] != "050003" || udh[6:8] != heard[0].field("udh")[6:8] || udh[8:] != "030"+part {
			t.Errorf("its header is %s", udh)
		}
		if !strings.HasPrefix(h.field("octets"), udh) || len(h.field("octets")) > 280 {
			t.Errorf("its octets are %s", h.field("octets"))
		}
		text += h.field("text")
	}
	if text != m.Content.Text {
		t.Errorf("together they say %q", text)
	}
}

func TestOneMessageOfOnePartTouchesNoStore(t *testing.T) {
	l, store := newPartsLine(t, inParts, nil)
	store.Store = nil // it would fall over
	if r, err := l.Send(t.Context(), messageTo("+8613800138000")); err != nil || r.ProviderID != "id-1" {
		t.Errorf("it gives %+v, %v", r, err)
	}
	if h := l.heard()[0]; h.field("udh") != "" || h.field("part") != "1/1" || !strings.Contains(h.field("receipts"), deliveryKey) {
		t.Errorf("it says %s", h.body)
	}
}

func TestOnlyMissingPartsAreSentAgain(t *testing.T) {
	refuse := true
	var l *line
	l, _ = newPartsLine(t, inParts, func(h *heard) string {
		if refuse && h.field("part") == "2/3" {
			return reply(503, "")
		}
		return reply(201, `{"id":"`+h.field("part")+`"}`)
	})
	m := longMessage()
	_, err := l.Send(t.Context(), m)
	var failure *dispatch.SendError
	if !errors.As(err, &failure) || failure.Class != dispatch.Transient {
		t.Fatalf("it gives %v", err)
	}
	refuse = false
	r, err := l.Send(t.Context(), m)
	if err != nil || r.ProviderID != "1/3" {
		t.Fatalf("then it gives %+v, %v", r, err)
	}
	var order []string
	references := map[string]bool{}
	for _, h := range l.heard() {
		order = append(order, h.field("part"))
		references[h.field("udh")[6:8]] = true
	}
	if got := strings.Join(order, " "); got != "1/3 2/3 2/3 3/3" || len(references) != 1 {
		t.Errorf("the parts were %s, of %d references", got, len(references))
	}
}

func TestAPartThatCannotBeNotedLeavesDoubt(t *testing.T) {
	for class, answer := range map[dispatch.Class]string{
		dispatch.Doubt:     reply(503, ""),
		dispatch.Permanent: reply(400, ""),
	} {
		l, store := newPartsLine(t, inParts, func(h *heard) string {
			if h.field("part") == "3/3" {
				return answer
			}
			return reply(201, `{"id":"`+h.field("part")+`"}`)
		})
		store.failing = true
		_, err := l.Send(t.Context(), longMessage())
		var failure *dispatch.SendError
		if !errors.As(err, &failure) || failure.Class != class {
			t.Errorf("it gives %v, want %s", err, class)
		}
	}
}

func TestNothingIsSentThatCannotBeRemembered(t *testing.T) {
	l, _ := newPartsLine(t, inParts, nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Send(ended, longMessage())
	var failure *dispatch.SendError
	if !errors.As(err, &failure) || failure.Class != dispatch.Transient || len(l.heard()) > 0 {
		t.Errorf("it gives %v", err)
	}
}

// A report of a part is not yet one of the delivery: the store sums them up.
func TestReportsOfPartsAreSummedUp(t *testing.T) {
	for rule, description := range map[string]string{
		"by the provider's ids": inParts,
		"by ours, where the provider has none": strings.Replace(strings.Replace(inParts, "  id: {json: /id}\n", "", 1),
			"  id: {query: id}\n", "", 1),
	} {
		t.Run(rule, func(t *testing.T) {
			l, store := newPartsLine(t, description, nil)
			m := longMessage()
			if _, err := l.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			g := l.Session.(*session).gateway
			var sums []dispatch.Report
			for i, h := range l.heard() {
				called := callURL(t, h.field("receipts")+"&state=ok&id=id-"+string(rune('1'+i)))
				news, err := g.Read(Call{Kind: KindReceipt, Method: "GET", URL: called})
				if err != nil || len(news.Reports) != 1 || news.Reports[0].DeliveryID != uuid.Nil {
					t.Fatalf("the report is %+v, %v", news, err)
				}
				summed, err := store.Reports(t.Context(), news.Reports)
				if err != nil {
					t.Fatal(err)
				}
				sums = append(sums, summed...)
				if i < 2 && len(sums) > 0 {
					t.Errorf("after part %d it is thought to be delivered", i+1)
				}
			}
			if len(sums) == 0 || sums[0].DeliveryID != m.DeliveryID || sums[0].Event != dispatch.ReportDelivered {
				t.Errorf("together they say %+v", sums)
			}
		})
	}
}
