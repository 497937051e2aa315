package receipts

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"herald/dispatch"
	"herald/subscriptions"
)

// FuzzRead gives every provider's reader what anybody could have signed.
func FuzzRead(f *testing.F) {
	_, sendGridAccount := newSendGridKey(f)
	var schemes []scheme
	for _, a := range []Account{
		sendGridAccount,
		{Name: "a", Provider: Mailgun, Secret: mailgunKey},
		{Name: "a", Provider: Postmark, Secret: "a long password indeed"},
		{Name: "a", Provider: Twilio, Secret: twilioToken},
		{Name: "a", Provider: Standard, Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		{Name: "a", Provider: SES, Topic: testTopic},
	} {
		d := newDesk(f, a, func(c *Config) { c.Fetch = newAmazon(f).fetch })
		schemes = append(schemes, d.accounts[a.Provider+"/"+a.Name].scheme)
	}
	f.Add(0, sendGridBounce, "")
	f.Add(1, mailgunBody(testNow.AddDate(-1, 0, 0), "t", `"event":"failed","severity":"permanent","delivery-status":{"code":550,"message":"5.1.1 a@b.example"}`), "")
	f.Add(2, `{"RecordType":"Bounce","ID":42,"Type":"HardBounce","MessageID":"m","Details":"smtp;550 5.1.1 a@b.example"}`, "")
	f.Add(3, "MessageSid=SM1&MessageStatus=failed&ErrorCode=30005", "herald-delivery="+testDelivery.String())
	f.Add(4, `{"type":"delivery.bounced","data":{"provider_id":"p","channel":"sms","detail":"x"}}`, "")
	f.Add(5, `{"Type":"Notification","MessageId":"m","Message":"{\"eventType\":\"Bounce\",\"mail\":{\"messageId\":\"m\"},\"bounce\":{\"bounceType\":\"Permanent\"}}"}`, "")
	f.Fuzz(func(t *testing.T, which int, body, query string) {
		s := schemes[uint(which)%uint(len(schemes))]
		r := request{header: http.Header{"Webhook-Id": {"id"}}, url: &url.URL{Path: "/receipts/x/a", RawQuery: query}, body: []byte(body)}
		if err := s.verify(context.Background(), r); err == nil {
			t.Error("it is taken without a signature")
		}
		reports, err := s.read(context.Background(), r)
		if err != nil && len(reports) > 0 {
			t.Errorf("it gives reports and %v", err)
		}
		for _, report := range reports {
			check(t, report)
		}
	})
}

func check(t *testing.T, r dispatch.Report) {
	t.Helper()
	if r.Key == "" || len(r.Key) > 300 || r.Event == "" || r.Channel == subscriptions.Channel("") {
		t.Errorf("the report is %+v", r)
	}
	if r.DeliveryID == uuid.Nil && r.ProviderID == "" {
		t.Errorf("the report names no delivery: %+v", r)
	}
	if len(r.ProviderID) > maxID || len(r.Code) > maxID || strings.Contains(r.Detail, "a@b.example") {
		t.Errorf("the report is %+v", r)
	}
	if r.AddressDead && r.Event != dispatch.ReportBounced {
		t.Errorf("the address is dead by %s", r.Event)
	}
}
