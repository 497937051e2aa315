package fax

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"

	"herald/hardware/fax"
	"herald/problem"
)

// Account is one HylaFAX server, or what may be used of one.
type Account struct {
	// Name is what logs, attempts and the console call it. Unique.
	Name string `yaml:"name" json:"name"`
	// Host and Port are where hfaxd listens. 0: 4559.
	Host string `yaml:"host" json:"host"`
	Port int    `yaml:"port" json:"port"`
	// Username is who we are there. Empty: herald. Password is empty where the
	// server asks for none.
	Username string `yaml:"username" json:"username"`
	Password string `yaml:"password" json:"password"`
	// Timeout is how long the server may take for a command. 0: 30 seconds.
	Timeout time.Duration `yaml:"timeout" json:"timeout"`
	// Modem is a modem of the server, or a class of them. Empty: any.
	Modem string `yaml:"modem" json:"modem"`

	// SenderName and SenderNumber are on top of every page: the law of many
	// countries wants them there (47 CFR 68.318(d)).
	SenderName   string `yaml:"sender_name" json:"sender_name"`
	SenderNumber string `yaml:"sender_number" json:"sender_number"`
	// Cover puts a cover page before each fax.
	Cover bool `yaml:"cover" json:"cover"`
	// TimeZone is that of the times on the pages. Empty: UTC. Locale is the
	// language of the words on top of them, and on the cover, where the
	// message has none of its own. Empty: en.
	TimeZone string `yaml:"time_zone" json:"time_zone"`
	Locale   string `yaml:"locale" json:"locale"`

	// Standard sends half the lines of each page: faster, and too coarse for
	// Chinese.
	Standard bool `yaml:"standard" json:"standard"`
	// NoECM sends without error correction, for machines that have it and do
	// not master it.
	NoECM bool `yaml:"no_ecm" json:"no_ecm"`
	// MaxDials is how often a number is dialled before it is given up, and
	// MaxTries how often a call that was answered is tried again. 0: 2 and 3.
	// One where no fax answers, but perhaps a person, is dialled twice at most.
	MaxDials int `yaml:"max_dials" json:"max_dials"`
	MaxTries int `yaml:"max_tries" json:"max_tries"`
	// RetryAfter is how long after a try the next one comes. 0: as the server
	// is configured; between two jobs, 2 minutes.
	RetryAfter time.Duration `yaml:"retry_after" json:"retry_after"`
	// GiveUpAfter is how long a job may take. 0: 3 hours. A message that
	// expires sooner is given up then.
	GiveUpAfter time.Duration `yaml:"give_up_after" json:"give_up_after"`
	// Dial says how numbers are dialled, where the server does not make that of
	// the international form by its own rules. The longest prefix counts.
	Dial []DialRule `yaml:"dial" json:"dial"`

	// tune lets a test be impatient with its server.
	tune func(*settings)
}

// DialRule replaces the beginning of a number: with the prefix +86 and 0 in its
// place, +862155550100 is dialled as 02155550100.
type DialRule struct {
	Prefix  string `yaml:"prefix" json:"prefix"`
	Replace string `yaml:"replace" json:"replace"`
}

// settings are what an account comes to.
type settings struct {
	server fax.Config
	zone   *time.Location
	// every is the time between two looks at the server's jobs, and waits how
	// long its word of one is waited for.
	every, waits time.Duration
	// settles is how long after a submission that was not answered the server
	// may still come to it; forgets is how long after a submission it surely
	// still knows the job, whatever became of it.
	settles, forgets time.Duration
	// pause is between two jobs of a delivery.
	pause time.Duration
	// lingers is how long a call may go on whose last page is confirmed.
	lingers time.Duration
}

// The usual settings. HylaFAX keeps ended jobs for 15 minutes at least
// (faxqclean(8), -j).
const (
	lookEvery    = 5 * time.Second
	waitFor      = time.Minute
	settlesAfter = time.Minute
	forgetsAfter = 10 * time.Minute
	pauseBetween = 2 * time.Minute
	lingersFor   = 5 * time.Minute
)

