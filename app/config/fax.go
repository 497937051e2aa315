package config

import (
	"time"

	"herald/problem"
)

// Fax is the servers that faxes go out by, and what their pages look like.
type Fax struct {
	Servers []FaxAccount  `yaml:"servers" help:"HylaFAX servers, by their own protocol."`
	Font    string        `yaml:"font" help:"A TrueType file that faxes are written with. Empty: one that is installed and has Chinese."`
	Keep    time.Duration `yaml:"keep" help:"How long the pages of faxes are kept."`
}

// FaxAccount is one HylaFAX server.
type FaxAccount struct {
	Name     string        `yaml:"name" help:"What the console calls it."`
	Host     string        `yaml:"host" help:"The server's name or address."`
	Port     int           `yaml:"port" help:"0: 4559."`
	Username string        `yaml:"username" help:"Who we are there. Empty: herald."`
	Password string        `yaml:"password" secret:"true" help:"The password for it."`
	Timeout  time.Duration `yaml:"timeout" help:"How long a command may take. 0s: 30s."`
	Modem    string        `yaml:"modem" help:"A modem, or a class of modems, of the server. Empty: any."`

	SenderName   string `yaml:"sender_name" help:"Who the fax is from, at the head of each page, as the law wants it. Left out: the company's name."`
	SenderNumber string `yaml:"sender_number" help:"The sender's number there, in quotes."`
	Cover        bool   `yaml:"cover" help:"Begin with a cover page."`
	Standard     bool   `yaml:"standard" help:"Send with 98 lines an inch and not 196: quicker, and too coarse for Chinese."`
	NoECM        bool   `yaml:"no_ecm" help:"Send without error correction."`
	TimeZone     string `yaml:"time_zone" help:"Of the date at the head, such as Asia/Shanghai. Empty: UTC."`
	Locale       string `yaml:"locale" help:"The language of the words at the head and on the cover where the message has none, en or zh. Empty: en."`

	MaxDials    int           `yaml:"max_dials" help:"How often a number is dialled before it is given up, 1 to 12. 0: 2."`
	MaxTries    int           `yaml:"max_tries" help:"How often a call that was answered is tried again, 1 to 12. 0: 3."`
	RetryAfter  time.Duration `yaml:"retry_after" help:"How long after a try the next one comes. 0s: as the server says."`
	GiveUpAfter time.Duration `yaml:"give_up_after" help:"How long the server may try. 0s: 3h."`
	Dial        []DialRule    `yaml:"dial" help:"How numbers are dialled where the server does not know the international form."`
	Use         `yaml:",inline,squash"`
}

// DialRule replaces the beginning of a number.
type DialRule struct {
	Prefix  string `yaml:"prefix" help:"The beginning, such as \"+86\"; the longest that fits counts,"`
	Replace string `yaml:"replace" help:"and what is dialled instead, such as \"0\"."`
}

func (c Fax) check(f *problem.Fields) {
	lasting(f, "fax.keep", c.Keep, time.Hour, 10*365*24*time.Hour)
}
