package voice

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"herald/dispatch/voice/answering"
	"herald/hardware/sip"
	"herald/hardware/sip/g711"
	"herald/hardware/sip/media"
	"herald/problem"
)

// Account is one trunk of a telephone provider. What is zero takes the value in
// brackets.
type Account struct {
	// Name is what logs, attempts and the console call it. Unique.
	Name string `yaml:"name" json:"name"`

	// Server is the provider's, as host or host:port (5060, with TLS 5061).
	Server string `yaml:"server" json:"server"`
	// Transport carries the signalling: udp, tcp or tls (udp).
	Transport string `yaml:"transport" json:"transport"`
	// RootCAs is a PEM file with the authorities behind the provider's
	// certificate, for TLS (the system's).
	RootCAs string `yaml:"root_cas" json:"root_cas"`
	// Domain is the provider's in addresses (the host of Server).
	Domain string `yaml:"domain" json:"domain"`
	// Username and Password are how the provider knows us; Realm, when it is
	// set, is the only one that is given them.
	Username string `yaml:"username" json:"username"`
	Password string `yaml:"password" json:"password"`
	Realm    string `yaml:"realm" json:"realm"`
	// Register tells the provider where we are, as a telephone does; trunks that
	// know our address do without.
	Register bool `yaml:"register" json:"register"`
	// Local is the address that we listen at, as host or host:port (the host
	// that the way to Server begins at, any port).
	Local string `yaml:"local" json:"local"`
	// Public is the IP address that the provider is told, behind a NAT (Local's).
	Public string `yaml:"public" json:"public"`
	// Codecs are PCMU and PCMA, the preferred first (both, in this order).
	Codecs []string `yaml:"codecs" json:"codecs"`
	// Encryption is that of the sound: none, or required, which speaks with
	// nobody who does not want it encrypted, too (none). Its keys are in the
	// signalling: TLS keeps them from others.
	Encryption string `yaml:"encryption" json:"encryption"`
	// Response is how long the provider may say nothing to a call (8 s), Quiet
	// how long a line may carry no sound before it is taken for dead (60 s).
	Response time.Duration `yaml:"response" json:"response"`
	Quiet    time.Duration `yaml:"quiet" json:"quiet"`
	// AskEvery is how often the provider is asked whether he is there (30 s;
	// negative: never, for one that does not answer OPTIONS).
	AskEvery time.Duration `yaml:"ask_every" json:"ask_every"`
	// PerSecond is how many calls may begin in a second (any number).
	PerSecond float64 `yaml:"per_second" json:"per_second"`

	// CallerNumber is the number that calls come from (Username), CallerName a
	// name for it (none).
	CallerNumber string `yaml:"caller_number" json:"caller_number"`
	CallerName   string `yaml:"caller_name" json:"caller_name"`
	// Plus is what the provider wants before the country's code: "+", "00", or
	// "none" (+).
	Plus string `yaml:"plus" json:"plus"`
	// Person is the number that a script's transfer goes to when it names none
	// (none: who asks for a person is told that nobody can be reached).
	Person string `yaml:"person" json:"person"`

	// RingFor is how long a phone rings (45 s).
	RingFor time.Duration `yaml:"ring_for" json:"ring_for"`
	// LongestCall is how long a call lasts at most, from its answer (5 min).
	LongestCall time.Duration `yaml:"longest_call" json:"longest_call"`
	// Tries is how often a member is dialled for one message in all, until
	// somebody answers (3); RetryBusy (5 min) and RetryNoAnswer (30 min) are
	// the time between.
	Tries         int           `yaml:"tries" json:"tries"`
	RetryBusy     time.Duration `yaml:"retry_busy" json:"retry_busy"`
	RetryNoAnswer time.Duration `yaml:"retry_no_answer" json:"retry_no_answer"`

	Machines Machines `yaml:"machines" json:"machines"`

	// Record keeps what is said by those who consented, where a script asks
	// them to. Without it scripts do not ask, and nothing is ever recorded.
	Record bool `yaml:"record" json:"record"`
	// RecordFor is how long a recording is kept (30 days).
	RecordFor time.Duration `yaml:"record_for" json:"record_for"`
	// LongestRecording is how much of a call is recorded (2 min).
	LongestRecording time.Duration `yaml:"longest_recording" json:"longest_recording"`
}

