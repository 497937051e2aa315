package receipts

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"herald/dispatch"
	"herald/subscriptions"
)

// TestSendGridsOwnExample is the example of SendGrid's libraries
// (sendgrid-go, helpers/eventwebhook): their key, signature and bytes.
func TestSendGridsOwnExample(t *testing.T) {
	d := newDesk(t, Account{Name: "bulk", Provider: SendGrid, Secret: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="}, nil)
	d.now = time.Unix(1600112600, 0)
	body := `[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]` + "\r\n"
	header := http.Header{
		"X-Twilio-Email-Event-Webhook-Signature": {"MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="},
		"X-Twilio-Email-Event-Webhook-Timestamp": {"1600112502"},
	}
	wantStatus(t, d.post("/receipts/sendgrid/bulk", body, header), 200)
	wantReports(t, d, dispatch.Report{
		Account: "bulk", ProviderID: "LRzXl_NHStOGhQ4kofSm_A", Channel: subscriptions.Email,
		Event: dispatch.ReportBounced, Detail: "Bounced Address", AddressDead: true, At: time.Unix(1600112492, 0).UTC(),
	})
	wantStatus(t, d.post("/receipts/sendgrid/bulk", strings.TrimSpace(body), header), 401)
}

type wanted struct {
	event dispatch.ReportEvent
	code  string
	dead  bool
}

func wantOne(t *testing.T, d *desk, want wanted) {
	t.Helper()
	if want.event == "" {
		if len(d.reports) != 0 {
			t.Errorf("the reports are %+v", d.reports)
		}
		return
	}
	if len(d.reports) != 1 {
		t.Fatalf("the reports are %+v", d.reports)
	}
	r := d.reports[0]
	if got := (wanted{r.Event, r.Code, r.AddressDead}); got != want || r.DeliveryID != testDelivery {
		t.Errorf("the report is %+v, want %+v", r, want)
	}
	if strings.Contains(r.Detail, "@") {
		t.Errorf("the detail %q has an address", r.Detail)
	}
}

func TestSendGridEvents(t *testing.T) {
	key, account := newSendGridKey(t)
	for body, want := range map[string]wanted{
		`"event":"processed"`: {},
		`"event":"delivered","response":"250 2.0.0 OK for jane@b.example"`:                    {dispatch.ReportDelivered, "2.0.0", false},
		`"event":"deferred","response":"451 4.7.1 later","attempt":"5"`:                       {dispatch.ReportDelayed, "4.7.1", false},
		`"event":"bounce","type":"bounce","status":"5.1.1","reason":"550 5.1.1 unknown"`:      {dispatch.ReportBounced, "5.1.1", true},
		`"event":"bounce","type":"bounce","status":"5.2.2","reason":"552 5.2.2 full"`:         {dispatch.ReportBounced, "5.2.2", false},
		`"event":"bounce","type":"blocked","status":"5.1.1","reason":"550 your IP is listed"`: {dispatch.ReportBounced, "5.1.1", false},
		`"event":"dropped","reason":"Unsubscribed Address"`:                                   {dispatch.ReportUnsubscribed, "", false},
		`"event":"dropped","reason":"Spam Reporting Address"`:                                 {dispatch.ReportComplained, "", false},
		`"event":"open"`:                        {dispatch.ReportRead, "", false},
		`"event":"open","sg_machine_open":true`: {},
		`"event":"click","url":"https://x"`:     {dispatch.ReportRead, "", false},
		`"event":"spamreport"`:                  {dispatch.ReportComplained, "", false},
		`"event":"unsubscribe"`:                 {dispatch.ReportUnsubscribed, "", false},
		`"event":"group_resubscribe"`:           {},
	} {
		t.Run(body, func(t *testing.T) {
			d := newDesk(t, account, nil)
			// One that cannot be read stands before it.
			whole := fmt.Sprintf(`[{"event":7},{"email":"jane@b.example","timestamp":1795348000,"sg_event_id":"e","sg_message_id":"m","smtp-id":"<%s@shop.example>",%s}]`, testDelivery, body)
			wantStatus(t, d.post("/receipts/sendgrid/bulk", whole, key.header(t, testNow, whole)), 200)
			wantOne(t, d, want)
		})
	}
}

const mailgunKey = "key-0123456789abcdef"

func mailgunBody(at time.Time, token, event string) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(mailgunKey))
	mac.Write([]byte(stamp + token))
	return fmt.Sprintf(`{"signature":{"timestamp":%q,"token":%q,"signature":%q},"event-data":{"id":"x","timestamp":1795348000.25,"recipient":"jane@b.example","user-variables":{"herald-delivery":%q,"n":1},"message":{"headers":{"message-id":"abc@mg.example"}},%s}}`,
		stamp, token, hex.EncodeToString(mac.Sum(nil)), testDelivery, event)
}

