package siptest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"herald/e2e/peers"
)

// Free is an address of this machine that nobody listens at, by TCP or UDP.
func Free(t testing.TB) (address, port string) {
	t.Helper()
	return free(t, 1)
}

// free is the first of some addresses whose ports follow one another: all are
// free for TCP, and it for UDP.
func free(t testing.TB, many int) (address, port string) {
	t.Helper()
	const tries = 20
	for range tries {
		address = peers.Addresses(t, many)[0]
		conn, err := net.ListenPacket("udp", address)
		if err != nil {
			continue // somebody has it
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		_, port, err = net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		return address, port
	}
	t.Fatalf("of %d ports none is free", tries)
	return "", ""
}

// Listens waits until a program takes datagrams at a port.
func Listens(t testing.TB, p *peers.Process, port string) {
	t.Helper()
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(":%04X ", number)
	p.Until("it listens at port "+port, func() bool {
		table, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(table), want)
	})
}

// SIPp is a program that plays a scenario.
type SIPp struct {
	*peers.Process
	Addr string // where it listens
}

// Succeeded waits until the scenario was played to its end, once.
func (s SIPp) Succeeded() {
	s.UntilSaid("Successful call        |        0                  |        1")
}

// HangsUp waits until a call, whose end done tells, is over.
func (s SIPp) HangsUp(t testing.TB, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(peers.Patience):
		t.Fatalf("it does not hang up:\n%s", s.Said())
	}
}

// Answering is SIPp as it answers by itself: it rings, answers, sends back
// the sound it hears, and waits for the end.
func Answering(t testing.TB, args ...string) SIPp {
	t.Helper()
	return sipp(t, append([]string{"-sn", "uas", "-rtp_echo"}, args...)...)
}

// Playing is SIPp with a scenario of our own, which begins with the INVITE
// that it gets; what is sent may use the names of SIPp.
func Playing(t testing.TB, scenario string, args ...string) SIPp {
	t.Helper()
	file := filepath.Join(t.TempDir(), "scenario.xml")
	text := "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"far end\">\n" + invited + scenario + "<Reference variables=\"from,to,via\"/>\n</scenario>\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return sipp(t, append([]string{"-sf", file}, args...)...)
}

func sipp(t testing.TB, args ...string) SIPp {
	t.Helper()
	address, port := Free(t)
	_, sound := Free(t)
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "sipp", "sip-tester"), append([]string{
		"-i", "127.0.0.1", "-p", port, "-mi", "127.0.0.1", "-mp", sound, "-nostdin", "-timeout", "60", "-trace_err", "-error_file", "/dev/stderr",
	}, args...)...)
	cmd.Dir = t.TempDir()
	p := peers.Start(t, cmd)
	if strings.Contains(strings.Join(args, " "), "-t t1") {
		p.UntilListening(address)
	} else {
		Listens(t, p, port)
	}
	return SIPp{p, address}
}

// invited takes the INVITE and keeps who calls whom.
const invited = `<recv request="INVITE"><action>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/>
<ereg regexp=".*" search_in="hdr" header="To:" assign_to="to"/>
<ereg regexp=".*" search_in="hdr" header="Via:" assign_to="via"/>
</action></recv>
`

// Ask is what SIPp sends within the call that it has answered; more are header
// lines, with one for the type of the body if there is one.
func Ask(method string, number int, body string, more ...string) string {
	lines := append([]string{
		method + " sip:herald@[remote_ip]:[remote_port];transport=[transport] SIP/2.0", "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
		"From:[$to];tag=far[call_number]", "To:[$from]", "Call-ID: [call_id]", fmt.Sprintf("CSeq: %d %s", number, method), "Max-Forwards: 70",
		"Contact: <sip:[local_ip]:[local_port];transport=[transport]>",
	}, more...)
	lines = append(lines, "Content-Length: [len]", "", body)
	return "<send><![CDATA[\n" + strings.Join(lines, "\n") + "\n]]></send>\n"
}

// Gets is what SIPp waits for: a method, or the code of an answer.
func Gets(what string) string {
	if _, err := strconv.Atoi(what); err == nil {
		return fmt.Sprintf("<recv response=%q></recv>\n", what)
	}
	return fmt.Sprintf("<recv request=%q></recv>\n", what)
}

// Answer is what SIPp sends as an answer to the last request; more are header
// lines, and SDP when it is not empty.
func Answer(status string, sdp string, more ...string) string {
	lines := append([]string{
		"SIP/2.0 " + status, "[last_Via:]", "[last_From:]", "[last_To:];tag=far[call_number]", "[last_Call-ID:]", "[last_CSeq:]",
		"Contact: <sip:[local_ip]:[local_port];transport=[transport]>",
	}, more...)
	if sdp != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	lines = append(lines, "Content-Length: [len]", "", sdp)
	return "<send><![CDATA[\n" + strings.Join(lines, "\n") + "\n]]></send>\n"
}

// AnswerAgain is what SIPp sends as an answer to the INVITE, once more.
func AnswerAgain(status string) string {
	return strings.NewReplacer("[last_Via:]", "Via:[$via]", "[last_From:]", "From:[$from]", "[last_To:]", "To:[$to]", "[last_CSeq:]", "CSeq: 1 INVITE").Replace(Answer(status, ""))
}

// Sound is a description with the sound of SIPp.
const Sound = "v=0\no=far 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio [media_port] RTP/AVP 0 101\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000"

// Baresip is a telephone.
type Baresip struct {
	*peers.Process
	Addr    string // where it takes calls
	Control string // where it takes commands
	Dir     string // where it keeps what it hears
}

