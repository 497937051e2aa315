package receipts

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"herald/dispatch"
)

const (
	testTopic = "arn:aws:sns:eu-west-1:123456789012:receipts"
	testCert  = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
)

// amazon signs as SNS does and serves its certificate.
type amazon struct {
	key *rsa.PrivateKey
	pem []byte

	mu      sync.Mutex
	fetched []string
	fail    error
}

var newAmazonKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newAmazon(t testing.TB) *amazon {
	t.Helper()
	key, err := newAmazonKey()
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"},
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(30 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &amazon{key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *amazon) fetch(_ context.Context, address string) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fetched = append(a.fetched, address)
	if a.fail != nil {
		return nil, a.fail
	}
	return a.pem, nil
}

func (a *amazon) desk(t testing.TB) *desk {
	t.Helper()
	return newDesk(t, Account{Name: "ses", Provider: SES, Topic: testTopic}, func(c *Config) { c.Fetch = a.fetch })
}

// envelope is a notification around a message; its text to sign is written out
// here as Amazon's documentation shows it.
func (a *amazon) envelope(t testing.TB, message string) map[string]string {
	t.Helper()
	e := map[string]string{
		"Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": testTopic, "Subject": "Amazon SES Email Event Notification",
		"Message": message, "Timestamp": "2026-11-22T11:59:59.675Z", "SignatureVersion": "1", "SigningCertURL": testCert,
		"UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
	}
	a.sign(t, e, "Message\n"+message+"\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\nSubject\nAmazon SES Email Event Notification\nTimestamp\n2026-11-22T11:59:59.675Z\nTopicArn\n"+testTopic+"\nType\nNotification\n")
	return e
}

func (a *amazon) sign(t testing.TB, e map[string]string, text string) {
	t.Helper()
	hash, sum := crypto.SHA1, sha1.Sum([]byte(text))
	digest := sum[:]
	if e["SignatureVersion"] == "2" {
		wide := sha256.Sum256([]byte(text))
		hash, digest = crypto.SHA256, wide[:]
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, hash, digest)
	if err != nil {
		t.Fatal(err)
	}
	e["Signature"] = base64.StdEncoding.EncodeToString(signature)
}

func envelopeText(t testing.TB, e map[string]string) string {
	t.Helper()
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

const mailPart = `"mail":{"messageId":"0102-m-000000","destination":["jane@b.example"],"tags":{"herald-delivery":["0196a0b0-0000-7000-8000-000000000001"]}}`

func TestSESEvents(t *testing.T) {
	a := newAmazon(t)
	for event, want := range map[string]wanted{
		`"eventType":"Send"`: {},
		`"notificationType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"General","bouncedRecipients":[{"emailAddress":"jane@b.example","status":"5.1.1","action":"failed","diagnosticCode":"smtp; 550 5.1.1 <jane@b.example>... User unknown"}],"timestamp":"2026-11-22T11:59:00.101Z"}`: {dispatch.ReportBounced, "5.1.1", true},
		`"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"General","bouncedRecipients":[{"emailAddress":"jane@b.example"}]}`:                                                                                                                                                      {dispatch.ReportBounced, "", true},
		`"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"General","bouncedRecipients":[{"action":"failed","status":"5.7.1","diagnosticCode":"smtp; 554 5.7.1 policy"}]}`:                                                                                                         {dispatch.ReportBounced, "5.7.1", false},
		`"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"Suppressed","bouncedRecipients":[{"action":"failed","status":"5.1.1"}]}`:                                                                                                                                                {dispatch.ReportBounced, "5.1.1", true},
		`"eventType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"OnAccountSuppressionList","bouncedRecipients":[{"action":"failed"}]}`:                                                                                                                                                   {dispatch.ReportBounced, "", false},
		`"eventType":"Bounce","bounce":{"bounceType":"Transient","bounceSubType":"MailboxFull","bouncedRecipients":[{"action":"failed","status":"5.2.2","diagnosticCode":"smtp; 552 5.2.2 full"}]}`:                                                                                                       {dispatch.ReportBounced, "5.2.2", false},
		`"eventType":"Bounce","bounce":{"bounceType":"Transient","bounceSubType":"General","bouncedRecipients":[{"emailAddress":"jane@b.example"}]}`:                                                                                                                                                      {dispatch.ReportDelayed, "", false},
		`"eventType":"Complaint","complaint":{"complaintFeedbackType":"abuse"}`:                                                                                                                                                                                                                           {dispatch.ReportComplained, "abuse", false},
		`"eventType":"Complaint","complaint":{"complaintFeedbackType":"not-spam"}`:                                                                                                                                                                                                                        {},
		`"eventType":"Delivery","delivery":{"smtpResponse":"250 2.6.0 accepted","timestamp":"2026-11-22T11:59:00Z"}`:                                                                                                                                                                                      {dispatch.ReportDelivered, "2.6.0", false},
		`"eventType":"DeliveryDelay","deliveryDelay":{"delayType":"TransientCommunicationFailure","delayedRecipients":[{"status":"4.4.1","diagnosticCode":"smtp; 421 4.4.1 no route"}]}`:                                                                                                                  {dispatch.ReportDelayed, "4.4.1", false},

		`"eventType":"Reject","reject":{"reason":"Bad content"}`:                                    {dispatch.ReportBounced, "", false},
		`"eventType":"Open","open":{"ipAddress":"192.0.2.1","timestamp":"2026-11-22T11:59:00Z"}`:    {dispatch.ReportRead, "", false},
		`"eventType":"Subscription","subscription":{"newTopicPreferences":{"unsubscribeAll":true}}`: {dispatch.ReportUnsubscribed, "", false},
	} {
		t.Run(event, func(t *testing.T) {
			d := a.desk(t)
			wantStatus(t, d.post("/receipts/ses/ses", envelopeText(t, a.envelope(t, "{"+event+","+mailPart+"}\n")), nil), 200)
			wantOne(t, d, want)
		})
	}
}

const sesOpen = `{"eventType":"Open","mail":{"messageId":"m","headers":[{"name":"X-Herald-Delivery","value":"0196a0b0-0000-7000-8000-000000000001"}]}}`

func TestSNSSignatures(t *testing.T) {
	a := newAmazon(t)
	for _, c := range []struct {
		rule   string
		change func(map[string]string)
		status int
	}{
		{"as it came", func(map[string]string) {}, 200},
		{"another message", func(e map[string]string) { e["Message"] = strings.Replace(e["Message"], "0001", "0002", 1) }, 401},
		{"another id", func(e map[string]string) { e["MessageId"] = "x" }, 401},
		{"no subject", func(e map[string]string) { delete(e, "Subject") }, 401},
		{"another topic", func(e map[string]string) { e["TopicArn"] = "arn:aws:sns:eu-west-1:999999999999:receipts" }, 401},
		{"another version", func(e map[string]string) { e["SignatureVersion"] = "2" }, 401},
		{"an unknown version", func(e map[string]string) { e["SignatureVersion"] = "3" }, 401},
		{"another type", func(e map[string]string) { e["Type"] = "SubscriptionConfirmation" }, 401},
		{"an unknown type", func(e map[string]string) { e["Type"] = "Other" }, 401},
		{"no signature", func(e map[string]string) { delete(e, "Signature") }, 401},
		{"version 2", func(e map[string]string) {
			e["SignatureVersion"] = "2"
			a.sign(t, e, "Message\n"+e["Message"]+"\nMessageId\n"+e["MessageId"]+"\nSubject\n"+e["Subject"]+"\nTimestamp\n"+e["Timestamp"]+"\nTopicArn\n"+e["TopicArn"]+"\nType\nNotification\n")
		}, 200},
		{"signed, and too old", func(e map[string]string) {
			e["Timestamp"] = "2026-11-22T09:59:59.000Z"
			a.sign(t, e, "Message\n"+e["Message"]+"\nMessageId\n"+e["MessageId"]+"\nSubject\n"+e["Subject"]+"\nTimestamp\n"+e["Timestamp"]+"\nTopicArn\n"+e["TopicArn"]+"\nType\nNotification\n")
		}, 400},
	} {
		t.Run(c.rule, func(t *testing.T) {
			d := a.desk(t)
			e := a.envelope(t, sesOpen)
			c.change(e)
			wantStatus(t, d.post("/receipts/ses/ses", envelopeText(t, e), nil), c.status)
			if c.status == 200 {
				wantOne(t, d, wanted{dispatch.ReportRead, "", false})
			}
		})
	}
}

func TestCertificatesComeFromTheTopicsHostOnly(t *testing.T) {
	a := newAmazon(t)
	d := a.desk(t)
	for _, address := range []string{
		"http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
		"https://sns.eu-west-2.amazonaws.com/SimpleNotificationService-0.pem",
		"https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0.pem",
		"https://evil.s3.amazonaws.com/SimpleNotificationService-0.pem",
		"https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0.pem",
		"https://u@sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
		"https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0.pem",
		"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem?x=y",
		"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
		"https://sns.eu-west-1.amazonaws.com/a/../SimpleNotificationService-0.pem",
		"", "::",
	} {
		e := a.envelope(t, sesOpen)
		e["SigningCertURL"] = address
		wantStatus(t, d.post("/receipts/ses/ses", envelopeText(t, e), nil), 401)
	}
	if len(a.fetched) != 0 {
		t.Errorf("it fetched %v", a.fetched)
	}
}

func TestACertificateIsFetchedOnce(t *testing.T) {
	a := newAmazon(t)
	d := a.desk(t)
	body := envelopeText(t, a.envelope(t, sesOpen))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { _ = d.post("/receipts/ses/ses", body, nil) })
	}
	all.Wait()
	if len(a.fetched) != 1 || len(d.reports) != 1 {
		t.Errorf("it fetched %v and has %d reports", a.fetched, len(d.reports))
	}
}

