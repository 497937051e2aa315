package cmpp

import (
	"strings"
	"time"

	"herald/dispatch/sms/wire"
	"herald/problem"
)

// Account is one connection account (SP) at one gateway (ISMG).
type Account struct {
	// Name is what logs, attempts and the console call it. Unique.
	Name string `yaml:"name" json:"name"`
	// Host is the gateway's name or address, and Port where it listens for
	// long connections. 0: 7890.
	Host string `yaml:"host" json:"host"`
	Port int    `yaml:"port" json:"port"`
	// SPID is the company's code, of six characters, and Secret what was agreed
	// with the operator. The secret itself is never sent.
	SPID   string `yaml:"sp_id" json:"sp_id"`
	Secret string `yaml:"secret" json:"secret"`
	// Version is "3.0" or "2.0". Empty: 3.0, or what the gateway says it has.
	Version string `yaml:"version" json:"version"`
	// CheckGateway refuses a gateway that does not prove that it knows Secret.
	// Some leave that field empty.
	CheckGateway bool `yaml:"check_gateway" json:"check_gateway"`

	// SourceNumber (Src_Id) is the number that the phone shows: the service
	// number, with an extension if the operator allows one.
	SourceNumber string `yaml:"source_number" json:"source_number"`
	// ServiceID (Service_Id) is the service as the operator knows it.
	ServiceID string `yaml:"service_id" json:"service_id"`
	// CountryCode writes numbers as 86138… and not as 138….
	CountryCode bool `yaml:"country_code" json:"country_code"`
	// NoReports asks for no status reports.
	NoReports bool `yaml:"no_reports" json:"no_reports"`

	Fee     Fee          `yaml:"fee" json:"fee"`
	Writing wire.Writing `yaml:"writing" json:"writing"`

	// Window is how many messages may be unanswered. 0: 16 (CMPP 3.0, section
	// 7.1, as the next three).
	Window int `yaml:"window" json:"window"`
	// Answer is how long an answer may take before a message is sent again. 0:
	// 60 seconds.
	Answer time.Duration `yaml:"answer" json:"answer"`
	// Tries is how often a message is sent before it is in doubt. 0: 3.
	Tries int `yaml:"tries" json:"tries"`
	// Idle is how long a connection may be silent before its other side is
	// asked whether it is there. 0: 3 minutes.
	Idle time.Duration `yaml:"idle" json:"idle"`
}

// Fee says who pays (CMPP 3.0, section 8.4.3.1).
type Fee struct {
	// Payer (Fee_UserType) is "sp" (the default: we do), "destination",
	// "source" or "number".
	Payer string `yaml:"payer" json:"payer"`
	// Number (Fee_terminal_Id) pays where Payer says so.
	Number string `yaml:"number" json:"number"`
	// Type (FeeType) is "01" (the default: free for the payer), "02" (by
	// message) or "03" (by month), and Code (FeeCode) the price in fen. Empty: 0.
	Type string `yaml:"type" json:"type"`
	Code string `yaml:"code" json:"code"`
}

// The values of Fee_UserType.
var payers = map[string]byte{"destination": 0, "source": 1, "sp": 2, "number": 3}

// versions are what CONNECT names (section 8.4.1.1: a digit in each half).
var versions = map[string]byte{"": v30, "3.0": v30, "2.0": v20}

const (
	v20 = 0x20
	v30 = 0x30
)

// complete fills in the defaults and notes the mistakes.
func (a Account) complete(mistakes *problem.Fields) Account {
	if a.Name == "" {
		mistakes.Add("name", "required", "give it a name")
	}
	if a.Host == "" || strings.ContainsAny(a.Host, " \t\r\n/@") {
		mistakes.Add("host", "format", "use the gateway's name or address, without a port")
	}
	orDefault(&a.Port, 7890)
	if a.Port < 0 || a.Port > 65535 {
		mistakes.Add("port", "range", "use 1 to 65535")
	}
	if len(a.SPID) != 6 || !isPlain(a.SPID) {
		mistakes.Add("sp_id", "format", "use the company's code, six characters")
	}
	if a.Secret == "" {
		mistakes.Add("secret", "required", "give the secret agreed with the operator")
	}
	if _, known := versions[a.Version]; !known {
		mistakes.Add("version", "one_of", `use "3.0", "2.0", or leave it empty`)
	}
	if !isNumber(a.SourceNumber, 21) || a.SourceNumber == "" {
		mistakes.Add("source_number", "format", "use the service number, up to 21 digits")
	}
	if len(a.ServiceID) > 10 || !isPlain(a.ServiceID) {
		mistakes.Add("service_id", "length", "use up to ten characters")
	}
	a.Fee.complete(mistakes)
	a.Writing.Check(mistakes, "writing")
	orDefault(&a.Window, 16)
	if a.Window < 1 || a.Window > 1000 {
		mistakes.Add("window", "range", "use 1 to 1000")
	}
	orDefault(&a.Tries, 3)
	if a.Tries < 1 || a.Tries > 10 {
		mistakes.Add("tries", "range", "use 1 to 10")
	}
	orDefault(&a.Answer, time.Minute)
	if a.Answer < leastWait {
		mistakes.Add("answer", "min", "use at least %v", leastWait)
	}
	orDefault(&a.Idle, 3*time.Minute)
	if a.Idle < leastWait {
		mistakes.Add("idle", "min", "use at least %v", leastWait)
	}
	return a
}

// leastWait is less than any gateway needs, but a test.
const leastWait = 10 * time.Millisecond

func (f *Fee) complete(mistakes *problem.Fields) {
	orDefault(&f.Payer, "sp")
	if _, known := payers[f.Payer]; !known {
		mistakes.Add("fee.payer", "one_of", `use "sp", "destination", "source" or "number"`)
	}
	if !isNumber(f.Number, 21) || (f.Payer == "number") != (f.Number != "") {
		mistakes.Add("fee.number", "required", `give the number that pays where the payer is "number", and nowhere else`)
	}
	orDefault(&f.Type, "01")
	if f.Type != "01" && f.Type != "02" && f.Type != "03" {
		mistakes.Add("fee.type", "one_of", `use "01", "02" or "03"`)
	}
	orDefault(&f.Code, "0")
	if !isNumber(f.Code, 6) {
		mistakes.Add("fee.code", "format", "use the price in fen, up to six digits")
	}
}

func orDefault[T comparable](v *T, usual T) {
	var zero T
	if *v == zero {
		*v = usual
	}
}

func isNumber(s string, most int) bool {
	return len(s) <= most && strings.Trim(s, "0123456789") == ""
}

// isPlain accepts ASCII without spaces and controls.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return true
}
