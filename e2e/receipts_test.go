package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	receiptKey = "a signing key of two dozen bytes"
	returnsTo  = "bounce+{token}@bounces.example.com"
)

// startWithReceipts runs a node that takes bounces and a provider's webhooks,
// and says where its listener for bounces is.
func startWithReceipts(t *testing.T) (h *herald, listener string) {
	t.Helper()
	h = start(t)
	h.proc.signal(t, syscall.SIGTERM)
	<-h.proc.ended
	host, port, _ := strings.Cut(h.mail.Addr(), ":")
	h.env = append(h.env,
		fmt.Sprintf("HERALD_EMAIL_ACCOUNTS=[{name: sim, host: %q, port: %s, tls: none, from: shop@example.com, return_path: %q}]", host, port, returnsTo),
		"HERALD_BOUNCES_LISTEN=127.0.0.1:0",
		fmt.Sprintf("HERALD_RECEIPTS=[{name: sim, provider: standard, secret: whsec_%s}]", base64.StdEncoding.EncodeToString([]byte(receiptKey))),
	)
	h.proc = launch(t, h.env, "serve")
	listener = h.proc.waitFor(t, "bounces are taken")["listen"].(string)
	h.url = h.proc.waitFor(t, "herald is running")["url"].(string)
	return h, listener
}

// dsn is a delivery status notification (RFC 3464) as a mail server writes it.
const dsn = `From: MAILER-DAEMON@mx.example.net
To: %[1]s
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

The user is not known here.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; wei@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user
--b--
`

// A mail that comes back is known by its return path, whoever brings it back.
func TestMailThatComesBack(t *testing.T) {
	t.Parallel()
	h, listener := startWithReceipts(t)
	if _, err := h.try(operatorPassword+"\n", "admin", "create", "anna"); err != nil {
		t.Fatal(err)
	}
	h.onlooker("wei")
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("cheaper", 45), nil)
	h.waitForMails(1)
	h.rest()
	from := h.mail.Messages()[0].From
	if !strings.HasPrefix(from, "bounce+") || !strings.HasSuffix(from, "@bounces.example.com") || strings.Contains(from, "{") {
		t.Fatalf("it left with the return path %q", from)
	}
	file := filepath.Join(t.TempDir(), "dsn.eml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(fmt.Sprintf(dsn, from), "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "curl", "-sS", "--mail-from", "", "--mail-rcpt", from, "--upload-file", file, "smtp://"+listener).CombinedOutput(); err != nil {
		t.Fatalf("curl: %v: %s", err, out)
	}
	forged := strings.Replace(from, "bounce+", "bounce+a", 1)
	if err := exec.CommandContext(t.Context(), "curl", "-sS", "--mail-from", "", "--mail-rcpt", forged, "--upload-file", file, "smtp://"+listener).Run(); err == nil {
		t.Error("a forged return path was taken")
	}
	o := &operator{visitor: visit(t, h.url, desktop), herald: h}
	o.signsIn()
	o.open("/console/deliveries?member=wei")
	o.clickOn("tbody tr td:last-child")
	o.sees("receipt: bounced, 5.1.1")
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("cheaper still", 44), nil)
	h.rest()
	o.open("/console/deliveries?state=suppressed")
	o.sees("wei")
}

// A provider says by a signed webhook that a mail arrived; nobody else can.
func TestProviderThatReports(t *testing.T) {
	t.Parallel()
	h, _ := startWithReceipts(t)
	h.onlooker("wei")
	h.call(http.StatusAccepted, "POST", "/api/v1/events", structured, price("cheaper", 45), nil)
	h.waitForMails(1)
	h.rest()
	id, _, _ := strings.Cut(h.mail.Messages()[0].MessageID, "@")
	body, err := json.Marshal(map[string]any{
		"type": "delivery.delivered", "timestamp": time.Now().UTC().Format(time.RFC3339),
		"data": map[string]any{"delivery": id, "channel": "email", "code": "250"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		key    string
		status int
		ledger string
	}{{"a key that somebody made up him", http.StatusUnauthorized, `"delivered":0`}, {receiptKey, http.StatusOK, `"delivered":1`}, {receiptKey, http.StatusOK, `"delivered":1`}} {
		if got := h.reports(test.key, body); got != test.status {
			t.Errorf("the webhook was answered %d, not %d", got, test.status)
		}
		_, ledger, err := h.request(t.Context(), "GET", "/api/v1/ledger", "", nil)
		if err != nil || !bytes.Contains(ledger, []byte(test.ledger)) {
			t.Errorf("the ledger has not %s: %v %s", test.ledger, err, ledger)
		}
	}
}

// reports posts a webhook signed by the Standard Webhooks specification, and
// gives the status of the answer.
func (h *herald) reports(key string, body []byte) int {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.url+"/receipts/standard/sim", bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	at := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "msg_1.%s.%s", at, body)
	req.Header.Set("webhook-id", "msg_1")
	req.Header.Set("webhook-timestamp", at)
	req.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}
