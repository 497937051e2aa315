package modem

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"herald/e2e/peers"
	"herald/hardware/sim/texts"
)

const kannelConf = `group = core
admin-port = %[1]s
admin-password = bar
smsbox-port = %[2]s
log-level = 0

group = smsc
smsc = at
modemtype = generic
device = %[4]s
speed = 115200
my-number = +15550100
sms-center = +15550999

group = modems
id = generic
name = "Generic Modem"
init-string = "AT+CNMI=1,2,0,1,0"

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = %[3]s

group = sendsms-user
username = foo
password = bar
default-sender = 15550100
concatenation = true
max-messages = 10

group = sms-service
keyword = default
catch-all = true
text = "you said %%b"
`

// TestKannelWorksWithTheModem has Kannel send in two parts and in Chinese, and
// answer a message that the modem hands over directly. It waits for two
// seconds before each part, so there are few.
func TestKannelWorksWithTheModem(t *testing.T) {
	t.Parallel()
	m := start(t, Config{})
	admin, box, api := peers.Address(t), peers.Address(t), peers.Address(t)
	conf := filepath.Join(t.TempDir(), "kannel.conf")
	text := fmt.Appendf(nil, kannelConf, portOf(admin), portOf(box), portOf(api), m.Path())
	if err := os.WriteFile(conf, text, 0o600); err != nil {
		t.Fatal(err)
	}
	bearer := peers.Start(t, exec.Command(peers.Program(t, "bearerbox", "kannel"), conf))
	bearer.UntilListening("127.0.0.1:" + portOf(box))
	peers.Smsbox(t, conf)
	bearer.UntilSaid("AT SMSC successfully opened")

	for _, message := range []string{long(2), "您好，婴儿车降价了"} {
		sendByKannel(t, portOf(api), message)
	}
	deliver(t, m, "+447700900123", "hello")
	until(t, m, func(_ []texts.Text, total int64) bool { return total == 4 })
	parts := map[string]int{}
	for _, text := range m.Texts().All() {
		if !text.Reply {
			parts[text.Text+" → "+text.To] = text.Parts
		}
	}
	for text, want := range map[string]int{
		long(2) + " → +8613800138000": 2, "您好，婴儿车降价了 → +8613800138000": 1, "you said hello → +447700900123": 1,
	} {
		if parts[text] != want {
			t.Errorf("%q came in %d parts, want %d; all are %v", text, parts[text], want, parts)
		}
	}
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address) // of an address that peers made
	return port
}

func sendByKannel(t *testing.T, port, text string) {
	t.Helper()
	values := url.Values{"username": {"foo"}, "password": {"bar"}, "to": {"+8613800138000"}, "charset": {"UTF-8"}, "text": {text}}
	if []rune(text)[0] > 0xFF {
		values.Set("coding", "2") // UCS-2
	}
	answer, err := http.Get("http://127.0.0.1:" + port + "/cgi-bin/sendsms?" + values.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if said, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusAccepted {
		t.Fatalf("%s: %s %v", answer.Status, said, err)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
}