func TestNamesOfCertificatesThatDoNotExistAreNotFetchedForEver(t *testing.T) {
	a := newAmazon(t)
	d := a.desk(t)
	good := envelopeText(t, a.envelope(t, sesOpen))
	wantStatus(t, d.post("/receipts/ses/ses", good, nil), 200)
	a.fail = errors.New("404")
	for i := range 50 {
		e := a.envelope(t, sesOpen)
		e["SigningCertURL"] = fmt.Sprintf("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-%d.pem", i)
		wantStatus(t, d.post("/receipts/ses/ses", envelopeText(t, e), nil), 503)
	}
	if len(a.fetched) > 5 {
		t.Errorf("it fetched %d times", len(a.fetched))
	}
	wantStatus(t, d.post("/receipts/ses/ses", good, nil), 200)
}

func TestACertificateThatIsNoneOrOutOfDate(t *testing.T) {
	a := newAmazon(t)
	d := a.desk(t)
	d.now = testNow.Add(31 * 24 * time.Hour)
	wantStatus(t, d.post("/receipts/ses/ses", envelopeText(t, a.envelope(t, sesOpen)), nil), 401)
	for _, text := range []string{"", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		a.pem = []byte(text)
		d := a.desk(t)
		e := a.envelope(t, sesOpen)
		wantStatus(t, d.post("/receipts/ses/ses", envelopeText(t, e), nil), 401)
	}
}