func TestMailgunEvents(t *testing.T) {
	for event, want := range map[string]wanted{
		`"event":"accepted"`: {},
		`"event":"delivered","delivery-status":{"code":250,"message":"OK"}`:                                                                                         {dispatch.ReportDelivered, "", false},
		`"event":"failed","severity":"temporary","reason":"generic","delivery-status":{"code":451,"enhanced-code":"4.7.1","message":"4.7.1 later"}`:                 {dispatch.ReportDelayed, "4.7.1", false},
		`"event":"failed","severity":"permanent","reason":"bounce","delivery-status":{"code":550,"enhanced-code":"5.1.1","message":"5.1.1 jane@b.example unknown"}`: {dispatch.ReportBounced, "5.1.1", true},
		`"event":"failed","severity":"permanent","reason":"bounce","delivery-status":{"code":550,"message":"no such user here"}`:                                    {dispatch.ReportBounced, "550", true},
		`"event":"failed","severity":"permanent","reason":"suppress-bounce","delivery-status":{"code":605,"description":"Not delivering to previously bounced"}`:    {dispatch.ReportBounced, "", true},
		`"event":"failed","severity":"permanent","reason":"suppress-complaint","delivery-status":{"code":607}`:                                                      {dispatch.ReportComplained, "", false},
		`"event":"failed","severity":"permanent","reason":"suppress-unsubscribe"`:                                                                                   {dispatch.ReportUnsubscribed, "", false},
		`"event":"failed","severity":"permanent","reason":"old","delivery-status":{"code":602,"message":"Too old"}`:                                                 {dispatch.ReportExpired, "", false},

		`"event":"rejected","reject":{"reason":"x"}`:     {dispatch.ReportBounced, "", false},
		`"event":"opened","client-info":{"bot":""}`:      {dispatch.ReportRead, "", false},
		`"event":"opened","client-info":{"bot":"apple"}`: {},

		`"event":"complained"`:   {dispatch.ReportComplained, "", false},
		`"event":"unsubscribed"`: {dispatch.ReportUnsubscribed, "", false},
	} {
		t.Run(event, func(t *testing.T) {
			d := newDesk(t, Account{Name: "mg", Provider: Mailgun, Secret: mailgunKey}, nil)
			wantStatus(t, d.post("/receipts/mailgun/mg", mailgunBody(testNow, "t", event), nil), 200)
			wantOne(t, d, want)
		})
	}
}

func TestMailgunSignatures(t *testing.T) {
	d := newDesk(t, Account{Name: "mg", Provider: Mailgun, Secret: mailgunKey}, nil)
	const event = `"event":"complained"`
	good := mailgunBody(testNow, "token", event)
	for _, c := range []struct {
		rule, body string
		status     int
	}{
		{"another token", strings.Replace(good, `"token":"token"`, `"token":"other"`, 1), 401},
		{"a digit moved from the time to the token", strings.NewReplacer(`"timestamp":"1795348800"`, `"timestamp":"179534880"`, `"token":"token"`, `"token":"0token"`).Replace(good), 401},
		{"no signature", `{"event-data":{"event":"complained"}}`, 401},
		{"not JSON", `event=complained`, 401},
		{"a try within eight hours", mailgunBody(testNow.Add(-8*time.Hour), "late", event), 200},
		{"too old", mailgunBody(testNow.Add(-10*time.Hour), "old", event), 400},
	} {
		t.Run(c.rule, func(t *testing.T) { wantStatus(t, d.post("/receipts/mailgun/mg", c.body, nil), c.status) })
	}
}

// TestMailgunsTokenTellsOneStory: the body is not signed, so who has seen a
// request could write another body to its signature.
func TestMailgunsTokenTellsOneStory(t *testing.T) {
	d := newDesk(t, Account{Name: "mg", Provider: Mailgun, Secret: mailgunKey}, nil)
	wantStatus(t, d.post("/receipts/mailgun/mg", mailgunBody(testNow, "t", `"event":"delivered"`), nil), 200)
	wantStatus(t, d.post("/receipts/mailgun/mg", mailgunBody(testNow, "t", `"event":"complained"`), nil), 200)
	if len(d.reports) != 1 || d.reports[0].Event != dispatch.ReportDelivered {
		t.Errorf("the reports are %+v", d.reports)
	}
}