// Phone starts baresip, which answers every call and speaks what it is given,
// and ends the call when that is over. More are lines of its configuration.
func Phone(t testing.TB, says []int16, account string, more ...string) Baresip {
	t.Helper()
	dir := t.TempDir()
	address, port := free(t, 2) // the next is for TLS
	control, _ := Free(t)
	config := append([]string{
		"poll_method epoll", "sip_listen " + address, "net_interface 127.0.0.1",
		"audio_player aufile," + filepath.Join(dir, "played.wav"), "audio_source aufile," + filepath.Join(dir, "says.wav"), "audio_alert aufile," + filepath.Join(dir, "alert.wav"),
		"ausrc_srate 8000", "auplay_srate 8000", "ausrc_channels 1", "auplay_channels 1", "snd_path " + dir, "ctrl_tcp_listen " + control,
		"module g711.so", "module aufile.so", "module sndfile.so", "module_tmp account.so", "module_app menu.so", "module_app ctrl_tcp.so", "module_path /usr/lib/baresip/modules",
	}, more...)
	if account == "" {
		account = "<sip:callee@127.0.0.1:" + port + ">;regint=0;answermode=auto;audio_codecs=PCMU,PCMA"
	}
	for name, text := range map[string][]byte{
		"config": []byte(strings.Join(config, "\n") + "\n"), "accounts": []byte(account + "\n"), "contacts": nil, "says.wav": encode(says),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := peers.Start(t, exec.CommandContext(t.Context(), peers.Program(t, "baresip", "baresip-core"), "-4", "-v", "-f", dir))
	p.UntilListening(control)
	Listens(t, p, port)
	return Baresip{p, address, control, dir}
}

// EncryptedPhone is a Phone whose calls must be encrypted, by keys in SDP
// (SRTP). It takes them by TLS, too, at another address, with the certificate of
// server.
func EncryptedPhone(t testing.TB, says []int16, server *tls.Config) (phone Baresip, secure string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "certificate.pem")
	certificate := server.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	phone = Phone(t, says, "<sip:callee@127.0.0.1>;regint=0;answermode=auto;audio_codecs=PCMU,PCMA;mediaenc=srtp-mand", "module srtp.so", "sip_certificate "+file)
	host, port, err := net.SplitHostPort(phone.Addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	secure = net.JoinHostPort(host, strconv.Itoa(number+1)) // where baresip listens by TLS
	phone.UntilListening(secure)
	return phone, secure
}

// Command gives baresip a command of its menu, such as "dial" or "sndcode".
func (b Baresip) Command(t testing.TB, command, params string) {
	t.Helper()
	conn, err := net.Dial("tcp", b.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // of a test
	text := fmt.Sprintf(`{"command":%q,"params":%q,"token":"t"}`, command, params)
	if _, err := fmt.Fprintf(conn, "%d:%s,", len(text), text); err != nil {
		t.Fatal(err)
	}
	// It tells what else happens on the same connection, and forgets what it has
	// not read when that is closed.
	var heard []byte
	for !bytes.Contains(heard, []byte(`"token":"t"`)) {
		said := make([]byte, 4096)
		n, err := conn.Read(said)
		if err != nil {
			t.Fatalf("it does not answer %s: %v\n%s", command, err, heard)
		}
		heard = append(heard, said[:n]...)
	}
}

// Heard is what baresip heard in its only call, once that is over.
func (b Baresip) Heard(t testing.TB) []int16 {
	t.Helper()
	var heard []int16
	b.Until("it keeps what it heard", func() bool {
		found, err := filepath.Glob(filepath.Join(b.Dir, "dump-*-dec.wav"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			heard = ReadWAV(t, found[0]) // its length is written at the end
		}
		return len(heard) > 0
	})
	return heard
}

// Kamailio starts a proxy that wants to know who calls (user "herald",
// password "secret", realm "herald.example"), passes calls to target on, and
// registers users for two seconds.
func Kamailio(t testing.TB, target string) Proxy {
	t.Helper()
	address, port := Free(t)
	file := filepath.Join(t.TempDir(), "kamailio.cfg")
	text := strings.NewReplacer("ADDRESS", address, "TARGET", target).Replace(kamailioConfig)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "kamailio", "kamailio"), "-f", file, "-DD", "-E", "-m", "32", "-M", "4", "-Y", run, "-w", run)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := peers.Start(t, cmd)
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // its children, too; they may have ended
	p.UntilListening(address)
	Listens(t, p, port)
	return Proxy{p, address}
}

// Proxy is Kamailio. It says INVITED of each INVITE, and REGISTERS USER for
// SECONDS of each registration that it takes.
type Proxy struct {
	*peers.Process
	Addr string // where it listens, by UDP and TCP
}

const kamailioConfig = `
children=1
tcp_children=1
log_stderror=yes
debug=2
listen=udp:ADDRESS
listen=tcp:ADDRESS
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "xlog.so"
modparam("registrar", "max_expires", 2)
modparam("registrar", "min_expires", 1)
request_route {
	if (has_totag()) {
		if (loose_route()) { t_relay(); exit; }
		if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
		sl_send_reply("404", "Not here");
		exit;
	}
	if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
	if (is_method("OPTIONS")) { sl_send_reply("200", "OK"); exit; }
	if (is_method("REGISTER")) {
		if (!pv_www_authenticate("herald.example", "secret", "0")) { www_challenge("herald.example", "1"); exit; }
		xlog("L_ALERT", "REGISTERS $fU for $hdr(Expires)\n");
		save("location");
		exit;
	}
	xlog("L_ALERT", "INVITED\n");
	if (!pv_proxy_authenticate("herald.example", "secret", "0")) { proxy_challenge("herald.example", "1"); exit; }
	consume_credentials();
	record_route();
	$du = "sip:TARGET";
	t_relay();
}
`
