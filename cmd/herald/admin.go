package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"herald/access"
	"herald/app"
)

type adminCmd struct {
	Create   adminCreateCmd   `cmd:"" help:"Make an operator who can sign in to the console."`
	Password adminPasswordCmd `cmd:"" help:"Give an operator a new password."`
	Disable  adminDisableCmd  `cmd:"" help:"Keep an operator from signing in."`
	Enable   adminEnableCmd   `cmd:"" help:"Let an operator who was disabled sign in again."`
	List     adminListCmd     `cmd:"" help:"List operators and API keys."`
	Key      adminKeyCmd      `cmd:"" help:"Make an API key; it is shown this once."`
	Revoke   adminRevokeCmd   `cmd:"" help:"End an API key."`
	Pins     adminPinsCmd     `cmd:"" help:"Let modems try the PINs of their SIMs once more, at the next start."`
}

type adminCreateCmd struct {
	Name string `arg:"" help:"What they sign in with."`
	Role string `help:"operator watches delivery, marketer also plans campaigns, admin may everything." enum:"operator,marketer,admin" default:"admin"`
}

func (a adminCreateCmd) Run(ctx context.Context, c *cli) error {
	password, err := askPassword()
	if err != nil {
		return err
	}
	return c.withStores(ctx, func(s *app.Stores) error {
		made, err := s.Operators.Create(ctx, a.Name, password, access.Role(a.Role))
		if err != nil {
			return err
		}
		fmt.Printf("%s can sign in at /console as %s.\n", made.Name, made.Role)
		return nil
	})
}

type adminPasswordCmd struct {
	Name string `arg:"" help:"The operator."`
}

func (a adminPasswordCmd) Run(ctx context.Context, c *cli) error {
	password, err := askPassword()
	if err != nil {
		return err
	}
	return c.withStores(ctx, func(s *app.Stores) error {
		if err := s.Operators.SetPassword(ctx, a.Name, password); err != nil {
			return err
		}
		fmt.Printf("%s has a new password.\n", a.Name)
		return nil
	})
}

type adminDisableCmd struct {
	Name string `arg:"" help:"The operator."`
}

func (a adminDisableCmd) Run(ctx context.Context, c *cli) error {
	return c.withStores(ctx, func(s *app.Stores) error {
		if err := s.Operators.Disable(ctx, a.Name); err != nil {
			return err
		}
		fmt.Printf("%s can no longer sign in.\n", a.Name)
		return nil
	})
}

type adminEnableCmd struct {
	Name string `arg:"" help:"The operator."`
}

func (a adminEnableCmd) Run(ctx context.Context, c *cli) error {
	return c.withStores(ctx, func(s *app.Stores) error {
		if err := s.Operators.Enable(ctx, a.Name); err != nil {
			return err
		}
		fmt.Printf("%s can sign in again.\n", a.Name)
		return nil
	})
}

type adminListCmd struct{}

func (adminListCmd) Run(ctx context.Context, c *cli) error {
	return c.withStores(ctx, func(s *app.Stores) error {
		operators, err := s.Operators.List(ctx)
		if err != nil {
			return err
		}
		keys, err := s.Keys.List(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "OPERATOR\tROLE\tSINCE\tSTATE")
		for _, o := range operators {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", o.Name, o.Role, o.CreatedAt.Format(time.DateOnly), standing(o.DisabledAt, "disabled"))
		}
		fmt.Fprintln(table, "\nKEY\tNAME\tSCOPES\tSTATE")
		for _, k := range keys {
			fmt.Fprintf(table, "%s…\t%s\t%s\t%s\n", k.Prefix, k.Name, joinScopes(k.Scopes), standing(k.RevokedAt, "revoked"))
		}
		return table.Flush()
	})
}

func standing(ended *time.Time, word string) string {
	if ended == nil {
		return "active"
	}
	return word + " " + ended.Format(time.DateOnly)
}

type adminKeyCmd struct {
	Name  string   `arg:"" help:"Who or what will use it, such as \"shop\"."`
	Scope []string `help:"What it may do: events:write, members:read, … or all." default:"all"`
}

func (a adminKeyCmd) Run(ctx context.Context, c *cli) error {
	scopes, err := parseScopes(a.Scope)
	if err != nil {
		return err
	}
	return c.withStores(ctx, func(s *app.Stores) error {
		_, secret, err := s.Keys.Create(ctx, a.Name, scopes)
		if err != nil {
			return err
		}
		fmt.Println(secret)
		fmt.Fprintln(os.Stderr, "Keep it now: it cannot be shown again. Send it as «Authorization: Bearer …».")
		return nil
	})
}

type adminRevokeCmd struct {
	Key string `arg:"" help:"The key's beginning, as admin list shows it, or the whole key."`
}

func (a adminRevokeCmd) Run(ctx context.Context, c *cli) error {
	return c.withStores(ctx, func(s *app.Stores) error {
		if err := s.Keys.Revoke(ctx, strings.TrimSuffix(a.Key, "…")); err != nil {
			return err
		}
		fmt.Println("The key is refused from now on.")
		return nil
	})
}

func parseScopes(words []string) ([]access.Scope, error) {
	var scopes []access.Scope
	for _, word := range words {
		if word == "all" {
			return access.Scopes, nil
		}
		scope := access.Scope(word)
		if !known(scope) {
			return nil, fmt.Errorf("--scope: %q is none of: all, %s", word, joinScopes(access.Scopes))
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

func known(scope access.Scope) bool {
	return access.Key{Scopes: access.Scopes}.Can(scope)
}

func joinScopes(scopes []access.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// withStores opens the database that the configuration names, for as long as
// do runs. A private server that already runs is used, not stopped.
func (c *cli) withStores(ctx context.Context, do func(*app.Stores) error) (err error) {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	cfg.Log.Level, cfg.Log.Format = "warn", "text" // a person reads along
	stores, err := app.OpenStores(ctx, cfg, app.Logger(cfg.Log))
	if err != nil {
		return err
	}
	defer func() {
		if closing := stores.Close(context.WithoutCancel(ctx)); err == nil {
			err = closing
		}
	}()
	return do(stores)
}

type adminPinsCmd struct{}

func (adminPinsCmd) Run(ctx context.Context, c *cli) error {
	return c.withStores(ctx, func(s *app.Stores) error {
		if err := s.Modems.ForgetPINs(ctx); err != nil {
			return err
		}
		fmt.Println("At the next start each modem tries its PIN once more. Three wrong ones, and the SIM wants its PUK.")
		return nil
	})
}

// askPassword reads a password twice from the terminal, or once from a pipe.
func askPassword() (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if line == "" && err != nil {
			return "", fmt.Errorf("no password on standard input: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	first, err := prompt(in, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := prompt(in, "Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", fmt.Errorf("the two passwords differ; nothing was changed")
	}
	return first, nil
}

func prompt(in int, text string) (string, error) {
	fmt.Fprint(os.Stderr, text)
	typed, err := term.ReadPassword(in)
	fmt.Fprintln(os.Stderr)
	return string(typed), err
}