// Machines says how an answering machine is told from a person.
type Machines struct {
	// Ignore takes everybody for a person, who is spoken to at once.
	Ignore bool `yaml:"ignore" json:"ignore"`
	// WaitForBeep is how long a machine's greeting is waited through (30 s).
	WaitForBeep time.Duration `yaml:"wait_for_beep" json:"wait_for_beep"`
	// Rules are those of the detection.
	Rules answering.Rules `yaml:"rules" json:"rules"`
}

// The bounds of settings.
const (
	mostTries   = 20
	mostPlusses = 8
	// Some providers know a trunk by a name rather than a number.
	callerRunes = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+*._-"
)

// complete fills in the defaults and notes the mistakes by their fields.
func (a Account) complete(mistakes *problem.Fields) Account {
	if a.Name == "" {
		mistakes.Add("name", "required", "give it a name")
	}
	a.Transport = cmp.Or(a.Transport, string(sip.UDP))
	a.Encryption = cmp.Or(a.Encryption, string(sip.NoEncryption))
	a.Plus = cmp.Or(a.Plus, "+")
	a.Tries = cmp.Or(a.Tries, 3)
	for field, usual := range map[*time.Duration]time.Duration{
		&a.RingFor: 45 * time.Second, &a.LongestCall: 5 * time.Minute, &a.RetryBusy: 5 * time.Minute, &a.RetryNoAnswer: 30 * time.Minute,
		&a.Response: 8 * time.Second, &a.Quiet: time.Minute, &a.AskEvery: 30 * time.Second,
		&a.Machines.WaitForBeep: 30 * time.Second, &a.Machines.Rules.TotalAnalysisTime: 5 * time.Second,
		&a.RecordFor: 30 * 24 * time.Hour, &a.LongestRecording: 2 * time.Minute,
	} {
		*field = cmp.Or(*field, usual)
	}
	a.checkTrunk(mistakes)
	a.checkCalls(mistakes)
	if _, err := a.authorities(); err != nil {
		mistakes.Add("root_cas", "file", "name a file with certificates in PEM")
	}
	return a
}

func (a Account) checkTrunk(mistakes *problem.Fields) {
	if a.Server == "" || strings.ContainsAny(a.Server, " /@") {
		mistakes.Add("server", "required", "give the provider's, as host or host:port")
	}
	switch sip.Transport(a.Transport) {
	case sip.UDP, sip.TCP, sip.TLS:
	default:
		mistakes.Add("transport", "one_of", "use udp, tcp or tls")
	}
	switch sip.Encryption(a.Encryption) {
	case sip.NoEncryption, sip.RequiredEncryption:
	default:
		mistakes.Add("encryption", "one_of", "use none or required")
	}
	if a.Register && a.Username == "" {
		mistakes.Add("username", "required", "give the name to register with")
	}
	if a.Public != "" {
		if _, err := netip.ParseAddr(a.Public); err != nil {
			mistakes.Add("public", "format", "use an IP address such as 203.0.113.7")
		}
	}
	for _, codec := range a.Codecs {
		if g711.Law(codec) != g711.Mu && g711.Law(codec) != g711.A {
			mistakes.Add("codecs", "one_of", "use PCMU and PCMA")
		}
	}
	if a.PerSecond < 0 {
		mistakes.Add("per_second", "min", "use a number of calls, or 0 for any")
	}
	if a.CallerNumber == "" && a.Username == "" {
		mistakes.Add("caller_number", "required", "give the number that calls come from")
	}
	if strings.ContainsFunc(cmp.Or(a.CallerNumber, a.Username), func(r rune) bool { return !strings.ContainsRune(callerRunes, r) }) {
		mistakes.Add("caller_number", "format", "use a number such as +862155550100")
	}
	if strings.ContainsAny(a.CallerName, "\r\n\"<>") {
		mistakes.Add("caller_name", "format", "use a name without quotes and brackets")
	}
}