// complete fills in the defaults and notes the mistakes.
func (a Account) complete(mistakes *problem.Fields) (Account, settings) {
	if a.Name == "" {
		mistakes.Add("name", "required", "give it a name")
	}
	if a.Host == "" || strings.ContainsAny(a.Host, " /:") && net.ParseIP(a.Host) == nil {
		mistakes.Add("host", "format", "give the name or address of the server, such as fax.example.org")
	}
	a.Port = cmp.Or(a.Port, 4559)
	if a.Port < 1 || a.Port > 65535 {
		mistakes.Add("port", "range", "use a port such as 4559")
	}
	a.Username = cmp.Or(a.Username, "herald")
	for path, word := range map[string]string{"username": a.Username, "password": a.Password, "modem": a.Modem} {
		if !isWord(word) || path != "password" && strings.Contains(word, " ") {
			mistakes.Add(path, "format", "use up to 60 characters that print, and no quotation mark")
		}
	}
	a.addIdentity(mistakes)
	zone, err := time.LoadLocation(a.TimeZone)
	if err != nil || a.TimeZone == "Local" {
		mistakes.Add("time_zone", "time_zone", "use a time zone such as Asia/Shanghai")
	}
	a.MaxDials, a.MaxTries = cmp.Or(a.MaxDials, 2), cmp.Or(a.MaxTries, 3)
	if a.MaxDials < 1 || a.MaxDials > 12 {
		mistakes.Add("max_dials", "range", "use 1 to 12")
	}
	if a.MaxTries < 1 || a.MaxTries > 12 {
		mistakes.Add("max_tries", "range", "use 1 to 12")
	}
	if a.RetryAfter < 0 || a.RetryAfter >= 100*time.Minute {
		mistakes.Add("retry_after", "range", "use less than 100 minutes")
	}
	a.GiveUpAfter = cmp.Or(a.GiveUpAfter, 3*time.Hour)
	if a.GiveUpAfter < time.Minute || a.GiveUpAfter > 99*24*time.Hour {
		mistakes.Add("give_up_after", "range", "use a minute to 99 days")
	}
	const leastTimeout = 10 * time.Millisecond // which only a test wants
	if a.Timeout != 0 && a.Timeout < leastTimeout {
		mistakes.Add("timeout", "min", "use at least %v", leastTimeout)
	}
	for i, rule := range a.Dial {
		at := "dial[" + strconv.Itoa(i) + "]"
		if len(rule.Prefix) < 2 || !isNumber(rule.Prefix) || rule.Prefix[0] != '+' {
			mistakes.Add(at+".prefix", "format", "use the beginning of an international number, such as +86")
		}
		if len(rule.Replace) > 20 || strings.Trim(rule.Replace, "+0123456789*#,-(). ") != "" {
			mistakes.Add(at+".replace", "format", "use what is dialled instead, such as 0")
		}
	}
	return a, settings{
		server: fax.Config{
			Address: net.JoinHostPort(a.Host, strconv.Itoa(a.Port)), Username: a.Username, Password: a.Password, Timeout: a.Timeout,
		},
		zone: zone, every: lookEvery, waits: waitFor, settles: settlesAfter, forgets: forgetsAfter,
		pause: cmp.Or(a.RetryAfter, pauseBetween), lingers: lingersFor,
	}
}

// addIdentity notes what is wrong with who we say that we are.
func (a Account) addIdentity(mistakes *problem.Fields) {
	if name := strings.TrimSpace(a.SenderName); name == "" || len(name) > 200 {
		mistakes.Add("sender_name", "required", "say who sends: the law wants it on top of every page")
	}
	if number := strings.Trim(a.SenderNumber, "+0123456789-(). "); number != "" || len(a.SenderNumber) > 40 || !strings.ContainsAny(a.SenderNumber, "0123456789") {
		mistakes.Add("sender_number", "required", "give the number of the sending machine, such as +86 21 5555 0100: the law wants it on top of every page")
	}
}

// isWord reports whether the server's protocol can say a word.
func isWord(word string) bool {
	return len(word) <= 60 && !strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' || r == '\\' || r == 0xfffd })
}

// isNumber reports whether a text is an international number, or its beginning.
func isNumber(text string) bool {
	digits, found := strings.CutPrefix(text, "+")
	return found && digits != "" && len(digits) <= 20 && strings.Trim(digits, "0123456789") == ""
}

// dialled is what is dialled for a number.
func (a Account) dialled(number string) string {
	best := DialRule{}
	for _, rule := range a.Dial {
		if strings.HasPrefix(number, rule.Prefix) && len(rule.Prefix) > len(best.Prefix) {
			best = rule
		}
	}
	return best.Replace + strings.TrimPrefix(number, best.Prefix)
}
