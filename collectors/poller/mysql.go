package poller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// mysqlURL speaks with MySQL and MariaDB.
type mysqlURL struct{ config *mysql.Config }

func newMySQL(u *url.URL) (dialect, error) {
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net, c.Addr = "tcp", u.Host
	if u.Port() == "" {
		c.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	c.DBName = strings.TrimPrefix(u.Path, "/")
	c.Timeout = connectWithin
	c.Logger = silent{}
	if u.Hostname() == "" || c.DBName == "" || strings.Contains(c.DBName, "/") {
		return nil, errors.New("must be mysql://user:password@host/database")
	}
	for name, values := range u.Query() {
		var err error
		switch name {
		case "tls":
			err = c.Apply(secure(values[0], u.Query().Get("ca"), u.Hostname()))
		case "ca": // with tls
		default:
			err = fmt.Errorf("has the parameter %q, and may have tls and ca", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return mysqlURL{c}, nil
}

// silent keeps the driver from writing to standard error: what goes wrong comes
// as an error, too.
type silent struct{}

func (silent) Print(...any) {}

// secure asks for TLS, with the system's authorities or those of a PEM file.
func secure(how, ca, host string) mysql.Option {
	return func(c *mysql.Config) error {
		if how != "true" {
			return errors.New("may have tls=true alone")
		}
		c.TLS = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
		if ca == "" {
			return nil
		}
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("has a ca that cannot be read: %w", err)
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("has a ca without a PEM certificate: %s", ca)
		}
		return nil
	}
}

func (d mysqlURL) hide(text string) string { return hide(text, d.config.Passwd) }

func (d mysqlURL) open(ctx context.Context, c Config) (session, error) {
	connector, err := mysql.NewConnector(d.config.Clone())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	s := &mysqlSession{db: db, cfg: c}
	if s.conn, err = db.Conn(ctx); err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		_ = db.Close() // it has done nothing
		return nil, err
	}
	return s, nil
}

type mysqlSession struct {
	db   *sql.DB
	conn *sql.Conn
	cfg  Config
	// whole is set where the cursor is a whole number: compared with a text
	// it would become a float, which holds 53 bits.
	whole bool
}

// prepare makes times UTC, and limits statements as the server can.
func (s *mysqlSession) prepare(ctx context.Context) error {
	var version string
	if err := s.conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return err
	}
	limit := fmt.Sprintf("SET SESSION max_execution_time = %d", s.cfg.Timeout.Milliseconds())
	if strings.Contains(strings.ToLower(version), "mariadb") {
		limit = fmt.Sprintf("SET SESSION max_statement_time = %f", s.cfg.Timeout.Seconds())
	}
	for _, statement := range []string{limit, "SET SESSION time_zone = '+00:00'"} {
		if _, err := s.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (s *mysqlSession) close() { _ = errors.Join(s.conn.Close(), s.db.Close()) } // it only read

func (s *mysqlSession) column() string {
	return "q.`" + strings.ReplaceAll(s.cfg.Cursor, "`", "``") + "`"
}

// sql is the query as the table q, and the cursor's values that it wants.
func (s *mysqlSession) sql(what, rest, from string) (string, []any) {
	var args []any
	for range strings.Count(s.cfg.Query, placeholder) {
		args = append(args, s.value(from))
	}
	return "SELECT " + what + " FROM (\n" + strings.ReplaceAll(s.cfg.Query, placeholder, "?") + "\n) AS q " + rest, args
}

// value is a cursor's value of the column's type.
func (s *mysqlSession) value(text string) any {
	if s.whole {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n
		}
	}
	return text
}

// read asks in a transaction that may only read.
func (s *mysqlSession) read(ctx context.Context, in func(*sql.Rows) error, statement string, args []any) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout+connectWithin)
	defer cancel()
	tx, err := s.conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it only read
	rows, err := tx.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := in(rows); err != nil {
		return err
	}
	return rows.Err()
}