func TestASubscriptionIsConfirmedAtItsOwnHost(t *testing.T) {
	a := newAmazon(t)
	for _, c := range []struct {
		rule, address string
		status        int
	}{
		{"its own", "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + testTopic + "&Token=t", 200},
		{"another host", "https://evil.example/?Action=ConfirmSubscription&TopicArn=" + testTopic + "&Token=t", 401},
		{"another topic", "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=other&Token=t", 401},
		{"another action", "https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic&TopicArn=" + testTopic, 401},
	} {
		t.Run(c.rule, func(t *testing.T) {
			a.fetched = nil
			d := a.desk(t)
			e := a.envelope(t, "You have chosen to subscribe")
			delete(e, "Subject")
			e["Type"], e["Token"], e["SubscribeURL"] = "SubscriptionConfirmation", "t", c.address
			a.sign(t, e, "Message\nYou have chosen to subscribe\nMessageId\n"+e["MessageId"]+"\nSubscribeURL\n"+c.address+"\nTimestamp\n"+e["Timestamp"]+"\nToken\nt\nTopicArn\n"+testTopic+"\nType\nSubscriptionConfirmation\n")
			wantStatus(t, d.post("/receipts/ses/ses", envelopeText(t, e), nil), c.status)
			confirmed := len(a.fetched) == 2 && a.fetched[1] == c.address
			if confirmed != (c.status == 200) {
				t.Errorf("it fetched %v", a.fetched)
			}
		})
	}
}

func TestTheFetcherIsBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			_, _ = w.Write(make([]byte, 1<<20))
		case "/away":
			http.Redirect(w, r, "/long", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	fetch := Fetcher(server.Client().Transport)
	if got, err := fetch(t.Context(), server.URL+"/long"); err != nil || len(got) != maxFetched {
		t.Errorf("it fetched %d bytes, %v", len(got), err)
	}
	for _, path := range []string{"/away", "/none"} {
		if _, err := fetch(t.Context(), server.URL+path); err == nil {
			t.Errorf("%s is taken", path)
		}
	}
}