func TestPostmarkEvents(t *testing.T) {
	for body, want := range map[string]wanted{
		`"RecordType":"Delivery","DeliveredAt":"2026-11-22T11:00:00Z","Details":"250 2.0.0 ok"`:                                 {dispatch.ReportDelivered, "2.0.0", false},
		`"RecordType":"Bounce","ID":42,"Type":"HardBounce","Details":"smtp;550 5.1.1 jane@b.example unknown"`:                   {dispatch.ReportBounced, "5.1.1", true},
		`"RecordType":"Bounce","ID":42,"Type":"BadEmailAddress"`:                                                                {dispatch.ReportBounced, "", true},
		`"RecordType":"Bounce","ID":42,"Type":"SoftBounce","Details":"smtp;552 5.2.2 full"`:                                     {dispatch.ReportBounced, "5.2.2", false},
		`"RecordType":"Bounce","ID":42,"Type":"Transient","Details":"smtp;451 4.3.0 later"`:                                     {dispatch.ReportDelayed, "4.3.0", false},
		`"RecordType":"Bounce","ID":42,"Type":"AutoResponder","Details":"I am away 5.1.1"`:                                      {},
		`"RecordType":"Bounce","ID":42,"Type":"Unsubscribe"`:                                                                    {dispatch.ReportUnsubscribed, "", false},
		`"RecordType":"SpamComplaint","ID":43,"Type":"SpamComplaint"`:                                                           {dispatch.ReportComplained, "", false},
		`"RecordType":"Open","ReceivedAt":"2026-11-22T11:00:00Z"`:                                                               {dispatch.ReportRead, "", false},
		`"RecordType":"SubscriptionChange","SuppressSending":true,"SuppressionReason":"ManualSuppression","Origin":"Recipient"`: {dispatch.ReportUnsubscribed, "", false},
		`"RecordType":"SubscriptionChange","SuppressSending":true,"SuppressionReason":"ManualSuppression","Origin":"Admin"`:     {},
		`"RecordType":"SubscriptionChange","SuppressSending":false,"SuppressionReason":null,"Origin":"Recipient"`:               {},
	} {
		t.Run(body, func(t *testing.T) {
			d := newDesk(t, Account{Name: "pm", Provider: Postmark, Secret: "a long password indeed"}, nil)
			whole := fmt.Sprintf(`{"MessageID":"883953f4-6105-42a2-a16a-77a8eac79483","Metadata":{"herald-delivery":%q},%s}`, testDelivery, body)
			wantStatus(t, d.post("/receipts/postmark/pm", whole, basic("herald", "a long password indeed")), 200)
			wantOne(t, d, want)
		})
	}
}

func basic(username, password string) http.Header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(username, password)
	return r.Header
}

func TestPostmarkNeedsItsPassword(t *testing.T) {
	d := newDesk(t, Account{Name: "pm", Provider: Postmark, Secret: "a long password indeed"}, nil)
	for _, header := range []http.Header{nil, basic("herald", ""), basic("herald", "another"), basic("other", "a long password indeed")} {
		w := d.post("/receipts/postmark/pm", `{}`, header)
		wantStatus(t, w, 401)
		if w.Header().Get("WWW-Authenticate") == "" {
			t.Error("it does not say how")
		}
	}
}

// TestTwiliosOwnExamples are those of Twilio's libraries (RequestValidator).
func TestTwiliosOwnExamples(t *testing.T) {
	address, err := url.Parse("https://mycompany.com/myapp.php?foo=1&bar=2")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ form, signature string }{
		{"CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309", "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
		{"Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234", "IK+Dwps556ElfBT0I3Rgjkr1wJU="},
	} {
		s := twilio{token: []byte("12345"), public: &url.URL{Scheme: "https", Host: "mycompany.com"}}
		r := request{header: http.Header{"X-Twilio-Signature": {c.signature}}, url: &url.URL{Path: address.Path, RawQuery: address.RawQuery}, body: []byte(c.form)}
		if err := s.verify(t.Context(), r); err != nil {
			t.Errorf("%s: %v", c.form, err)
		}
		r.body = append(r.body, "&x=y"...)
		if err := s.verify(t.Context(), r); err == nil {
			t.Errorf("%s with another parameter is taken", c.form)
		}
	}
}

const twilioToken = "0123456789abcdef0123456789abcdef"

