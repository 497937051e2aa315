package app

import (
	"herald/app/config"
	"herald/dispatch/email"
	"herald/dispatch/fax"
	"herald/dispatch/sms"
	"herald/dispatch/sms/cmpp"
	"herald/dispatch/sms/gateway"
	"herald/dispatch/sms/link"
	"herald/dispatch/sms/modem"
	"herald/dispatch/sms/sgip"
	"herald/dispatch/sms/smpp"
	"herald/dispatch/sms/wire"
	"herald/dispatch/voice"
	"herald/dispatch/voice/answering"
)

// What the configuration says of an account, as its driver takes it.

func mailAccount(a config.EmailAccount) email.Account {
	return email.Account{
		Name: a.Name, Host: a.Host, Port: a.Port, TLS: a.TLS, RootCAs: a.RootCAs, Username: a.Username, Password: a.Password,
		From: a.From, FromName: a.FromName, ReturnPath: a.ReturnPath, Hello: a.Hello, Timeout: a.Timeout,
	}
}

func smppAccount(a config.SMPPAccount) smpp.Account {
	return smpp.Account{
		Name: a.Name, Host: a.Host, Port: a.Port, TLS: a.TLS, RootCAs: a.RootCAs,
		SystemID: a.SystemID, Password: a.Password, SystemType: a.SystemType, Bind: a.Bind, AddressRange: a.AddressRange,
		Source: a.Source, SourceTON: a.SourceTON, SourceNPI: a.SourceNPI,
		DestinationTON: a.DestinationTON, DestinationNPI: a.DestinationNPI, ServiceType: a.ServiceType,
		Window: a.Window, Timeout: a.Timeout, EnquireEvery: a.EnquireEvery,
		Alphabet: a.Alphabet, Transliterate: a.Transliterate, Languages: languages(a.Languages),
		LongMessages: a.LongMessages, WideReference: a.WideReference,
		NoReceipts: a.NoReceipts, ReceiptIDs: a.ReceiptIDs, UnknownNumber: a.UnknownNumber, QuerySM: a.QuerySM,
	}
}

func cmppAccount(a config.CMPPAccount) cmpp.Account {
	return cmpp.Account{
		Name: a.Name, Host: a.Host, Port: a.Port, SPID: a.SPID, Secret: a.Secret, Version: a.Version, CheckGateway: a.CheckGateway,
		SourceNumber: a.SourceNumber, ServiceID: a.ServiceID, CountryCode: a.CountryCode, NoReports: a.NoReports,
		Fee: cmpp.Fee(a.Fee), Writing: wire.Writing(a.Writing),
		Timing: link.Timing{Window: a.Window, Answer: a.Answer, Tries: a.Tries, Idle: a.Idle},
	}
}

func sgipAccount(a config.SGIPAccount) sgip.Account {
	r := a.Reception
	return sgip.Account{
		Name: a.Name, Host: a.Host, Port: a.Port, LoginName: a.LoginName, Password: a.Password, NodeID: a.NodeID, CorpID: a.CorpID,
		SPNumber: a.SPNumber, ServiceType: a.ServiceType, NoReports: a.NoReports,
		Fee: sgip.Fee(a.Fee), Writing: wire.Writing(a.Writing),
		Reception: sgip.Reception{Listen: r.Listen, Networks: r.Networks, LoginName: r.LoginName, Password: r.Password},
		Timing:    link.Timing{Window: a.Window, Answer: a.Answer, Tries: a.Tries, Idle: a.Idle},
	}
}

func gatewayAccount(a config.GatewayAccount, url string) gateway.Account {
	return gateway.Account{
		Name: a.Name, Settings: a.Settings, Secrets: a.Secrets, Timeout: a.Timeout, RootCAs: a.RootCAs, PlainHTTP: a.PlainHTTP,
		CallbackURL: url, Networks: a.Networks, Text: sms.Options{Transliterate: a.Transliterate},
	}
}

func modemAccount(a config.ModemAccount) modem.Account {
	return modem.Account{
		Name: a.Name, Device: a.Device, Baud: a.Baud, PIN: a.PIN, Centre: a.Centre, Memory: a.Memory, Notify: a.Notify,
		Transliterate: a.Transliterate, Languages: languages(a.Languages), NoReports: a.NoReports, HoldDoubt: a.HoldDoubt,
		DailyQuota: a.DailyQuota, MonthlyQuota: a.MonthlyQuota, TimeZone: a.TimeZone, Balance: modem.BalanceCheck(a.Balance),
		SubmitTimeout: a.SubmitTimeout, Timeout: a.Timeout, RegisterWithin: a.RegisterWithin,
	}
}

func trunkAccount(a config.TrunkAccount) voice.Account {
	return voice.Account{
		Name: a.Name, Server: a.Server, Transport: a.Transport, RootCAs: a.RootCAs, Domain: a.Domain,
		Username: a.Username, Password: a.Password, Realm: a.Realm, Register: a.Register, Local: a.Local, Public: a.Public, Codecs: a.Codecs,
		Encryption: a.Encryption,
		Response:   a.Response, Quiet: a.Quiet, AskEvery: a.AskEvery, PerSecond: a.PerSecond,
		CallerNumber: a.CallerNumber, CallerName: a.CallerName, Plus: a.Plus, Person: a.Person,
		RingFor: a.RingFor, LongestCall: a.LongestCall, Tries: a.Tries, RetryBusy: a.RetryBusy, RetryNoAnswer: a.RetryNoAnswer,
		Machines: voice.Machines{Ignore: a.Machines.Ignore, WaitForBeep: a.Machines.WaitForBeep, Rules: answering.Rules(a.Machines.Rules)},
		Record:   a.Record, RecordFor: a.RecordFor, LongestRecording: a.LongestRecording,
	}
}

func faxAccount(a config.FaxAccount) fax.Account {
	var dial []fax.DialRule
	for _, rule := range a.Dial {
		dial = append(dial, fax.DialRule(rule))
	}
	return fax.Account{
		Name: a.Name, Host: a.Host, Port: a.Port, Username: a.Username, Password: a.Password, Timeout: a.Timeout, Modem: a.Modem,
		SenderName: a.SenderName, SenderNumber: a.SenderNumber, Cover: a.Cover, TimeZone: a.TimeZone, Locale: a.Locale,
		Standard: a.Standard, NoECM: a.NoECM, MaxDials: a.MaxDials, MaxTries: a.MaxTries, RetryAfter: a.RetryAfter, GiveUpAfter: a.GiveUpAfter,
		Dial: dial,
	}
}

// languages are those that the configuration's check has let through.
func languages(numbers []int) []sms.Language {
	var list []sms.Language
	for _, n := range numbers {
		list = append(list, sms.Language(n)) //nolint:gosec // 1 to 13
	}
	return list
}
