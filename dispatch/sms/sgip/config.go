package sgip

import (
	"cmp"
	"net"
	"net/netip"
	"strings"
	"time"

	"herald/dispatch/sms/link"
	"herald/dispatch/sms/wire"
	"herald/problem"
)

// Account is one service provider's account at one gateway (SMG).
type Account struct {
	// Name is what logs, attempts and the console call it. Unique.
	Name string `yaml:"name" json:"name"`
	// Host is the gateway's name or address, and Port where it listens. 0: 8801.
	Host string `yaml:"host" json:"host"`
	Port int    `yaml:"port" json:"port"`
	// LoginName and Password sign us in there, of up to 16 characters. SGIP
	// sends them as they are: the line should be the operator's own.
	LoginName string `yaml:"login_name" json:"login_name"`
	Password  string `yaml:"password" json:"password"`
	// NodeID is our number among the nodes, as the operator gave it: 3, the
	// area code in four figures, the company's code in five.
	NodeID uint32 `yaml:"node_id" json:"node_id"`
	// CorpID is the company's code, of five figures.
	CorpID string `yaml:"corp_id" json:"corp_id"`

	// SPNumber is the number that the phone shows, with an extension if the
	// operator allows one.
	SPNumber string `yaml:"sp_number" json:"sp_number"`
	// ServiceType is the service as the operator knows it.
	ServiceType string `yaml:"service_type" json:"service_type"`
	// NoReports asks for no status reports.
	NoReports bool `yaml:"no_reports" json:"no_reports"`

	Fee     Fee          `yaml:"fee" json:"fee"`
	Writing wire.Writing `yaml:"writing" json:"writing"`

	// Reception is where the gateway connects to, to tell what became of
	// messages and what people write. Without it nothing is heard.
	Reception Reception `yaml:"reception" json:"reception"`

	// Timing is by default a window of 32, which is the most, 30 seconds for an
	// answer, 3 tries, and 50 seconds of silence, for gateways end a connection
	// after 60.
	link.Timing `yaml:",inline"`
}

// widest is how many commands may be unanswered on a connection.
const widest = 32

// usual is the Timing where an account says nothing.
var usual = link.Timing{Window: widest, Answer: 30 * time.Second, Tries: 3, Idle: 50 * time.Second}

// Fee says who pays (SGIP 1.2, command Submit).
type Fee struct {
	// Payer (ChargeNumber) is "sp" (the default: we do), "recipient" or "number".
	Payer string `yaml:"payer" json:"payer"`
	// Number pays where Payer says so; without the country's code.
	Number string `yaml:"number" json:"number"`
	// Type (FeeType) is 1 (the default: free for the payer), 2 (by message), 3
	// (by month), 4 (at most so much) or 5 (by us); Value (FeeValue) the price
	// in fen. Empty: 0.
	Type  int    `yaml:"type" json:"type"`
	Value string `yaml:"value" json:"value"`
}

// Reception is a listener of ours.
type Reception struct {
	// Listen is its address, such as ":8801". Empty: there is none. Where
	// several nodes have the account, each that can listen there does; the
	// gateway connects to the one that the operator knows.
	Listen string `yaml:"listen" json:"listen"`
	// Networks are those that may connect, such as "10.1.2.0/24". Required
	// unless Listen is a loopback address.
	Networks []string `yaml:"networks" json:"networks"`
	// LoginName and Password are what the gateway signs in with.
	LoginName string `yaml:"login_name" json:"login_name"`
	Password  string `yaml:"password" json:"password"`

	networks []netip.Prefix
}

// complete fills in the defaults and notes the mistakes.
func (a Account) complete(mistakes *problem.Fields) Account {
	if a.Name == "" {
		mistakes.Add("name", "required", "give it a name")
	}
	if a.Host == "" || strings.ContainsAny(a.Host, " \t\r\n/@") {
		mistakes.Add("host", "format", "use the gateway's name or address, without a port")
	}
	a.Port = cmp.Or(a.Port, 8801)
	if a.Port < 0 || a.Port > 65535 {
		mistakes.Add("port", "range", "use 1 to 65535")
	}
	if a.LoginName == "" || !wire.IsPlain(a.LoginName, 16) {
		mistakes.Add("login_name", "length", "use up to 16 characters")
	}
	if !wire.IsPlain(a.Password, 16) {
		mistakes.Add("password", "length", "use up to 16 characters")
	}
	if a.NodeID < 3_000_000_000 || a.NodeID > 3_999_999_999 {
		mistakes.Add("node_id", "range", "use the ten figures that begin with 3")
	}
	if len(a.CorpID) != 5 || !wire.IsDigits(a.CorpID, 5) {
		mistakes.Add("corp_id", "format", "use the company's code, five figures")
	}
	if a.SPNumber == "" || !wire.IsDigits(a.SPNumber, 21) {
		mistakes.Add("sp_number", "format", "use the service number, up to 21 digits")
	}
	if !wire.IsPlain(a.ServiceType, 10) {
		mistakes.Add("service_type", "length", "use up to ten characters")
	}
	a.Fee.complete(mistakes)
	a.Writing.Check(mistakes, "writing")
	a.Reception.complete(mistakes)
	a.Timing = a.Timing.Complete(mistakes, usual, widest)
	return a
}

func (f *Fee) complete(mistakes *problem.Fields) {
	f.Payer = cmp.Or(f.Payer, "sp")
	if f.Payer != "sp" && f.Payer != "recipient" && f.Payer != "number" {
		mistakes.Add("fee.payer", "one_of", `use "sp", "recipient" or "number"`)
	}
	if !wire.IsDigits(f.Number, 19) || (f.Payer == "number") != (f.Number != "") {
		mistakes.Add("fee.number", "required", `give the number that pays where the payer is "number", and nowhere else`)
	}
	f.Type = cmp.Or(f.Type, 1)
	if f.Type < 1 || f.Type > 5 {
		mistakes.Add("fee.type", "range", "use 1 to 5")
	}
	f.Value = cmp.Or(f.Value, "0")
	if !wire.IsDigits(f.Value, 6) {
		mistakes.Add("fee.value", "format", "use the price in fen, up to six digits")
	}
}

func (r *Reception) complete(mistakes *problem.Fields) {
	if r.Listen == "" {
		return
	}
	host, _, err := net.SplitHostPort(r.Listen)
	if err != nil {
		mistakes.Add("reception.listen", "format", "use an address with a port, such as :8801")
	}
	for _, n := range r.Networks {
		network, err := netip.ParsePrefix(n)
		if err != nil {
			mistakes.Add("reception.networks", "format", "use networks such as 10.1.2.0/24")
			continue
		}
		r.networks = append(r.networks, network.Masked())
	}
	if len(r.Networks) == 0 {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
			mistakes.Add("reception.networks", "required", "name the gateway's network: its login alone, which anybody on the line can read, lets nobody in")
		}
	}
	if r.LoginName == "" || len(r.LoginName) > 16 || len(r.Password) > 16 {
		mistakes.Add("reception.login_name", "required", "give the name and password that the gateway signs in with, up to 16 characters each")
	}
}

// lets reports whether somebody at ip may connect.
func (r *Reception) lets(ip netip.Addr) bool {
	for _, n := range r.networks {
		if n.Contains(ip.Unmap()) {
			return true
		}
	}
	return len(r.networks) == 0
}
