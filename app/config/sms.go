package config

import (
	"time"

	"herald/dispatch/limits"
)

// Use is what an account of any channel is used for, and how much.
type Use struct {
	MinSessions int           `yaml:"min_sessions" help:"Connections kept open when there is nothing to do."`
	MaxSessions int           `yaml:"max_sessions" help:"Connections at a time, at most, on all nodes together."`
	IdleTimeout time.Duration `yaml:"idle_timeout" help:"How long a connection beyond min_sessions must have been too many before it is closed. 0s: 5s."`
	CheckAfter  time.Duration `yaml:"check_after" help:"After how long a rest a connection is asked whether it still works before it is used. 0s: 30s."`
	Purposes    []string      `yaml:"purposes" help:"What it is used for: transactional, service, marketing. None: everything."`
	Recipients  []string      `yaml:"recipients" help:"Whom it is used for: domains with those below them, or beginnings of numbers such as \"+86\"; it goes before accounts for all. None: everybody."`
	Cost        float64       `yaml:"cost" help:"Of accounts that fit equally well the cheaper is used as long as it works; in whatever unit."`
	Weight      int           `yaml:"weight" help:"Accounts that cost the same share messages by weight, 1 to 1000."`
	Limits      limits.Rules  `yaml:"limits" help:"What the account may use, on all nodes together."`
}

// SMS is the accounts that send text messages.
type SMS struct {
	SMPP     []SMPPAccount    `yaml:"smpp" help:"Operators' message centres, by SMPP 3.4."`
	CMPP     []CMPPAccount    `yaml:"cmpp" help:"Gateways of China Mobile, by CMPP 2.0 or 3.0."`
	SGIP     []SGIPAccount    `yaml:"sgip" help:"Gateways of China Unicom, by SGIP 1.2."`
	Gateways []GatewayAccount `yaml:"gateways" help:"Providers spoken to by HTTP, as a description says; see docs/sms-gateways.md."`
	Modems   []ModemAccount   `yaml:"modems" help:"GSM modems at serial lines of this machine, each with its SIM. They belong to one node: name them in its configuration alone."`

	PricePerPart float64 `yaml:"price_per_part" help:"What a part costs, told to those who write texts. 0: not told."`
	Currency     string  `yaml:"currency" help:"Of that price, such as EUR or CNY."`
	TimeZone     string  `yaml:"time_zone" help:"Where the days and months begin by which the console shows what accounts sent, such as Asia/Shanghai. Empty: UTC."`
	GatewayFrom  int     `yaml:"gateway_from" help:"Parts a month from which the console advises an operator's gateway, and below which SIMs of one's own. 0: 100000; -1: it advises nothing."`
}

