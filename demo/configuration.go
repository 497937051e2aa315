package demo

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"herald/app/config"
)

// configuration is Herald's for the demonstration: quick to try again, and
// with the simulated mail server as its only account. Variables still count,
// but for those that would lead it to a database in earnest, whose messages it
// would swallow.
func configuration(o Options, smtp string) (config.Config, error) {
	cfg, err := config.Load("", os.Environ())
	if err != nil {
		return config.Config{}, err
	}
	host, port, err := net.SplitHostPort(smtp)
	if err != nil {
		return config.Config{}, fmt.Errorf("the mail server's address: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return config.Config{}, fmt.Errorf("the mail server's port: %w", err)
	}
	cfg.DataDir, cfg.Database.URL, cfg.SecretKey = o.DataDir, "", ""
	cfg.Roles, cfg.HTTP.Listen, cfg.HTTP.PublicURL = config.Default().Roles, o.Listen, ""
	cfg.Log = config.Log{Level: o.LogLevel, Format: "text"}
	cfg.Dispatch.FirstRetry = 500 * time.Millisecond
	cfg.Email.Accounts = []config.EmailAccount{{
		Name: "simulator", Host: host, Port: number, TLS: "none",
		From: "alerts@shop.example", FromName: "The Shop", Timeout: 30 * time.Second, Use: config.Use{MaxSessions: 10},
	}}
	return cfg, nil
}