func (a Account) checkCalls(mistakes *problem.Fields) {
	if a.Plus != "+" && a.Plus != plusNone && (strings.Trim(a.Plus, "0123456789") != "" || len(a.Plus) > mostPlusses) {
		mistakes.Add("plus", "format", `use +, digits such as 00, or "none"`)
	}
	if a.Person != "" && !isNumber(a.Person) {
		mistakes.Add("person", "format", "use a number such as +862155550100")
	}
	if a.Tries < 1 || a.Tries > mostTries {
		mistakes.AddArgs("tries", "range", map[string]any{"min": 1, "max": mostTries}, "use 1 to %d", mostTries)
	}
	for path, d := range map[string]time.Duration{
		"ring_for": a.RingFor, "longest_call": a.LongestCall, "retry_busy": a.RetryBusy, "retry_no_answer": a.RetryNoAnswer,
		"response": a.Response, "quiet": a.Quiet, "record_for": a.RecordFor,
		"longest_recording": a.LongestRecording, "machines.wait_for_beep": a.Machines.WaitForBeep,
	} {
		if d < 0 {
			mistakes.Add(path, "min", "use a time such as 30s, or leave it out")
		}
	}
	a.Machines.Rules.Check(mistakes, "machines.rules.")
	const longest = 10 * time.Minute // of G.711 they are 5 MB, which the database holds in memory
	if a.LongestRecording > longest {
		mistakes.AddArgs("longest_recording", "max", map[string]any{"max": longest.String()}, "use at most %v", longest)
	}
}

// plusNone is what Plus is when a provider wants nothing before the country's
// code.
const plusNone = "none"

// number is how the provider wants a number that a contact point or a script
// has, which may be written for people to read.
func (a Account) number(written string) string {
	written = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -()", r) {
			return -1
		}
		return r
	}, written)
	rest, international := strings.CutPrefix(written, "+")
	switch {
	case !international:
		return written
	case a.Plus == plusNone:
		return rest
	}
	return a.Plus + rest
}

// isNumber reports whether a text is a telephone number, with or without a +.
func isNumber(s string) bool {
	const most = 32
	digits := strings.TrimPrefix(s, "+")
	return digits != "" && len(digits) <= most && strings.Trim(digits, "0123456789*") == ""
}

// authorities are those of RootCAs; nil stands for the system's.
func (a Account) authorities() (*x509.CertPool, error) {
	if a.RootCAs == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(a.RootCAs)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("there is none in it")
	}
	return pool, nil
}

// trunk are the settings of the line.
func (a Account) trunk(wheel *media.Wheel, logger *slog.Logger, now func() time.Time) sip.Config {
	c := sip.Config{
		Server: a.Server, Transport: sip.Transport(a.Transport), Domain: a.Domain,
		Username: a.Username, Password: a.Password, Realm: a.Realm, Register: a.Register,
		From: a.CallerNumber, FromName: a.CallerName, Local: a.Local, Encryption: sip.Encryption(a.Encryption),
		Wheel: wheel, Response: a.Response, Ring: a.RingFor, Quiet: a.Quiet, AskEvery: a.AskEvery, PerSecond: a.PerSecond,
		Logger: logger, Now: now,
	}
	if a.Public != "" {
		c.Public = netip.MustParseAddr(a.Public) // it was checked
	}
	if roots, err := a.authorities(); err == nil && roots != nil { // it was checked
		c.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	for _, codec := range a.Codecs {
		c.Laws = append(c.Laws, g711.Law(codec))
	}
	return c
}
