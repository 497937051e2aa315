package receipts

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"herald/dispatch/sms/gateway"
)

const (
	// maxCallback is the largest callback of a gateway, in bytes.
	maxCallback = 256 << 10
	// takeWithin is how long what a gateway tells may take to be kept: one that
	// waits longer would only come again.
	takeWithin = 10 * time.Second
	// described is what the metrics and the log call gateways.
	described = "gateway"
	// challenge asks for a password (RFC 7617).
	challenge = `Basic realm="receipts"`
)

// serveGateway takes {account}/{kind} of described gateways.
func (h *Handler) serveGateway(w http.ResponseWriter, r *http.Request, called string) {
	name, kind, _ := strings.Cut(called, "/")
	g, known := h.gateways[name]
	var terms gateway.Terms
	if known {
		terms, known = g.Terms(gateway.Kind(kind))
	}
	switch {
	case !known:
		http.Error(w, "there is no such account", http.StatusNotFound)
		return
	case !slices.Contains(terms.Methods, r.Method):
		w.Header().Set("Allow", strings.Join(terms.Methods, ", "))
		http.Error(w, "use "+strings.Join(terms.Methods, " or "), http.StatusMethodNotAllowed)
		return
	}
	body, whole := readBody(w, r, min(h.cfg.MaxBody, maxCallback))
	if !whole {
		return
	}
	from, _ := netip.ParseAddrPort(r.RemoteAddr) // an address that is none is in no network
	n, err := h.takeNews(r.Context(), g, gateway.Call{
		Kind: gateway.Kind(kind), Method: r.Method, URL: r.URL, Header: r.Header, Body: body, From: from.Addr(),
	})
	outcome, status := h.judge(w, r, described, name, n, err)
	if err != nil {
		if outcome == "forged" && terms.Password {
			w.Header().Set("WWW-Authenticate", challenge)
		}
		http.Error(w, outcome, status)
		return
	}
	if terms.Type != "" {
		w.Header().Set("Content-Type", terms.Type)
	}
	w.WriteHeader(terms.Status)
	_, _ = io.WriteString(w, terms.Body) // who does not hear it comes again, and is known
}

// takeNews verifies, reads and hands on, and gives the number of news.
func (h *Handler) takeNews(ctx context.Context, g *gateway.Gateway, c gateway.Call) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, takeWithin)
	defer cancel()
	news, err := g.Read(c)
	if err != nil {
		return 0, err
	}
	if news.Unreadable > 0 {
		h.cfg.Logger.WarnContext(ctx, "a part of a gateway's callback cannot be read", "account", g.Account(), "kind", c.Kind, "items", news.Unreadable)
		h.told.WithLabelValues(described, "unreadable").Add(float64(news.Unreadable))
	}
	if len(news.Reports) > 0 {
		if err := h.cfg.Taker.Report(ctx, news.Reports); err != nil {
			return 0, fmt.Errorf("take reports: %w", err)
		}
	}
	if len(news.Inbound) > 0 {
		if err := h.cfg.Inbound(ctx, news.Inbound); err != nil {
			return 0, fmt.Errorf("take messages: %w", err)
		}
	}
	return len(news.Reports) + len(news.Inbound), nil
}