func (s *mysqlSession) columns(ctx context.Context) ([]string, error) {
	var names []string
	statement, args := s.sql("*", "LIMIT 0", s.cfg.Start)
	err := s.read(ctx, func(rows *sql.Rows) error {
		types, err := rows.ColumnTypes()
		for _, t := range types {
			names = append(names, t.Name())
			if t.Name() == s.cfg.Cursor {
				s.whole = kindOf(t.DatabaseTypeName()) == whole
			}
		}
		return err
	}, statement, args)
	if err != nil {
		return nil, fmt.Errorf("ask the query: %w", err)
	}
	return names, nil
}

func (s *mysqlSession) newest(ctx context.Context, from string) (string, error) {
	var newest sql.NullString
	statement, args := s.sql("CAST(MAX("+s.column()+") AS CHAR)", "", from)
	err := s.read(ctx, func(rows *sql.Rows) error {
		rows.Next() // there is one, or else Scan says why not
		return rows.Scan(&newest)
	}, statement, args)
	if err != nil {
		return "", fmt.Errorf("find the newest row: %w", err)
	}
	return newest.String, nil
}

func (s *mysqlSession) page(ctx context.Context, b bounds) ([]row, error) {
	column := s.column()
	where, bounded := column+" IS NOT NULL", []any(nil)
	for _, bound := range []struct{ is, value string }{{" >= ", b.from}, {" <= ", b.upTo}} {
		if bound.value != "" {
			bounded = append(bounded, s.value(bound.value))
			where += " AND " + column + bound.is + "?"
		}
	}
	statement, args := s.sql("q.*, CAST("+column+" AS CHAR)", "WHERE "+where+" ORDER BY "+column+" LIMIT "+strconv.Itoa(b.limit), b.from)
	var list []row
	err := s.read(ctx, func(rows *sql.Rows) error {
		types, err := rows.ColumnTypes()
		if err != nil {
			return err
		}
		for rows.Next() {
			r, err := scanMySQL(rows, types)
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return nil
	}, statement, append(args, bounded...))
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	return list, nil
}

// scanMySQL reads a row whose last column is the cursor as text.
func scanMySQL(rows *sql.Rows, types []*sql.ColumnType) (row, error) {
	cells := make([][]byte, len(types))
	into := make([]any, len(types))
	for i := range cells {
		into[i] = &cells[i]
	}
	if err := rows.Scan(into...); err != nil {
		return row{}, err
	}
	last := len(types) - 1
	r := row{cursor: string(cells[last]), values: make(map[string]any, last)}
	for i, t := range types[:last] {
		r.values[t.Name()] = mysqlValue(t.DatabaseTypeName(), cells[i])
	}
	return r, nil
}

// kind is what becomes of a column's values.
type kind int

const (
	words kind = iota
	whole
	number
	moment
	raw
	document
)

// kindOf is that of a type by the driver's name for it.
func kindOf(name string) kind {
	switch strings.TrimPrefix(name, "UNSIGNED ") {
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR":
		return whole
	case "DECIMAL", "FLOAT", "DOUBLE":
		return number
	case "DATETIME", "TIMESTAMP":
		return moment
	case "BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BINARY", "VARBINARY", "BIT", "GEOMETRY":
		return raw
	case "JSON":
		return document
	}
	return words
}

// mysqlValue is a cell as encoding/json would have it: bytes in base64, times
// by RFC 3339.
func mysqlValue(typeName string, cell []byte) any {
	if cell == nil {
		return nil
	}
	text := strings.ToValidUTF8(string(cell), "\uFFFD")
	switch kindOf(typeName) {
	case whole, number:
		if json.Valid(cell) {
			return json.Number(text)
		}
	case moment:
		if at, err := time.Parse("2006-01-02 15:04:05.999999", text); err == nil {
			return at.UTC().Format(time.RFC3339Nano)
		}
	case raw:
		return base64.StdEncoding.EncodeToString(cell)
	case document:
		if values, err := decode([]byte(`{"v":` + text + `}`)); err == nil {
			return values["v"]
		}
	case words:
	}
	return text
}
