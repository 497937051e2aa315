package cmpp

import (
	"cmp"
	"strings"
	"time"

	"herald/dispatch/sms/link"
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

	// Timing is by default a window of 16, 60 seconds for an answer, 3 tries,
	// and 3 minutes of silence (CMPP 3.0, section 7.1).
	link.Timing `yaml:",inline"`
}

// usual is the Timing where an account says nothing.
var usual = link.Timing{Window: 16, Answer: time.Minute, Tries: 3, Idle: 3 * time.Minute}

// widest is the widest window that an account may have.
const widest = 1000

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
	a.Port = cmp.Or(a.Port, 7890)
	if a.Port < 0 || a.Port > 65535 {
		mistakes.Add("port", "range", "use 1 to 65535")
	}
	if len(a.SPID) != 6 || !wire.IsPlain(a.SPID, 6) {
		mistakes.Add("sp_id", "format", "use the company's code, six characters")
	}
	if a.Secret == "" {
		mistakes.Add("secret", "required", "give the secret agreed with the operator")
	}
	if _, known := versions[a.Version]; !known {
		mistakes.Add("version", "one_of", `use "3.0", "2.0", or leave it empty`)
	}
	if !wire.IsDigits(a.SourceNumber, 21) || a.SourceNumber == "" {
		mistakes.Add("source_number", "format", "use the service number, up to 21 digits")
	}
	if !wire.IsPlain(a.ServiceID, 10) {
		mistakes.Add("service_id", "length", "use up to ten characters")
	}
	a.Fee.complete(mistakes)
	a.Writing.Check(mistakes, "writing")
	a.Timing = a.Timing.Complete(mistakes, usual, widest)
	return a
}

func (f *Fee) complete(mistakes *problem.Fields) {
	f.Payer = cmp.Or(f.Payer, "sp")
	if _, known := payers[f.Payer]; !known {
		mistakes.Add("fee.payer", "one_of", `use "sp", "destination", "source" or "number"`)
	}
	if !wire.IsDigits(f.Number, 21) || (f.Payer == "number") != (f.Number != "") {
		mistakes.Add("fee.number", "required", `give the number that pays where the payer is "number", and nowhere else`)
	}
	f.Type = cmp.Or(f.Type, "01")
	if f.Type != "01" && f.Type != "02" && f.Type != "03" {
		mistakes.Add("fee.type", "one_of", `use "01", "02" or "03"`)
	}
	f.Code = cmp.Or(f.Code, "0")
	if !wire.IsDigits(f.Code, 6) {
		mistakes.Add("fee.code", "format", "use the price in fen, up to six digits")
	}
}
