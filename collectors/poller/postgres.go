package poller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresURL speaks with PostgreSQL.
type postgresURL struct{ config *pgx.ConnConfig }

func newPostgres(address string) (dialect, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("is not a connection string of PostgreSQL")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWithin
	}
	return postgresURL{config}, nil
}

// connectWithin is how long a connection may take, where the URL does not say.
const connectWithin = 10 * time.Second

func (d postgresURL) hide(text string) string { return hide(text, d.config.Password) }

// hide takes a password out of a text.
func hide(text, password string) string {
	if password == "" {
		return text
	}
	return strings.ReplaceAll(text, password, "(hidden)")
}

func (d postgresURL) open(ctx context.Context, c Config) (session, error) {
	conn, err := pgx.ConnectConfig(ctx, d.config.Copy())
	if err != nil {
		return nil, err
	}
	return postgresSession{conn, c}, nil
}

type postgresSession struct {
	conn *pgx.Conn
	cfg  Config
}

func (s postgresSession) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // it only read
}

// sql is the query with cursor in it, as the table q. Everything on it is
// asked of that, so that any query can be paged.
func (s postgresSession) sql(what, rest, cursor string) string {
	return "SELECT " + what + " FROM (\n" + strings.ReplaceAll(s.cfg.Query, placeholder, cursor) + "\n) AS q " + rest
}

func (s postgresSession) column() string { return "q." + pgx.Identifier{s.cfg.Cursor}.Sanitize() }

// read does in a transaction that may only read. Texts that come out of it do
// not depend on how the server writes times.
func (s postgresSession) read(ctx context.Context, in func(pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout+connectWithin)
	defer cancel()
	return pgx.BeginTxFunc(ctx, s.conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			SELECT set_config('statement_timeout', $1, true), set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true)`,
			strconv.FormatInt(s.cfg.Timeout.Milliseconds(), 10))
		if err != nil {
			return fmt.Errorf("prepare to read: %w", err)
		}
		return in(tx)
	})
}

// args are the placeholder's text in the query and the arguments that it
// brings.
func (s postgresSession) args(from string) (cursor string, args []any) {
	if !strings.Contains(s.cfg.Query, placeholder) {
		return "", nil
	}
	return "$1", []any{from}
}

func (s postgresSession) columns(ctx context.Context) ([]string, error) {
	cursor, args := s.args(s.cfg.Start)
	var names []string
	err := s.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("*", "LIMIT 0", cursor), args...)
		if err != nil {
			return err
		}
		rows.Close()
		for _, f := range rows.FieldDescriptions() {
			names = append(names, f.Name)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("ask the query: %w", err)
	}
	return names, nil
}

func (s postgresSession) newest(ctx context.Context, from string) (string, error) {
	cursor, args := s.args(from)
	var newest *string
	err := s.read(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, s.sql("max("+s.column()+")::text", "", cursor), args...).Scan(&newest)
	})
	if err != nil {
		return "", fmt.Errorf("find the newest row: %w", err)
	}
	if newest == nil {
		return "", nil
	}
	return *newest, nil
}

func (s postgresSession) page(ctx context.Context, b bounds) ([]row, error) {
	cursor, args := s.args(b.from)
	column := s.column()
	where := column + " IS NOT NULL"
	for _, bound := range []struct{ is, value string }{{" >= ", b.from}, {" <= ", b.upTo}} {
		if bound.value != "" {
			args = append(args, bound.value) // as text, which the server reads as the column's type
			where += " AND " + column + bound.is + "$" + strconv.Itoa(len(args))
		}
	}
	var list []row
	err := s.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql("to_jsonb(q)::text, "+column+"::text",
			"WHERE "+where+" ORDER BY "+column+" LIMIT "+strconv.Itoa(b.limit), cursor), args...)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scanRow)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	return list, nil
}

func scanRow(from pgx.CollectableRow) (row, error) {
	var r row
	var values string
	err := from.Scan(&values, &r.cursor)
	if err != nil {
		return r, err
	}
	r.values, err = decode([]byte(values))
	return r, err
}
