package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"herald/app/config"
	"herald/postgres"
)

// Migrate brings the database to this version, or, when status is asked for,
// only says on out what has been applied and what has not.
func Migrate(ctx context.Context, cfg config.Config, log *slog.Logger, status bool, out io.Writer) (err error) {
	db, err := openDatabase(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() {
		if closing := db.Close(context.WithoutCancel(ctx)); err == nil {
			err = closing
		}
	}()
	if !status {
		if err := postgres.Migrate(ctx, db.Pool()); err != nil {
			return err
		}
	}
	s, err := postgres.Status(ctx, db.Pool())
	if err != nil {
		return err
	}
	if status {
		for _, m := range s.Applied {
			fmt.Fprintf(out, "applied  %s  %s\n", m.AppliedAt.UTC().Format("2006-01-02 15:04"), m)
		}
		for _, m := range s.Pending {
			fmt.Fprintf(out, "pending                    %s\n", m)
		}
	}
	_, err = fmt.Fprintf(out, "%d applied, %d pending\n", len(s.Applied), len(s.Pending))
	return err
}
