// Package config is Herald's configuration: one YAML file plus HERALD_…
// variables, merged over the defaults, checked once at start.
//
// Every field's documentation is its help tag: the commented example, the
// effective configuration and the error messages are all made from this one
// struct. A mistake names the file, the line and the field, or the variable.
package config

import "time"

// Config is everything that can be set. Default gives it with its defaults.
type Config struct {
	Node      string   `yaml:"node" help:"What this node is called in logs and on the console, with a random end that changes at every start. Empty: the host's name."`
	Roles     []string `yaml:"roles" help:"What this node does: web (pages, API and matching), dispatch (hands messages over). Nodes on one database can split them."`
	DataDir   string   `yaml:"data_dir" help:"Where Herald keeps its private PostgreSQL and its secret key."`
	SecretKey string   `yaml:"secret_key" secret:"true" help:"At least 32 characters that sign links in messages; the same on every node. Empty: made at the first start and kept in data_dir."`

	Company       Company       `yaml:"company"`
	Log           Log           `yaml:"log"`
	Database      Database      `yaml:"database"`
	HTTP          HTTP          `yaml:"http"`
	API           API           `yaml:"api"`
	Matcher       Matcher       `yaml:"matcher"`
	Collectors    Collectors    `yaml:"collectors"`
	Subscriptions Subscriptions `yaml:"subscriptions"`
	Dispatch      Dispatch      `yaml:"dispatch"`
	Email         Email         `yaml:"email"`
	SMS           SMS           `yaml:"sms"`
	Voice         Voice         `yaml:"voice"`
	Fax           Fax           `yaml:"fax"`
	Bounces       Bounces       `yaml:"bounces"`

	Replies  Replies   `yaml:"replies"`
	Webhooks Webhooks  `yaml:"webhooks"`
	Receipts []Receipt `yaml:"receipts" help:"Providers that report by webhook what became of messages, each to /receipts/PROVIDER/NAME below http.public_url."`
}

// Log is what Herald writes about itself, to standard error.
type Log struct {
	Level  string `yaml:"level" help:"debug, info, warn or error."`
	Format string `yaml:"format" help:"json for machines, text for people."`
}

// Database is where everything is kept.
type Database struct {
	URL            string `yaml:"url" secret:"true" help:"postgres://user:password@host/name. Empty: Herald starts a private PostgreSQL in data_dir."`
	MaxConnections int    `yaml:"max_connections" help:"Connections this node may hold, 4 to 500."`
	BinDir         string `yaml:"bin_dir" help:"Where initdb and postgres are, for the private server. Empty: the newest installed."`
}

// HTTP is the one listener for pages, API, metrics and health.
type HTTP struct {
	Listen         string        `yaml:"listen" help:"host:port to listen on; port 0 takes a free one."`
	PublicURL      string        `yaml:"public_url" help:"How the world reaches Herald, for links in messages. Empty: http:// and the listen address."`
	TrustedProxies []string      `yaml:"trusted_proxies" help:"Networks, such as 10.0.0.0/8, of the proxies in front of Herald: from them alone X-Forwarded-For is believed, by which sign-ins are limited."`
	MaxBody        int           `yaml:"max_body" help:"Largest request body in bytes; bulk events are read as a stream of up to 64 times this."`
	StopAfter      time.Duration `yaml:"stop_after" help:"How long a stop waits for what is under way before it is cut off."`
}

// API limits each key.
type API struct {
	RequestsPerSecond int `yaml:"requests_per_second" help:"Requests one API key may make in a second, over time."`
	Burst             int `yaml:"burst" help:"Requests one API key may make at once."`
}

// Matcher is the intake of events.
type Matcher struct {
	QueueEvents int           `yaml:"queue_events" help:"Events that may wait for the database before senders are told to come again."`
	BatchEvents int           `yaml:"batch_events" help:"Events that share one transaction at most."`
	KeepEvents  time.Duration `yaml:"keep_events" help:"How long events can be searched and previews look back; what is older is dropped by days. As long, a sender's repeated event is told from a new one. At least a day; triggers that look back further keep theirs."`
}

