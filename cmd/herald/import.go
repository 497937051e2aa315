package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"herald/app"
	"herald/subscriptions"
)

type importCmd struct {
	Members importMembersCmd `cmd:"" help:"Members from a CSV file; the same file twice changes nothing twice."`
}

type importMembersCmd struct {
	File     string `arg:"" help:"The CSV file, with a header line; - for standard input." type:"path"`
	DryRun   bool   `help:"Check everything and change nothing."`
	Verified bool   `help:"You vouch for the addresses: no code is sent to confirm them."`
	Region   string `help:"The country of numbers written without one, such as CN."`
	Errors   string `help:"Write every mistake to this file, one JSON object a line." type:"path"`
	JSON     bool   `help:"Print the report as JSON."`
}

func (i importMembersCmd) Run(ctx context.Context, c *cli) error {
	file, size, err := i.open()
	if err != nil {
		return err
	}
	defer file.Close()
	options := subscriptions.ImportOptions{File: filepath.Base(i.File), DryRun: i.DryRun, Verified: i.Verified, Region: i.Region}
	options.Progress = progress(size)
	if i.Errors != "" {
		list, err := os.OpenFile(i.Errors, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // it may name members
		if err != nil {
			return err
		}
		defer list.Close()
		encoder := json.NewEncoder(list)
		options.OnError = func(e subscriptions.ImportError) { _ = encoder.Encode(e) }
	}
	return c.withStores(ctx, func(s *app.Stores) error {
		began := time.Now()
		report, err := s.Members.Import(ctx, file, options)
		switch {
		case err != nil && report.Rows > 0:
			return fmt.Errorf("%w (what was read before is kept; the same file can be imported again)", err)
		case err != nil:
			return err
		}
		return i.tell(report, time.Since(began))
	})
}

func (i importMembersCmd) open() (*os.File, int64, error) {
	if filepath.Base(i.File) == "-" {
		return os.Stdin, 0, nil
	}
	file, err := os.Open(i.File)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// tell prints the report; mistakes end the command with status 1.
func (i importMembersCmd) tell(r subscriptions.ImportReport, took time.Duration) error {
	if i.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	} else {
		would := ""
		if i.DryRun {
			would = " (dry run: nothing was changed)"
		}
		fmt.Printf("%d rows in %s: %d created, %d updated, %d unchanged, %d refused%s\n",
			r.Rows, took.Round(time.Millisecond), r.Created, r.Updated, r.Unchanged, r.Refused, would)
		if r.RefusalsKept > 0 {
			fmt.Printf("%d consents were passed over: the member has refused them before\n", r.RefusalsKept)
		}
		for _, e := range r.Errors {
			fmt.Printf("line %d, %s: %s\n", e.Line, cmp.Or(e.Column, "whole row"), e.Message)
		}
		if more := r.Mistakes - len(r.Errors); more > 0 {
			fmt.Printf("… and %d mistakes more; --errors FILE writes them all\n", more)
		}
	}
	if r.Mistakes > 0 {
		return errSaid
	}
	return nil
}

// progress shows how far the import is, on a terminal, on one line.
func progress(size int64) func(subscriptions.ImportProgress) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	return func(p subscriptions.ImportProgress) {
		share := ""
		if size > 0 {
			share = fmt.Sprintf(" (%d %%)", p.Bytes*100/size)
		}
		_, _ = io.WriteString(os.Stderr, fmt.Sprintf("\r%d rows, %d refused%s\033[K", p.Rows, p.Refused, share))
		if size > 0 && p.Bytes >= size {
			_, _ = io.WriteString(os.Stderr, "\n")
		}
	}
}
