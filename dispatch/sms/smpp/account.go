package smpp

import (
	"crypto/x509"
	"os"
	"slices"
	"strings"
	"time"

	"herald/dispatch/sms"
	"herald/dispatch/sms/smpp/pdu"
	"herald/problem"
)

// Account is one contract with an operator, and how its centre is spoken to.
type Account struct {
	// Name is what logs, attempts and the console call it. Unique.
	Name string `yaml:"name" json:"name"`
	// Host is the centre's name or address; with TLS its certificate must name it.
	Host string `yaml:"host" json:"host"`
	// Port is usually 2775, or 3550 with TLS. 0: that one.
	Port int `yaml:"port" json:"port"`
	// TLS is "none" (the default: most centres are reached over a leased line
	// or a VPN) or "tls", encrypted from the first octet.
	TLS string `yaml:"tls" json:"tls"`
	// RootCAs is a PEM file with the authorities that may have signed the
	// centre's certificate. Empty: the system's.
	RootCAs string `yaml:"root_cas" json:"root_cas"`

	// SystemID and Password sign in: at most 15 and 8 octets.
	SystemID string `yaml:"system_id" json:"system_id"`
	Password string `yaml:"password" json:"password"`
	// SystemType is what the operator says; often empty. At most 12 octets.
	SystemType string `yaml:"system_type" json:"system_type"`
	// Bind is "transceiver" (the default: one connection for both ways),
	// "pair" (a transmitter and a receiver, which are one session),
	// "transmitter" (nothing is heard of messages afterwards) or "receiver"
	// (nothing is sent).
	Bind string `yaml:"bind" json:"bind"`
	// AddressRange is which of our numbers a receiver wants; often empty.
	AddressRange string `yaml:"address_range" json:"address_range"`

	// Source is who messages come from: a number, a short code, or a name of
	// up to 11 letters and digits. Empty: the operator sets it.
	Source string `yaml:"source" json:"source"`
	// SourceTON and SourceNPI say what Source is (SMPP 3.4, sections 5.2.5 and
	// 5.2.6). Empty: by its look: 1 and 1 for a number with + or of more than
	// 8 digits, 3 and 0 for a short code, 5 and 0 for a name.
	SourceTON *byte `yaml:"source_ton" json:"source_ton"`
	SourceNPI *byte `yaml:"source_npi" json:"source_npi"`
	// DestinationTON and DestinationNPI say what recipients' numbers are.
	// Empty: 1 and 1, international.
	DestinationTON *byte `yaml:"destination_ton" json:"destination_ton"`
	DestinationNPI *byte `yaml:"destination_npi" json:"destination_npi"`
	// ServiceType is what the operator says; often empty. At most 5 octets.
	ServiceType string `yaml:"service_type" json:"service_type"`

	// Window is how many messages may wait for the centre's answer on one
	// session, 1 to 1000. 0: 10, as the specification advises (section 2.9).
	Window int `yaml:"window" json:"window"`
	// Timeout bounds connecting and signing in together, and then each answer.
	// 0: 30 seconds.
	Timeout time.Duration `yaml:"timeout" json:"timeout"`
	// EnquireEvery is how long the centre may be silent before it is asked
	// whether it is there. 0: 30 seconds.
	EnquireEvery time.Duration `yaml:"enquire_every" json:"enquire_every"`

	// Alphabet is what data_coding 0 means at this centre: "gsm7" (the
	// default: one septet in each octet), "gsm7_packed" (eight septets in seven
	// octets), "latin1" or "ascii". What cannot be written so is UCS-2,
	// data_coding 8.
	Alphabet string `yaml:"alphabet" json:"alphabet"`
	// Transliterate lets characters that the alphabet lacks be written with
	// others, where that saves UCS-2.
	Transliterate bool `yaml:"transliterate" json:"transliterate"`
	// Languages are those whose national tables may be used, by their number
	// in 3GPP TS 23.038: 1 Turkish, 2 Spanish, 3 Portuguese … The centre must
	// pass headers on and take GSM-7 as it is: alphabet "gsm7" or
	// "gsm7_packed", long_messages "udh".
	Languages []sms.Language `yaml:"languages" json:"languages"`
	// LongMessages is how a text of several parts goes: "udh" (the default: a
	// header in each part), "sar" (the sar_ options with each part) or
	// "payload" (whole, in message_payload; the centre cuts it).
	LongMessages string `yaml:"long_messages" json:"long_messages"`
	// WideReference numbers messages of several parts with 16 bits rather than
	// 8, where LongMessages is "udh".
	WideReference bool `yaml:"wide_reference" json:"wide_reference"`

	// NoReceipts asks for none: for centres that charge for them.
	NoReceipts bool `yaml:"no_receipts" json:"no_receipts"`
	// ReceiptIDs is how the ids in receipts are written: "same" as in answers,
	// "hex_decimal" (hexadecimal in answers, decimal in receipts),
	// "decimal_hex", or "auto" (the default), which finds out from the first
	// receipts of messages that this process sent; until then ids are taken as
	// they are.
	ReceiptIDs string `yaml:"receipt_ids" json:"receipt_ids"`
	// UnknownNumber are the codes by which this operator says that there is no
	// such number: the err of a receipt ("001"), or a command_status
	// ("0x0000000B"). The number is suppressed then. Every operator has its
	// own; without any, only network_error_code 1 of a GSM network says so.
	UnknownNumber []string `yaml:"unknown_number" json:"unknown_number"`
	// QuerySM says that the centre answers query_sm: it is asked about messages
	// in doubt.
	QuerySM bool `yaml:"query_sm" json:"query_sm"`
}