func twilioHeader(text string) http.Header {
	mac := hmac.New(sha1.New, []byte(twilioToken))
	mac.Write([]byte(text))
	return http.Header{"X-Twilio-Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
}

func TestTwilioStatuses(t *testing.T) {
	path := "/receipts/twilio/tw?herald-delivery=" + testDelivery.String()
	for status, want := range map[string]wanted{
		"sent":              {},
		"delivered":         {dispatch.ReportDelivered, "delivered", false},
		"read":              {dispatch.ReportRead, "read", false},
		"undelivered 30003": {dispatch.ReportBounced, "30003", false},
		"undelivered 30005": {dispatch.ReportBounced, "30005", true},
		"failed 21610":      {dispatch.ReportUnsubscribed, "21610", false},
		"failed 30036":      {dispatch.ReportExpired, "30036", false},
	} {
		for _, host := range []string{"https://herald.example", "https://herald.example:443"} {
			t.Run(status+" "+host, func(t *testing.T) {
				d := newDesk(t, Account{Name: "tw", Provider: Twilio, Secret: twilioToken}, nil)
				name, code, _ := strings.Cut(status, " ")
				form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {name}, "To": {"+15558675310"}}
				signed := host + path
				if code != "" {
					form.Set("ErrorCode", code)
					signed += "ErrorCode" + code
				}
				signed += "MessageSidSM1MessageStatus" + name + "To+15558675310"
				wantStatus(t, d.post(path, form.Encode(), twilioHeader(signed)), 200)
				wantOne(t, d, want)
			})
		}
	}
}

func TestTwilioSignsTheAddressToo(t *testing.T) {
	d := newDesk(t, Account{Name: "tw", Provider: Twilio, Secret: twilioToken}, nil)
	path := "/receipts/twilio/tw?herald-delivery=" + testDelivery.String()
	header := twilioHeader("https://herald.example" + path + "MessageSidSM1MessageStatusdelivered")
	body := "MessageSid=SM1&MessageStatus=delivered"
	wantStatus(t, d.post(path, body, header), 200)
	wantStatus(t, d.post(strings.Replace(path, "0001", "0002", 1), body, header), 401)
	wantStatus(t, d.post(path, "MessageSid=SM1&MessageStatus=failed", header), 401)
	wantStatus(t, d.post(path, body, nil), 401)
}

// TestTheSpecificationsOwnExample is that of the Standard Webhooks libraries.
func TestTheSpecificationsOwnExample(t *testing.T) {
	d := newDesk(t, Account{Name: "gw", Provider: Standard, Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, nil)
	header := http.Header{
		"webhook-id": {"msg_p5jXN8AQM9LWM0D4loKWxJek"}, "webhook-timestamp": {"1614265330"},
		"webhook-signature": {"v1,bm90IHRoaXM= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	}
	d.now = time.Unix(1614265330+299, 0)
	wantStatus(t, d.post("/receipts/standard/gw", `{"test": 2432232314}`, header), 200)
	wantStatus(t, d.post("/receipts/standard/gw", `{"test": 2432232315}`, header), 401)
	d.now = time.Unix(1614265330+301, 0)
	wantStatus(t, d.post("/receipts/standard/gw", `{"test": 2432232314}`, header), 400)
}

func standardHeader(t *testing.T, d *desk, body string) http.Header {
	t.Helper()
	signature, err := d.accounts["standard/gw"].scheme.(standard).hook.Sign("msg_1", testNow, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{"webhook-id": {"msg_1"}, "webhook-timestamp": {strconv.FormatInt(testNow.Unix(), 10)}, "webhook-signature": {signature}}
}

func TestStandardEvents(t *testing.T) {
	for _, c := range []struct {
		rule, body string
		status     int
		want       wanted
	}{
		{"bounced", `{"type":"delivery.bounced","data":{"delivery":"D","channel":"sms","code":"UNDELIV","detail":"gone: a@b.example","address_dead":true}}`, 200, wanted{dispatch.ReportBounced, "UNDELIV", true}},
		{"only a bounce makes an address dead", `{"type":"delivery.delivered","data":{"delivery":"D","channel":"fax","address_dead":true}}`, 200, wanted{dispatch.ReportDelivered, "", false}},
		{"other news", `{"type":"account.low","data":{}}`, 200, wanted{}},
		{"no channel", `{"type":"delivery.delivered","data":{"delivery":"D"}}`, 400, wanted{}},
		{"nothing is named", `{"type":"delivery.delivered","data":{"channel":"sms"}}`, 400, wanted{}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			d := newDesk(t, Account{Name: "gw", Provider: Standard, Secret: "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32))}, nil)
			body := strings.Replace(c.body, `"D"`, `"`+testDelivery.String()+`"`, 1)
			wantStatus(t, d.post("/receipts/standard/gw", body, standardHeader(t, d, body)), c.status)
			wantOne(t, d, c.want)
		})
	}
}
