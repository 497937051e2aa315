package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"

	"github.com/google/uuid"

	"herald/app/config"
	"herald/dispatch/bounces"
)

// returnTokenLike is as long as the tokens of return paths.
func returnTokenLike(uuid.UUID) string { return strings.Repeat("t", bounces.TokenLength) }

// examineBounces takes the address of the listener for bounces for a moment,
// where there is one.
func examineBounces(ctx context.Context, cfg config.Config, log *slog.Logger) []Finding {
	const part = "bounces.listen"
	if cfg.Bounces.Listen == "" {
		if len(cfg.ReturnPaths()) == 0 {
			return nil
		}
		return []Finding{{part, Warning, "not set, though accounts have return paths", "set it on the node that the MX of their domains leads to"}}
	}
	settings, err := bounceConfig(cfg)
	if err != nil {
		return []Finding{{part, Broken, err.Error(), "see that both files can be read and belong together"}}
	}
	settings.Logger = log
	listener, err := bounces.Listen(ctx, settings, bounces.SignedTokens{})
	if err == nil {
		_ = listener.Close() // it was only tried
		return []Finding{{part, Fine, cfg.Bounces.Listen + " is free", ""}}
	}
	advice := "choose an address of this machine and a free port"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "Herald itself may listen there; otherwise stop what does, or choose another address"
	case errors.Is(err, fs.ErrPermission):
		advice = "ports below 1024 are for root: let the system's mail server pass bounces on, or grant CAP_NET_BIND_SERVICE"
	}
	return []Finding{{part, Broken, err.Error(), advice}}
}