// Subscriptions is the upkeep of what members asked for.
type Subscriptions struct {
	ExpirySchedule string `yaml:"expiry_schedule" help:"When expired subscriptions are moved to history and repeated ones renewed: a cron expression."`
	RenewalDays    int    `yaml:"renewal_days" help:"How many days before its last one a member is offered to extend a subscription that does not repeat and was valid for at least twice as long, 1 to 90. 0: never."`
}

// Dispatch hands messages over.
type Dispatch struct {
	Workers        int           `yaml:"workers" help:"Messages of one channel in hand at once on this node."`
	FirstRetry     time.Duration `yaml:"first_retry" help:"The wait before the first new try of a message refused for now; later waits grow."`
	SendTimeout    time.Duration `yaml:"send_timeout" help:"How long one hand-over may take."`
	ReconcileEvery time.Duration `yaml:"reconcile_every" help:"How often the ledger is held against the messages it counts, by one of the nodes."`
	QuietHours     string        `yaml:"quiet_hours" help:"When members who chose no quiet hours of their own hear only what is urgent, by their own clocks, such as 21:00-08:00. Empty: never."`
	Caps           []Cap         `yaml:"caps" help:"How many messages of a purpose a member gets at most in any span of time; several may hold for one purpose. None: as many as there are."`
	Doubt          []Doubt       `yaml:"doubt" help:"What happens to messages that were handed over and nobody knows what came of them, by channel and purpose. What no entry speaks of: resend for email, wait for sms, assume_sent for voice, hold for fax."`
}

// Doubt is what happens to some messages in doubt.
type Doubt struct {
	Channel string `yaml:"channel" help:"email, sms, voice or fax."`
	Purpose string `yaml:"purpose" help:"transactional, service or marketing. Empty: all that no other entry of this channel names."`
	Policy  string `yaml:"policy" help:"resend (marked as the same message), wait (for the provider's report), hold (for an operator) or assume_sent."`
}

// Cap is one limit of how often members are written to.
type Cap struct {
	Purpose string        `yaml:"purpose" help:"transactional, service or marketing."`
	Max     int           `yaml:"max" help:"So many messages, 1 to 100,"`
	Within  time.Duration `yaml:"within" help:"in any span of time as long as this, at most 366 days."`
}

// Webhooks tell the company's systems what became of messages. Their
// endpoints are made on the console or by the API.
type Webhooks struct {
	Workers       int      `yaml:"workers" help:"Webhook messages in hand at once on this node."`
	AllowNetworks []string `yaml:"allow_networks" help:"Networks of your own, such as 10.2.0.0/16, that webhooks may be posted to, also by plain http; all others must be public and https."`
	RootCAs       string   `yaml:"root_cas" help:"A PEM file with the authorities behind the endpoints' certificates. Empty: the system's."`
}

// Email is the accounts that send e-mail.
type Email struct {
	Accounts []EmailAccount `yaml:"accounts" help:"SMTP servers. None: e-mail is not sent and such deliveries are suppressed."`
}

// EmailAccount is one SMTP server.
type EmailAccount struct {
	Name       string        `yaml:"name" help:"What the console calls it."`
	Host       string        `yaml:"host" help:"The server's name or address."`
	Port       int           `yaml:"port" help:"25, 465 or 587 mostly."`
	TLS        string        `yaml:"tls" help:"starttls, tls (from the first byte) or none."`
	Username   string        `yaml:"username" help:"Empty: no sign-in."`
	Password   string        `yaml:"password" secret:"true" help:"The password for username."`
	From       string        `yaml:"from" help:"The address messages come from."`
	FromName   string        `yaml:"from_name" help:"The name beside it. Left out: the company's."`
	ReturnPath string        `yaml:"return_path" help:"Where bounces go: an address such as bounce+{token}@bounces.example.com, with a token of its own for each message. Empty: to from, and nobody reads them."`
	Hello      string        `yaml:"hello" help:"The name this machine gives itself. Empty: its host name."`
	RootCAs    string        `yaml:"root_cas" help:"A PEM file with the authorities behind the server's certificate. Empty: the system's."`
	Timeout    time.Duration `yaml:"timeout" help:"How long one message may take."`
	Use        `yaml:",inline,squash"`
}

