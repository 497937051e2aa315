package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"herald/app/config"
	"herald/dispatch"
	"herald/dispatch/email"
	"herald/dispatch/fax"
	"herald/dispatch/fax/pages"
	"herald/dispatch/sms/cmpp"
	"herald/dispatch/sms/gateway"
	"herald/dispatch/sms/modem"
	"herald/dispatch/sms/parts"
	"herald/dispatch/sms/sgip"
	"herald/dispatch/sms/smpp"
	"herald/dispatch/voice"
	"herald/hardware/sip/media"
	"herald/problem"
	"herald/subscriptions"
)

// keeps is what the senders of accounts work on.
type keeps struct {
	parts  *parts.Store
	modems *modem.Store
	token  func(uuid.UUID) string // stands for a delivery in return paths
	url    string                 // where Herald is called back
	log    *slog.Logger

	calls   *voice.Store
	speaker voice.Speaker // nil: nobody is called by this node
	wheel   *media.Wheel
	faxes   *fax.Store
	font    *pages.Font // nil: no faxes go out from this node
}

// accounts are those that the configuration names, made and not at work.
type accounts struct {
	list     []dispatch.AccountConfig
	gateways []*gateway.Gateway
	modems   []*modem.Sender
	trunks   []*voice.Sender
	mistakes problem.Fields
}

