package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"herald/app/config"
	"herald/postgres"
)

// Finding is what the doctor saw of one part.
type Finding struct {
	Part   string
	State  FindingState
	Text   string
	Advice string // what to do; empty when all is well
}

// FindingState grades a finding.
type FindingState string

// The grades.
const (
	Fine    FindingState = "ok"
	Warning FindingState = "warning" // Herald runs, but not as it should
	Broken  FindingState = "broken"  // Herald cannot do its work
)

const (
	enoughDisk  = 2 << 30 // bytes
	clockWithin = 2 * time.Second
	askWithin   = 10 * time.Second
)

// Examine looks at everything the configuration names. It changes nothing but
// what a start would: a private database is made where there is none.
func Examine(ctx context.Context, cfg config.Config, log *slog.Logger) []Finding {
	address, running := examineAddress(ctx, cfg)
	list := []Finding{{"configuration", Fine, "can be read", ""}, address, examineURL(cfg)}
	db, failed := openToExamine(ctx, cfg, log)
	var pool *pgxpool.Pool
	if db == nil {
		list = append(list, failed)
	} else {
		defer func() {
			if err := db.Close(context.WithoutCancel(ctx)); err != nil {
				log.Error("database did not close", "error", err)
			}
		}()
		found := examineDatabase(ctx, db)
		if found[1].State == Fine { // its schema is of this version
			pool = db.Pool()
		}
		list = append(list, found...)
	}
	list = append(list, examineSecret(cfg), examineDisk(cfg))
	list = append(list, examineCompany(cfg)...)
	list = append(list, examineAccounts(ctx, cfg, pool, running)...)
	list = append(list, examineCollectors(ctx, cfg, pool)...)
	return append(list, examineBounces(ctx, cfg, log)...)
}

// examineAddress takes the address for a moment, or finds Herald there already.
func examineAddress(ctx context.Context, cfg config.Config) (_ Finding, running bool) {
	const part = "http.listen"
	listener, err := net.Listen("tcp", cfg.HTTP.Listen)
	if err == nil {
		_ = listener.Close() // it was only tried
		return Finding{part, Fine, cfg.HTTP.Listen + " is free", ""}, false
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	req, reqErr := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+cfg.HTTP.Listen+"/healthz", nil)
	if reqErr == nil {
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return Finding{part, Fine, "Herald answers at " + cfg.HTTP.Listen, ""}, true
			}
		}
	}
	advice := "choose an address of this machine and a free port"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "stop what listens there, or choose another address"
	case errors.Is(err, fs.ErrPermission):
		advice = "ports below 1024 are for root: choose a higher one, with a proxy in front"
	}
	return Finding{part, Broken, err.Error(), advice}, false
}

func examineURL(cfg config.Config) Finding {
	const part = "http.public_url"
	if cfg.HTTP.PublicURL == "" {
		return Finding{part, Warning, "not set: links in messages lead to " + cfg.HTTP.Listen, "set it to the address customers use, with https"}
	}
	u, err := url.Parse(cfg.HTTP.PublicURL)
	if err != nil || u.Scheme != "https" {
		return Finding{part, Warning, cfg.HTTP.PublicURL + " is not https", "passwords and sessions should travel encrypted: put a proxy with TLS in front"}
	}
	return Finding{part, Fine, cfg.HTTP.PublicURL, ""}
}

// examineCompany sees to it that calls say who calls, which the law of many
// countries wants.
func examineCompany(cfg config.Config) []Finding {
	const part = "company.name"
	switch {
	case cfg.Company.Name != "":
		return []Finding{{part, Fine, cfg.Company.Name, ""}}
	case len(cfg.Voice.Trunks) > 0:
		return []Finding{{part, Warning, "not set: calls do not say who calls", "set it: the law of many countries wants it said at the beginning"}}
	}
	return nil
}

// databaseWithin is how long the doctor tries to open the database.
const databaseWithin = time.Minute

// openToExamine opens the database, or says what is wrong with it.
func openToExamine(ctx context.Context, cfg config.Config, log *slog.Logger) (*postgres.DB, Finding) {
	ctx, cancel := context.WithTimeout(ctx, databaseWithin)
	defer cancel()
	db, err := openDatabase(ctx, cfg, log)
	if err == nil {
		return db, Finding{}
	}
	advice := "see that database.url is right and the server can be reached"
	if cfg.Database.URL == "" {
		advice = "see server.log in data_dir/postgres"
	}
	switch {
	case errors.Is(err, postgres.ErrNotInstalled):
		advice = "apt-get install postgresql, or set database.url"
	case errors.Is(err, fs.ErrPermission):
		advice = "run Herald as the user who owns data_dir, or name another directory"
	}
	return nil, Finding{"database", Broken, err.Error(), advice}
}

// examineDatabase looks at the server, the schema and, where that is of this
// version, the ledger.
func examineDatabase(ctx context.Context, db *postgres.DB) []Finding {
	limited, cancel := context.WithTimeout(ctx, databaseWithin)
	defer cancel()
	list := []Finding{examineServer(limited, db), examineSchema(limited, db)}
	if list[1].State == Fine {
		list = append(list, examineLedger(ctx, db), examineDays(limited, db), examineFanOuts(limited, db))
	}
	return list
}

func examineServer(ctx context.Context, db *postgres.DB) Finding {
	var version string
	var now time.Time
	if err := db.Pool().QueryRow(ctx, `SELECT current_setting('server_version'), clock_timestamp()`).Scan(&version, &now); err != nil {
		return Finding{"database", Broken, err.Error(), "see the server's log"}
	}
	if off := time.Since(now).Abs(); off > clockWithin {
		return Finding{"database", Warning, fmt.Sprintf("PostgreSQL %s, whose clock differs from ours by %v", version, off.Round(time.Millisecond)), "run a time service on both machines"}
	}
	return Finding{"database", Fine, "PostgreSQL " + version, ""}
}

func examineSchema(ctx context.Context, db *postgres.DB) Finding {
	status, err := postgres.Status(ctx, db.Pool())
	switch {
	case errors.Is(err, postgres.ErrNewerSchema):
		return Finding{"schema", Broken, err.Error(), "start the newer Herald"}
	case err != nil:
		return Finding{"schema", Broken, err.Error(), "see the server's log"}
	case len(status.Pending) > 0:
		return Finding{"schema", Warning, fmt.Sprintf("%d steps are to be applied", len(status.Pending)), "herald migrate applies them; so does the next start"}
	}
	return Finding{"schema", Fine, "up to date", ""}
}

func examineSecret(cfg config.Config) Finding {
	if cfg.SecretKey == "" && cfg.Database.URL != "" {
		return Finding{"secret_key", Broken, "not set", "every node on a shared database needs the same one: openssl rand -hex 32"}
	}
	return Finding{"secret_key", Fine, "set, or kept in data_dir", ""}
}

func examineDisk(cfg config.Config) Finding {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(cfg.DataDir, &disk); err != nil {
		if cfg.Database.URL != "" {
			return Finding{"data_dir", Fine, "not needed with database.url", ""}
		}
		return Finding{"data_dir", Broken, fmt.Sprintf("%s: %v", cfg.DataDir, err), "make it, or name another"}
	}
	free := disk.Bavail * uint64(disk.Bsize) //nolint:gosec // a block size is positive
	text := fmt.Sprintf("%s has %.1f GiB free", cfg.DataDir, float64(free)/(1<<30))
	if free < enoughDisk {
		return Finding{"data_dir", Warning, text, "PostgreSQL stops when the disk is full: make room"}
	}
	return Finding{"data_dir", Fine, text, ""}
}
