package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"herald/access"
	"herald/app/config"
	"herald/dispatch"
	"herald/dispatch/bounces"
	"herald/postgres"
	"herald/web/receipts"
)

// buildReceipts makes what takes the later words of providers, and takes the
// address of the listener for bounces where this node has one.
func (a *App) buildReceipts(ctx context.Context) error {
	var err error
	a.receipts, err = dispatch.NewReceipts(a.Deliveries, dispatch.ReceiptsConfig{
		Contacts: a.Contacts, Suppressions: a.Consents, Announcer: a.news, Logger: a.log,
	})
	if err != nil {
		return err
	}
	if err := a.metrics.Register(a.receipts); err != nil {
		return err
	}
	if a.cfg.Bounces.Listen == "" {
		return nil
	}
	tokens, err := returnTokens(a.cfg)
	if err != nil {
		return err
	}
	settings, err := bounceConfig(a.cfg)
	if err != nil {
		return err
	}
	settings.Logger = a.log
	if a.bounces, err = bounces.Listen(ctx, settings, tokens); err != nil {
		return fmt.Errorf("bounces.listen: %w", err)
	}
	a.cleanups.onStop("listener for bounces", func(context.Context) error { return a.bounces.Close() })
	return a.metrics.Register(a.bounces)
}

// bounceConfig is all but the logger.
func bounceConfig(cfg config.Config) (bounces.Config, error) {
	b := cfg.Bounces
	settings := bounces.Config{
		Addr: b.Listen, ReturnPaths: cfg.ReturnPaths(), Hello: b.Hello, Complaints: b.Complaints,
		ComplaintNetworks: networks(b.ComplaintNetworks), Now: time.Now,
	}
	if b.TLSCertificate == "" {
		return settings, nil
	}
	pair, err := tls.LoadX509KeyPair(b.TLSCertificate, b.TLSKey)
	if err != nil {
		return settings, fmt.Errorf("bounces.tls_certificate: %w", err)
	}
	settings.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return settings, nil
}

// returnTokens makes and reads what stands for deliveries in return paths.
func returnTokens(cfg config.Config) (bounces.SignedTokens, error) {
	signer, err := signer(cfg)
	if err != nil {
		return bounces.SignedTokens{}, err
	}
	return bounces.NewSignedTokens(signer), nil
}

// signer signs with the secret key.
func signer(cfg config.Config) (*access.Signer, error) {
	secret, err := secretKey(cfg)
	if err != nil {
		return nil, err
	}
	return access.NewSigner(secret)
}

// receiptsFace takes the webhooks of providers.
func (a *App) receiptsFace() (http.Handler, error) {
	accounts := make([]receipts.Account, len(a.cfg.Receipts))
	for i, r := range a.cfg.Receipts {
		accounts[i] = receipts.Account(r)
	}
	taker := receipts.Taker(a.receipts)
	if a.parts != nil {
		taker = wholes{a.parts, a.receipts}
	}
	handler, err := receipts.New(receipts.Config{
		Accounts: accounts, PublicURL: a.URL(), Taker: taker, Gateways: a.accounts.gateways, Inbound: a.replies.Take, Away: postgres.Away,
		Fetch: receipts.Fetcher(http.DefaultTransport), Now: time.Now, Logger: a.log,
	})
	if err != nil {
		return nil, fmt.Errorf("receipts: %w", err)
	}
	return handler, a.metrics.Register(handler)
}

// startReceipts begins to take what providers say. It ends before the workers,
// and the webhooks before it.
func (a *App) startReceipts() {
	a.begin("early receipts", a.receipts.Run)
	if a.sending != nil && a.parts != nil {
		a.begin("held reports of messages", func(ctx context.Context) { a.parts.Run(ctx, a.log, a.receipts.Report) })
		a.begin("old parts of messages", a.forgetParts)
	}
	if a.sending != nil {
		a.begin("receipts of accounts", func(ctx context.Context) { a.sending.Reports(ctx, a.receipts.Report) })
		a.begin("messages to accounts", func(ctx context.Context) { a.sending.Receive(ctx, a.replies.Take) })
	}
	if calls(a.cfg) || faxes(a.cfg) {
		a.begin("old recordings and faxes", a.sweep)
	}
	if a.bounces != nil {
		a.begin("bounces", func(ctx context.Context) {
			if err := a.bounces.Reports(ctx, a.receipts.Report); err != nil {
				a.fail(err)
			}
		})
		a.log.Info("bounces are taken", "listen", a.bounces.Addr())
	}
}