// SMPPAccount is one contract with an operator.
type SMPPAccount struct {
	Name           string        `yaml:"name" help:"What the console calls it."`
	Host           string        `yaml:"host" help:"The centre's name or address."`
	Port           int           `yaml:"port" help:"0: 2775, or 3550 with TLS."`
	TLS            string        `yaml:"tls" help:"none, or tls (from the first byte). Empty: none."`
	RootCAs        string        `yaml:"root_cas" help:"A PEM file with the authorities behind the centre's certificate. Empty: the system's."`
	SystemID       string        `yaml:"system_id" help:"The name to sign in with, up to 15 characters."`
	Password       string        `yaml:"password" secret:"true" help:"The password for it, up to 8 characters."`
	SystemType     string        `yaml:"system_type" help:"What the operator says; often empty."`
	Bind           string        `yaml:"bind" help:"transceiver, pair (a transmitter and a receiver), transmitter (nothing is heard afterwards) or receiver (nothing is sent). Empty: transceiver."`
	AddressRange   string        `yaml:"address_range" help:"Which of our numbers a receiver wants; often empty."`
	Source         string        `yaml:"source" help:"Who messages come from: a number, a short code, or a name of up to 11 letters and digits. Empty: the operator sets it."`
	SourceTON      *byte         `yaml:"source_ton" help:"The type of source, 0 to 6. None: by its look."`
	SourceNPI      *byte         `yaml:"source_npi" help:"Its numbering plan. None: by its look."`
	DestinationTON *byte         `yaml:"destination_ton" help:"The type of recipients' numbers. None: 1, international."`
	DestinationNPI *byte         `yaml:"destination_npi" help:"Their numbering plan. None: 1."`
	ServiceType    string        `yaml:"service_type" help:"What the operator says; often empty."`
	Window         int           `yaml:"window" help:"Messages that may wait for the centre's answer on one connection, 1 to 1000. 0: 10."`
	Timeout        time.Duration `yaml:"timeout" help:"How long signing in may take, and each answer. 0s: 30s."`
	EnquireEvery   time.Duration `yaml:"enquire_every" help:"How long the centre may be silent before it is asked whether it is there. 0s: 30s."`
	Alphabet       string        `yaml:"alphabet" help:"What data_coding 0 is at this centre: gsm7, gsm7_packed, latin1 or ascii. Empty: gsm7."`
	Transliterate  bool          `yaml:"transliterate" help:"Write characters that the alphabet lacks with others where that saves UCS-2."`
	Languages      []int         `yaml:"languages" help:"National tables that may be used, by their numbers in 3GPP TS 23.038: 1 Turkish, 2 Spanish, 3 Portuguese."`
	LongMessages   string        `yaml:"long_messages" help:"How long texts go: udh, sar or payload. Empty: udh."`
	WideReference  bool          `yaml:"wide_reference" help:"Number long texts with 16 bits."`
	NoReceipts     bool          `yaml:"no_receipts" help:"Ask for none."`
	ReceiptIDs     string        `yaml:"receipt_ids" help:"How receipts write the ids of messages: same, hex_decimal, decimal_hex or auto. Empty: auto, which finds out."`
	UnknownNumber  []string      `yaml:"unknown_number" help:"Codes by which this operator says that there is no such number, such as \"001\" or \"0x0000000B\"."`
	QuerySM        bool          `yaml:"query_sm" help:"Ask the centre about messages in doubt: it answers query_sm."`
	Use            `yaml:",inline,squash"`
}

// CMPPAccount is one account at a gateway of China Mobile.
type CMPPAccount struct {
	Name         string        `yaml:"name" help:"What the console calls it."`
	Host         string        `yaml:"host" help:"The gateway's name or address."`
	Port         int           `yaml:"port" help:"0: 7890."`
	SPID         string        `yaml:"sp_id" help:"The company's code, six characters."`
	Secret       string        `yaml:"secret" secret:"true" help:"What was agreed with the operator; it is never sent."`
	Version      string        `yaml:"version" help:"3.0 or 2.0, in quotes. Empty: the higher that the gateway has."`
	CheckGateway bool          `yaml:"check_gateway" help:"Refuse a gateway that does not prove that it knows the secret."`
	SourceNumber string        `yaml:"source_number" help:"The number that the phone shows: the service number, with an extension if that is allowed."`
	ServiceID    string        `yaml:"service_id" help:"The service as the operator knows it."`
	CountryCode  bool          `yaml:"country_code" help:"Write numbers as 86138… and not as 138…."`
	NoReports    bool          `yaml:"no_reports" help:"Ask for no status reports."`
	Fee          CMPPFee       `yaml:"fee" help:"Who pays."`
	Writing      Writing       `yaml:"writing" help:"How texts are written."`
	Window       int           `yaml:"window" help:"Messages that may wait for their answer on one connection. 0: 16."`
	Answer       time.Duration `yaml:"answer" help:"How long an answer may take before the message is sent again. 0s: 1m."`
	Tries        int           `yaml:"tries" help:"How often it is sent before it is in doubt. 0: 3."`
	Idle         time.Duration `yaml:"idle" help:"How long a connection may be silent before the gateway is asked whether it is there. 0s: 3m."`
	Use          `yaml:",inline,squash"`
}