// Bounces is the mail server for the return paths of e-mail accounts.
type Bounces struct {
	Listen            string   `yaml:"listen" help:"host:port where mail to the accounts' return paths comes in, such as 0.0.0.0:25: the MX of their domains leads here. Empty: this node listens to none."`
	Hello             string   `yaml:"hello" help:"The name it greets with. Empty: the domain of the first return path."`
	TLSCertificate    string   `yaml:"tls_certificate" help:"A PEM file with the certificate for STARTTLS. Empty: it is not offered."`
	TLSKey            string   `yaml:"tls_key" help:"The PEM file with its key."`
	Complaints        string   `yaml:"complaints" help:"The address given to feedback loops, such as fbl@bounces.example.com. Empty: none."`
	ComplaintNetworks []string `yaml:"complaint_networks" help:"Networks, such as 192.0.2.0/24, from which mail to complaints is taken. None: from all."`
}

// Receipt is an account of a provider that reports by webhook.
type Receipt struct {
	Name     string        `yaml:"name" help:"The account that sends by this provider, as named above, and the last part of the address."`
	Provider string        `yaml:"provider" help:"sendgrid, mailgun, ses, postmark, twilio or standard (Standard Webhooks)."`
	Secret   string        `yaml:"secret" secret:"true" help:"What proves the provider: a verification key, signing key, password or token. Not for ses."`
	Username string        `yaml:"username" help:"Before the password of postmark. Empty: herald."`
	Topic    string        `yaml:"topic" help:"The ARN of the SNS topic of ses."`
	Window   time.Duration `yaml:"window" help:"How old a signed request may be. 0s: as long as the provider tries again."`
}

// Replies are what members write back.
type Replies struct {
	Stop     []string      `yaml:"stop" help:"Words that end messages to a number when they are the whole of a message. None: STOP, UNSUBSCRIBE, TD, 退订 and others like them."`
	Start    []string      `yaml:"start" help:"Words that lift what such a word did. None: START, UNSTOP, 恢复 and others."`
	Help     []string      `yaml:"help" help:"Words that ask who we are. None: HELP, INFO, 帮助 and others."`
	Keep     time.Duration `yaml:"keep" help:"How long replies are kept, with their texts."`
	Remember time.Duration `yaml:"remember" help:"How long a message is known that a provider gives again."`
}

// Default is the configuration when nothing is set.
func Default() Config {
	return Config{
		Roles:         []string{"web", "dispatch"},
		DataDir:       "data",
		Log:           Log{Level: "info", Format: "json"},
		Database:      Database{MaxConnections: 40},
		HTTP:          HTTP{Listen: "127.0.0.1:8080", MaxBody: 1 << 20, StopAfter: 20 * time.Second},
		API:           API{RequestsPerSecond: 200, Burst: 400},
		Matcher:       Matcher{QueueEvents: 10_000, BatchEvents: 1_000, KeepEvents: 30 * 24 * time.Hour},
		Subscriptions: Subscriptions{ExpirySchedule: "* * * * *", RenewalDays: 7},
		Replies:       Replies{Keep: 365 * 24 * time.Hour, Remember: 30 * 24 * time.Hour},
		Webhooks:      Webhooks{Workers: 20},
		Fax:           Fax{Keep: 30 * 24 * time.Hour},
		Dispatch:      Dispatch{Workers: 50, FirstRetry: time.Minute, SendTimeout: time.Minute, ReconcileEvery: 10 * time.Minute},
	}
}

// Has reports whether this node has a role.
func (c Config) Has(role string) bool {
	for _, r := range c.Roles {
		if r == role {
			return true
		}
	}
	return false
}