// What the fields of an Account may be.
const (
	tlsNone  = "none"
	tlsFirst = "tls"

	bindTransceiver = "transceiver"
	bindPair        = "pair"
	bindTransmitter = "transmitter"
	bindReceiver    = "receiver"

	alphabetGSM7   = "gsm7"
	alphabetPacked = "gsm7_packed"
	alphabetLatin1 = "latin1"
	alphabetASCII  = "ascii"

	longUDH     = "udh"
	longSAR     = "sar"
	longPayload = "payload"

	idsAuto       = "auto"
	idsSame       = "same"
	idsHexDecimal = "hex_decimal"
	idsDecimalHex = "decimal_hex"
)

const (
	// leastTimeout is less than any centre needs, but a test.
	leastTimeout = 10 * time.Millisecond
	mostWindow   = 1000
)

// complete fills in the defaults and notes the mistakes.
func (a Account) complete(mistakes *problem.Fields) Account {
	if a.Name == "" {
		mistakes.Add("name", "required", "give it a name")
	}
	if a.Host == "" || strings.ContainsAny(a.Host, " \t\r\n/@") {
		mistakes.Add("host", "format", "use the centre's name or address, without a port")
	}
	choose(mistakes, "tls", &a.TLS, tlsNone, tlsFirst)
	if a.Port == 0 {
		if a.Port = 2775; a.TLS == tlsFirst {
			a.Port = 3550
		}
	}
	if a.Port < 0 || a.Port > 65535 {
		mistakes.Add("port", "range", "use 1 to 65535")
	}
	a.checkSignIn(mistakes)
	a.completeAddresses(mistakes)
	choose(mistakes, "bind", &a.Bind, bindTransceiver, bindPair, bindTransmitter, bindReceiver)
	choose(mistakes, "alphabet", &a.Alphabet, alphabetGSM7, alphabetPacked, alphabetLatin1, alphabetASCII)
	choose(mistakes, "long_messages", &a.LongMessages, longUDH, longSAR, longPayload)
	choose(mistakes, "receipt_ids", &a.ReceiptIDs, idsAuto, idsSame, idsHexDecimal, idsDecimalHex)
	if a.Window == 0 {
		a.Window = 10
	}
	if a.Window < 1 || a.Window > mostWindow {
		mistakes.Add("window", "range", "use 1 to %d", mostWindow)
	}
	for field, d := range map[string]*time.Duration{"timeout": &a.Timeout, "enquire_every": &a.EnquireEvery} {
		if *d == 0 {
			*d = 30 * time.Second
		}
		if *d < leastTimeout {
			mistakes.Add(field, "min", "use at least %v", leastTimeout)
		}
	}
	if len(a.Languages) > 0 && (a.LongMessages != longUDH || a.Alphabet != alphabetGSM7 && a.Alphabet != alphabetPacked) {
		mistakes.Add("languages", "conflict", "use them with gsm7 or gsm7_packed, and udh")
	}
	return a
}

// choose takes the first of the words when none was given.
func choose(mistakes *problem.Fields, field string, value *string, words ...string) {
	if *value == "" {
		*value = words[0]
	}
	if !slices.Contains(words, *value) {
		mistakes.Add(field, "one_of", "use %s", strings.Join(words, ", "))
	}
}

func (a Account) checkSignIn(mistakes *problem.Fields) {
	if a.SystemID == "" {
		mistakes.Add("system_id", "required", "give the name that the operator gave you")
	}
	for field, c := range map[string]struct {
		value string
		most  int
	}{
		"system_id": {a.SystemID, 15}, "password": {a.Password, 8}, "system_type": {a.SystemType, 12},
		"address_range": {a.AddressRange, 40}, "service_type": {a.ServiceType, 5},
	} {
		if len(c.value) > c.most || strings.Contains(c.value, "\x00") {
			mistakes.Add(field, "length", "use at most %d octets", c.most)
		}
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

// mostShortCode is how many digits a short code has; a longer one is a number.
const mostShortCode = 8

func (a *Account) completeAddresses(mistakes *problem.Fields) {
	digits := strings.TrimPrefix(a.Source, "+")
	ton, npi := pdu.Alphanumeric, pdu.UnknownPlan
	switch {
	case a.Source == "":
		ton = pdu.UnknownNumber
	case isDigits(digits) && (digits != a.Source || len(digits) > mostShortCode):
		ton, npi = pdu.International, pdu.ISDN
		a.Source = digits
	case isDigits(digits):
		ton = pdu.NetworkSpecific
	}
	orByte(&a.SourceTON, byte(ton))
	orByte(&a.SourceNPI, byte(npi))
	orByte(&a.DestinationTON, byte(pdu.International))
	orByte(&a.DestinationNPI, byte(pdu.ISDN))
	switch {
	case len(a.Source) > 20 || strings.Contains(a.Source, "\x00"):
		mistakes.Add("source", "length", "use at most 20 octets")
	case *a.SourceTON == byte(pdu.Alphanumeric) && len(a.Source) > 11:
		mistakes.Add("source", "length", "a name has at most 11 characters")
	}
}

func orByte(to **byte, usual byte) {
	if *to == nil {
		*to = &usual
	}
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