// CMPPFee says who pays, in CMPP's codes.
type CMPPFee struct {
	Payer  string `yaml:"payer" help:"sp (we), destination, source or number. Empty: sp."`
	Number string `yaml:"number" help:"The number that pays where payer says so."`
	Type   string `yaml:"type" help:"\"01\" free, \"02\" by message, \"03\" by month. Empty: 01."`
	Code   string `yaml:"code" help:"The price in fen. Empty: 0."`
}

// Writing is how texts are written on CMPP and SGIP.
type Writing struct {
	Encoding      string `yaml:"encoding" help:"auto (ASCII where one part holds the text, else UCS-2), ucs2 or gbk. Empty: auto."`
	LongASCII     bool   `yaml:"long_ascii" help:"The gateway takes long texts in ASCII."`
	Transliterate bool   `yaml:"transliterate" help:"Write characters with others where the text then needs no UCS-2."`
}

// SGIPAccount is one account at a gateway of China Unicom.
type SGIPAccount struct {
	Name        string        `yaml:"name" help:"What the console calls it."`
	Host        string        `yaml:"host" help:"The gateway's name or address."`
	Port        int           `yaml:"port" help:"0: 8801."`
	LoginName   string        `yaml:"login_name" help:"The name to sign in with."`
	Password    string        `yaml:"password" secret:"true" help:"The password for it. SGIP sends it as it is."`
	NodeID      uint32        `yaml:"node_id" help:"Our number among the nodes: ten figures that begin with 3."`
	CorpID      string        `yaml:"corp_id" help:"The company's code, five figures, in quotes."`
	SPNumber    string        `yaml:"sp_number" help:"The number that the phone shows, with an extension if that is allowed."`
	ServiceType string        `yaml:"service_type" help:"The service as the operator knows it."`
	NoReports   bool          `yaml:"no_reports" help:"Ask for no status reports."`
	Fee         SGIPFee       `yaml:"fee" help:"Who pays."`
	Writing     Writing       `yaml:"writing" help:"How texts are written."`
	Reception   Reception     `yaml:"reception" help:"Where the gateway connects to, to tell what became of messages and what people write."`
	Window      int           `yaml:"window" help:"Messages that may wait for their answer on one connection, at most 32. 0: 32."`
	Answer      time.Duration `yaml:"answer" help:"How long an answer may take before the message is sent again. 0s: 30s."`
	Tries       int           `yaml:"tries" help:"How often it is sent before it is in doubt. 0: 3."`
	Idle        time.Duration `yaml:"idle" help:"How long a connection may be silent before we leave it. 0s: 50s."`
	Use         `yaml:",inline,squash"`
}

// SGIPFee says who pays, in SGIP's codes.
type SGIPFee struct {
	Payer  string `yaml:"payer" help:"sp (we), recipient or number. Empty: sp."`
	Number string `yaml:"number" help:"The number that pays where payer says so, without the country's code."`
	Type   int    `yaml:"type" help:"1 free, 2 by message, 3 by month, 4 at most so much, 5 by us. 0: 1."`
	Value  string `yaml:"value" help:"The price in fen. Empty: 0."`
}

// Reception is where a gateway of SGIP connects to.
type Reception struct {
	Listen    string   `yaml:"listen" help:"host:port to listen on, such as :8801. Empty: nothing is heard of messages."`
	Networks  []string `yaml:"networks" help:"Networks, such as 10.1.2.0/24, that may connect. Required unless listen is this machine alone."`
	LoginName string   `yaml:"login_name" help:"The name that the gateway signs in with."`
	Password  string   `yaml:"password" secret:"true" help:"Its password."`
}