// buildAccounts makes the accounts: to send on where this node dispatches, and
// to be called back by gateways where it has the pages.
func (a *App) buildAccounts() error {
	tokens, err := returnTokens(a.cfg)
	if err != nil {
		return err
	}
	store := parts.NewStore(a.DB.Pool())
	if hasSMS(a.cfg) {
		a.parts = store
	}
	k := keeps{
		parts: store, modems: a.Modems, calls: a.Calls, faxes: a.Faxes, wheel: &media.Wheel{}, token: tokens.Token, url: a.URL(), log: a.log,
	}
	if err := k.openDevices(a.cfg); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if speaker, speaks := k.speaker.(io.Closer); speaks {
		a.cleanups.onStop("speech", func(context.Context) error { return speaker.Close() })
	}
	a.accounts = makeAccounts(a.cfg, k)
	for _, trunk := range a.accounts.trunks {
		a.cleanups.onStop("trunk "+trunk.Account(), func(context.Context) error { return trunk.Close() })
	}
	if len(a.accounts.trunks) > 0 {
		if err := a.metrics.Register(trunks(a.accounts.trunks)); err != nil {
			return err
		}
	}
	if err := a.accounts.mistakes.Err("the accounts are not complete"); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// makeAccounts makes the accounts of all channels. What their drivers find
// wrong is among the mistakes, by the path of the configuration.
func makeAccounts(cfg config.Config, k keeps) accounts {
	var a accounts
	for i, one := range cfg.Email.Accounts {
		sender, err := email.NewMailer(mailAccount(one), messageIDDomain(cfg.Email), k.token)
		reports := slices.ContainsFunc(cfg.Receipts, func(r config.Receipt) bool { return r.Name == one.Name })
		a.add("email.accounts", i, one.Use, err, dispatch.AccountConfig{Sender: sender, Receipts: reports})
	}
	for i, one := range cfg.SMS.SMPP {
		sender, err := smpp.NewClient(smppAccount(one), k.parts)
		a.add("sms.smpp", i, one.Use, err, dispatch.AccountConfig{Sender: sender})
	}
	for i, one := range cfg.SMS.CMPP {
		sender, err := cmpp.New(cmppAccount(one), k.parts, k.log)
		a.add("sms.cmpp", i, one.Use, err, dispatch.AccountConfig{Sender: sender, SendTimeout: cmppSends(one)})
	}
	for i, one := range cfg.SMS.SGIP {
		sender, err := sgip.New(sgipAccount(one), k.parts, k.log)
		a.add("sms.sgip", i, one.Use, err, dispatch.AccountConfig{Sender: sender, SendTimeout: sgipSends(one)})
	}
	for i, one := range cfg.SMS.Gateways {
		sender, err := makeGateway(one, k)
		if a.add("sms.gateways", i, one.Use, err, dispatch.AccountConfig{Sender: sender, Receipts: err == nil && sender.HasReceipts()}) {
			a.gateways = append(a.gateways, sender)
		}
	}
	for i, one := range cfg.SMS.Modems {
		sender, err := modem.New(modemAccount(one), k.modems, k.parts, k.log)
		if a.add("sms.modems", i, one.Use, err, dispatch.AccountConfig{Sender: sender, SendTimeout: modemSends(one)}) {
			a.modems = append(a.modems, sender)
		}
	}
	a.addCalls(cfg, k)
	a.addFaxes(cfg, k)
	return a
}

func (a *accounts) addCalls(cfg config.Config, k keeps) {
	if k.speaker == nil {
		return
	}
	for i, one := range cfg.Voice.Trunks {
		made := dispatch.AccountConfig{}
		sender, err := voice.New(trunkAccount(one), voice.Deps{Store: k.calls, Speaker: k.speaker, Wheel: k.wheel, Logger: k.log})
		if err == nil {
			made = dispatch.AccountConfig{Sender: sender, SendTimeout: sender.Longest()}
		}
		if a.add("voice.trunks", i, one.Use, err, made) {
			a.trunks = append(a.trunks, sender)
		}
	}
}

func (a *accounts) addFaxes(cfg config.Config, k keeps) {
	if k.font == nil {
		return
	}
	for i, one := range cfg.Fax.Servers {
		sender, err := fax.New(faxAccount(one), fax.Deps{Store: k.faxes, Font: k.font, Logger: k.log})
		a.add("fax.servers", i, one.Use, err, dispatch.AccountConfig{Sender: sender})
	}
}

func makeGateway(one config.GatewayAccount, k keeps) (*gateway.Gateway, error) {
	description, err := gateway.Load(one.Description)
	if err != nil {
		return nil, problem.Fields{{Path: "description", Rule: "description", Message: err.Error()}}.Err("")
	}
	return gateway.New(description, gatewayAccount(one, k.url), k.parts, time.Now)
}

// add takes an account up, or notes what is wrong with it.
func (a *accounts) add(list string, i int, use config.Use, err error, one dispatch.AccountConfig) bool {
	at := fmt.Sprintf("%s[%d]", list, i)
	var said *problem.Error
	switch {
	case errors.As(err, &said) && len(said.Fields) > 0:
		for _, f := range said.Fields {
			f.Path = at + "." + f.Path
			a.mistakes = append(a.mistakes, f)
		}
		return false
	case err != nil:
		a.mistakes.Add(at, "account", "%v", err)
		return false
	}
	one.MinSessions, one.MaxSessions, one.IdleTimeout, one.CheckAfter = use.MinSessions, use.MaxSessions, use.IdleTimeout, use.CheckAfter
	one.Recipients, one.Weight, one.Cost, one.Rules = use.Recipients, use.Weight, use.Cost, use.Limits
	for _, p := range use.Purposes {
		one.Purposes = append(one.Purposes, subscriptions.Purpose(p))
	}
	a.list = append(a.list, one)
	return true
}

// What an account that waits long for an answer, or asks again, needs for a
// hand-over: dispatch's own time would leave messages in doubt that are only
// slow. What is not set is as the drivers have it.

func cmppSends(a config.CMPPAccount) time.Duration {
	return cmp.Or(a.Answer, time.Minute)*time.Duration(cmp.Or(a.Tries, 3)) + spare
}

func sgipSends(a config.SGIPAccount) time.Duration {
	return cmp.Or(a.Answer, 30*time.Second)*time.Duration(cmp.Or(a.Tries, 3)) + spare
}

func modemSends(a config.ModemAccount) time.Duration {
	return cmp.Or(a.SubmitTimeout, 150*time.Second) + cmp.Or(a.Timeout, 30*time.Second) + spare
}

// spare is for what else there is to do.
const spare = 10 * time.Second

// keepsOf is what senders work on without a node around them, and without
// devices.
func keepsOf(cfg config.Config, db *pgxpool.Pool, log *slog.Logger) keeps {
	return keeps{
		parts: parts.NewStore(db), modems: modem.NewStore(db), calls: voice.NewStore(db), faxes: fax.NewStore(db),
		wheel: &media.Wheel{}, token: returnTokenLike, url: publicURL(cfg), log: log,
	}
}

// Check finds what only the drivers of accounts and those who collect know to
// be wrong; it is for config.Load.
func Check(cfg config.Config) problem.Fields {
	k := keepsOf(cfg, nil, slog.New(slog.DiscardHandler))
	mistakes := checkDevices(cfg, &k)
	_, collecting := makeCollectors(cfg.Collectors, nil)
	return slices.Concat(mistakes, makeAccounts(cfg, k).mistakes, collecting)
}

// publicURL is how the world reaches Herald.
func publicURL(cfg config.Config) string {
	return cmp.Or(cfg.HTTP.PublicURL, "http://"+cfg.HTTP.Listen)
}

// messageIDDomain is the same for all accounts, so that a message which goes
// by another one the second time can be told to be the same.
func messageIDDomain(cfg config.Email) string {
	_, domain, _ := strings.Cut(cfg.Accounts[0].From, "@")
	return domain
}

// channels are those that the configuration gives an account for.
func channels(cfg config.Config) []subscriptions.Channel {
	var list []subscriptions.Channel
	if len(cfg.Email.Accounts) > 0 {
		list = append(list, subscriptions.Email)
	}
	if hasSMS(cfg) {
		list = append(list, subscriptions.SMS)
	}
	if len(cfg.Voice.Trunks) > 0 {
		list = append(list, subscriptions.Voice)
	}
	if len(cfg.Fax.Servers) > 0 {
		list = append(list, subscriptions.Fax)
	}
	return list
}

func hasSMS(cfg config.Config) bool {
	s := cfg.SMS
	return len(s.SMPP)+len(s.CMPP)+len(s.SGIP)+len(s.Gateways)+len(s.Modems) > 0
}
