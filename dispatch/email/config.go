package email

import (
	"crypto/x509"
	"net"
	"net/mail"
	"os"
	"strings"
	"time"

	"herald/problem"
)

// Account is one mail server and how we sign in there.
type Account struct {
	// Name is what logs, attempts and the console call it. Unique.
	Name string `yaml:"name" json:"name"`
	// Host is the server's name or address; its certificate must name it.
	Host string `yaml:"host" json:"host"`
	// Port is usually 587 with starttls, 465 with tls, 25 without. 0: that one.
	Port int `yaml:"port" json:"port"`
	// TLS is "starttls" (the default: plain at first, then encrypted, or no
	// mail at all), "tls" (encrypted from the first byte) or "none".
	TLS string `yaml:"tls" json:"tls"`
	// RootCAs is a PEM file with the authorities that may have signed the
	// server's certificate. Empty: the system's.
	RootCAs string `yaml:"root_cas" json:"root_cas"`
	// Username and Password sign in; both or none. With TLS "none" they are
	// sent to a loopback address only.
	Username string `yaml:"username" json:"username"`
	Password string `yaml:"password" json:"password"`
	// From is the address in the envelope and in the From field.
	From string `yaml:"from" json:"from"`
	// FromName is what readers see instead of From. May be empty.
	FromName string `yaml:"from_name" json:"from_name"`
	// ReturnPath is where bounces go, which need not be where replies go: an
	// address with {token} in its first part, such as
	// "bounce+{token}@bounces.shop.example", for which a token stands that
	// names the delivery (VERP). Empty: bounces go to From.
	ReturnPath string `yaml:"return_path" json:"return_path"`
	// Hello is the name given in EHLO. Empty: this machine's host name.
	Hello string `yaml:"hello" json:"hello"`
	// Timeout bounds connecting, encrypting and signing in together, and then
	// the whole of each message. 0: 30 seconds. RFC 5321, section 4.5.3.2,
	// grants a server up to ten minutes for its last answer; a shorter time
	// leaves the message in doubt sooner.
	Timeout time.Duration `yaml:"timeout" json:"timeout"`
}

// What Account.TLS may be.
const (
	tlsNone  = "none"
	tlsStart = "starttls"
	tlsFirst = "tls"
)

// leastTimeout is less than any server needs, but a test.
const leastTimeout = 10 * time.Millisecond

// complete fills in the defaults and notes the mistakes.
func (a Account) complete(mistakes *problem.Fields) Account {
	if a.Name == "" {
		mistakes.Add("name", "required", "give it a name")
	}
	if a.Host == "" || strings.ContainsAny(a.Host, " \t\r\n/@") {
		mistakes.Add("host", "format", "use the server's name or address, without a port")
	}
	if a.TLS == "" {
		a.TLS = tlsStart
	}
	ports := map[string]int{tlsStart: 587, tlsFirst: 465, tlsNone: 25}
	usual, known := ports[a.TLS]
	if !known {
		mistakes.Add("tls", "one_of", `use "starttls", "tls" or "none"`)
	}
	if a.Port == 0 {
		a.Port = usual
	}
	if a.Port < 0 || a.Port > 65535 {
		mistakes.Add("port", "range", "use 1 to 65535")
	}
	a.checkSignIn(mistakes)
	if from, err := mail.ParseAddress(a.From); err != nil || from.Address != a.From || from.Name != "" || !isASCII(a.From) {
		mistakes.Add("from", "format", "use an address such as alerts@shop.example")
	}
	if a.Hello == "" {
		a.Hello, _ = os.Hostname() // without a name we are localhost, which servers accept
	}
	if !validDomain(a.Hello) {
		a.Hello = "localhost"
	}
	if a.ReturnPath != "" && !newReturnPath(a.ReturnPath).fits("t") {
		mistakes.Add("return_path", "format", "use an address such as bounce+{token}@bounces.shop.example")
	}
	if a.Timeout == 0 {
		a.Timeout = 30 * time.Second
	}
	if a.Timeout < leastTimeout {
		mistakes.Add("timeout", "min", "use at least %v", leastTimeout)
	}
	return a
}

func (a Account) checkSignIn(mistakes *problem.Fields) {
	if (a.Username == "") != (a.Password == "") {
		mistakes.Add("password", "required", "give username and password, or neither")
	}
	if a.Username != "" && a.TLS == tlsNone && !isLoopback(a.Host) {
		mistakes.Add("tls", "secure", "a password is not sent unencrypted: use starttls or tls")
	}
	if a.RootCAs == "" {
		return
	}
	if pem, err := os.ReadFile(a.RootCAs); err != nil {
		mistakes.Add("root_cas", "readable", "the file cannot be read")
	} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		mistakes.Add("root_cas", "format", "there is no PEM certificate in the file")
	}
}

// validDomain accepts host names and domains of letters, digits, dots and hyphens.
func validDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || !isMadeOf(label, inLabel) {
			return false
		}
	}
	return len(s) <= 253
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
