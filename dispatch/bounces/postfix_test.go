package bounces

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"

	"herald/dispatch"
	"herald/e2e/peers"
)

// TestPostfixBounces sends mail through a Postfix of our own to a server that
// refuses some of it. The bounces that Postfix writes come back over a real
// connection to the return addresses in their envelopes.
func TestPostfixBounces(t *testing.T) {
	desk := newDesk(t, func(c *Config) { c.Now = time.Now })
	postfix := startPostfix(t, map[string]string{"b.example": farServer(t), testDomain: desk.Addr()})

	type outcome struct {
		Event dispatch.ReportEvent
		Code  string
		Dead  bool
	}
	cases := []struct {
		recipient string
		want      outcome
	}{
		{"unknown@b.example", outcome{dispatch.ReportBounced, "5.1.1", true}},
		{"full@b.example", outcome{dispatch.ReportBounced, "5.2.2", false}},
		{"policy@b.example", outcome{dispatch.ReportBounced, "5.7.1", false}},
		{"slow@b.example", outcome{dispatch.ReportDelayed, "4.3.2", false}},
		{"slow@b.example", outcome{dispatch.ReportExpired, "4.3.2", false}},
	}
	deliveries := map[string]uuid.UUID{}
	for _, c := range cases {
		if _, sent := deliveries[c.recipient]; sent {
			continue
		}
		id := uuid.Must(uuid.NewV7())
		deliveries[c.recipient] = id
		raw := fmt.Sprintf("From: shop@shop.example\r\nTo: %s\r\nMessage-ID: <%s@shop.example>\r\nSubject: Teapot\r\n\r\nYours.\r\n", c.recipient, id)
		client, err := smtp.Dial(postfix)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.SendMail(desk.addressOf(id), []string{c.recipient}, strings.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}

	timeout := time.After(time.Minute)
	for len(desk.all()) < len(cases) {
		select {
		case <-desk.told:
		case <-timeout:
			t.Fatalf("of %d reports there came %+v", len(cases), desk.all())
		}
	}
	got := map[uuid.UUID][]outcome{}
	for _, r := range desk.all() {
		got[r.DeliveryID] = append(got[r.DeliveryID], outcome{r.Event, r.Code, r.AddressDead})
		if strings.Contains(r.Detail, "@") {
			t.Errorf("the detail %q has an address", r.Detail)
		}
	}
	for _, c := range cases {
		id := deliveries[c.recipient]
		if len(got[id]) == 0 || got[id][0] != c.want {
			t.Errorf("%s: the reports are %+v, want %+v next", c.recipient, got[id], c.want)
			continue
		}
		got[id] = got[id][1:]
	}
}

// TestPostfixClientHearsOurAnswers: smtp-source, which is not ours, speaks to
// the listener on several connections and sees no error.
func TestPostfixClientHearsOurAnswers(t *testing.T) {
	desk := newDesk(t, nil)
	file := filepath.Join(t.TempDir(), "bounce.eml")
	if err := os.WriteFile(file, bytes.ReplaceAll(sample(t, "postfix-unknown"), []byte("\r\n"), []byte("\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), peers.Program(t, "smtp-source", "postfix"),
		"-4", "-s", "4", "-m", "40", "-f", "", "-t", desk.address(), "-F", file, desk.Addr())
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("smtp-source: %v\n%s", err, &said)
	}
	if got := desk.all(); len(got) != 40 || got[0].Event != dispatch.ReportBounced || got[39].Key != got[0].Key {
		t.Errorf("%d reports were taken, such as %+v", len(got), got)
	}
}

// farServer is a mail server that refuses by the name of the recipient.
func farServer(t *testing.T) string {
	t.Helper()
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return refusing{}, nil }))
	server.Domain = "mx.b.example"
	server.ErrorLog = errorLog{slog.New(slog.DiscardHandler)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-served); err != nil {
			t.Errorf("the far server: %v", err)
		}
	})
	return listener.Addr().String()
}

type refusing struct{}

func (refusing) Reset()                               {}
func (refusing) Logout() error                        { return nil }
func (refusing) Mail(string, *smtp.MailOptions) error { return nil }
func (refusing) Data(r io.Reader) error               { _, err := io.Copy(io.Discard, r); return err }

func (refusing) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch local, _, _ := strings.Cut(to, "@"); local {
	case "unknown":
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<" + to + ">: no such user"}
	case "full":
		return &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 2, 2}, Message: "over quota"}
	case "policy":
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not wanted"}
	}
	return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "later"}
}

// startPostfix runs a Postfix of its own, with its own configuration, queue and
// port, and gives its address. Postfix wants to be started by root: where the
// test is not, sudo must be allowed without a password.
func startPostfix(t *testing.T, routes map[string]string) string {
	t.Helper()
	var as []string
	if os.Getuid() != 0 {
		as = []string{"sudo", "-n"}
	}
	run := func(args ...string) error {
		args = append(as, args...)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "postfix") // t.TempDir cannot be entered by Postfix's users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run("rm", "-rf", dir); err != nil {
			t.Error(err)
		}
	})
	port := freePort(t)
	write := func(name string, form *template.Template) {
		var text bytes.Buffer
		if err := form.Execute(&text, map[string]any{"Dir": dir, "Port": port, "Routes": routes}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.cf", mainCF)
	write("master.cf", masterCF)
	postfix := peers.Program(t, "postfix", "postfix")
	for _, step := range [][]string{
		{"chmod", "755", dir},
		{"mkdir", dir + "/spool", dir + "/data"},
		{"chown", "-R", "root", dir},
		{"chown", "postfix", dir + "/data"},
		{postfix, "-c", dir, "start"},
	} {
		if err := run(step...); err != nil {
			log, _ := os.ReadFile(dir + "/log")
			t.Fatalf("%v\n%s", err, log)
		}
	}
	t.Cleanup(func() {
		if err := run(postfix, "-c", dir, "stop"); err != nil {
			t.Error(err)
		}
	})
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

var mainCF = template.Must(template.New("main.cf").Funcs(template.FuncMap{"host": host, "port": port}).Parse(`
compatibility_level = 3.6
queue_directory = {{.Dir}}/spool
data_directory = {{.Dir}}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.sender.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
local_recipient_maps =
transport_maps = inline:{ {{- range $domain, $at := .Routes}} {{"{"}}{{$domain}}=smtp:[{{host $at}}]:{{port $at}}{{"}"}},{{end}} {invalid.example=error:no} }
smtp_host_lookup = native
maillog_file = {{.Dir}}/log
maillog_file_prefixes = {{.Dir}}
delay_warning_time = 1s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
maximal_queue_lifetime = 5s
`))

func host(address string) string { h, _, _ := net.SplitHostPort(address); return h }
func port(address string) string { _, p, _ := net.SplitHostPort(address); return p }

var masterCF = template.Must(template.New("master.cf").Parse(`
127.0.0.1:{{.Port}} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`))