// GatewayAccount is one account at a provider spoken to by HTTP.
type GatewayAccount struct {
	Name          string            `yaml:"name" help:"What the console calls it; it stands in the address that the provider calls."`
	Description   string            `yaml:"description" help:"kannel, twilio, aliyun, generic, or the path of a description."`
	Settings      map[string]string `yaml:"settings" help:"What the description asks for."`
	Secrets       map[string]string `yaml:"secrets" secret:"true" help:"The secrets that it asks for."`
	Timeout       time.Duration     `yaml:"timeout" help:"How long a request may take. 0s: 30s."`
	RootCAs       string            `yaml:"root_cas" help:"A PEM file with the authorities behind the provider's certificate. Empty: the system's."`
	PlainHTTP     bool              `yaml:"plain_http" help:"Allow http:// to another machine."`
	Networks      []string          `yaml:"networks" help:"Networks, such as 192.0.2.0/24, that the provider calls from. None: those of the description, or else all."`
	Transliterate bool              `yaml:"transliterate" help:"Write characters with others where the text then needs no UCS-2."`
	Use           `yaml:",inline,squash"`
}

// ModemAccount is one GSM modem with its SIM.
type ModemAccount struct {
	Name           string        `yaml:"name" help:"What the console calls it."`
	Device         string        `yaml:"device" help:"The serial line, best by its lasting name: /dev/serial/by-id/…."`
	Baud           int           `yaml:"baud" help:"The line's speed. 0: 115200."`
	PIN            string        `yaml:"pin" secret:"true" help:"Unlocks the SIM; in quotes. It is tried once."`
	Centre         string        `yaml:"centre" help:"The number of the service centre, in quotes. Empty: the SIM's own."`
	Memory         string        `yaml:"memory" help:"Where the modem stores what comes in: SM, ME or MT. Empty: the SIM, if it can."`
	Notify         []string      `yaml:"notify" help:"Settings of AT+CNMI to try in order. None: the usual."`
	Transliterate  bool          `yaml:"transliterate" help:"Write characters that GSM-7 has not with others where the text then needs no UCS-2."`
	Languages      []int         `yaml:"languages" help:"National tables that may be used, by their numbers in 3GPP TS 23.038."`
	NoReports      bool          `yaml:"no_reports" help:"Ask for no status reports."`
	HoldDoubt      bool          `yaml:"hold_doubt" help:"Leave what is in doubt to its status report. Otherwise it is sent again so that the centre can refuse a duplicate."`
	DailyQuota     int           `yaml:"daily_quota" help:"Parts that the SIM may send in a day. 0: any number."`
	MonthlyQuota   int           `yaml:"monthly_quota" help:"Parts that it may send in a month. 0: any number."`
	TimeZone       string        `yaml:"time_zone" help:"Whose days and months those are. Empty: UTC."`
	Balance        BalanceCheck  `yaml:"balance" help:"How the operator is asked what money is left, by USSD."`
	SubmitTimeout  time.Duration `yaml:"submit_timeout" help:"How long the network may take for a part. 0s: 150s."`
	Timeout        time.Duration `yaml:"timeout" help:"How long the modem may take for any other command. 0s: 30s."`
	RegisterWithin time.Duration `yaml:"register_within" help:"How long it may look for a network before it is reset. 0s: 3m."`
	Use            `yaml:",inline,squash"`
}

// BalanceCheck asks the operator what money is left on a SIM.
type BalanceCheck struct {
	Code    string        `yaml:"code" help:"What is asked, such as \"*100#\". Empty: nothing."`
	Pattern string        `yaml:"pattern" help:"A regular expression whose group is the amount in the answer. Empty: the first number."`
	Coding  string        `yaml:"coding" help:"How the modem writes codes and answers: text, packed or ucs2. Empty: text."`
	Every   time.Duration `yaml:"every" help:"The time between two questions. 0s: a day."`
	Low     float64       `yaml:"low" help:"Warn below this. 0: never."`
}
