package poller_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"herald/collectors/collectortest"
	"herald/collectors/poller"
)

const password = "hunter2"

// mariadb is a server for several tests.
type mariadb struct {
	address   string
	databases atomic.Int64
}

// farMySQL is a database of its own on the server.
func (m *mariadb) far(t testing.TB) *far {
	t.Helper()
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr = "root", password, "tcp", m.address
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	name := fmt.Sprintf("shop%d", m.databases.Add(1))
	f := &far{t, fmt.Sprintf("mysql://root:%s@%s/%s", password, m.address, name), func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}}
	f.exec("CREATE DATABASE " + name + " CHARACTER SET utf8mb4")
	f.exec("USE " + name)
	return f
}

func valuesOfMySQL(t *testing.T, f *far) {
	h := collectortest.New(t)
	f.exec("CREATE TABLE prices (id int PRIMARY KEY, product varchar(50), d decimal(20,4), f float, y year, b blob, j json, at timestamp, bits bit(4), day date, nothing int, u bigint unsigned)")
	f.exec(`INSERT INTO prices VALUES (1, '水壶', 12.5000, 1.5, 2026, x'00ff', '{"a": [1, "b"]}', '2026-01-02 03:04:05', b'101', '2026-01-02', NULL, 42)`)
	h.Start(query(h, f, func(c *poller.Config) { c.Mapping.Type = "anything" }))
	h.UntilTaken(1)
	want := map[string]any{
		"product": "水壶", "d": 12.5, "f": 1.5, "y": 2026.0, "b": "AP8=", "at": "2026-01-02T03:04:05Z", "bits": "BQ==", "day": "2026-01-02", "u": 42.0,
		"j": `{"a": [1, "b"]}`, // MariaDB keeps JSON as text
	}
	got := h.Events()[0]
	if diff := cmp.Diff(want, got.Data); diff != "" || got.Subject != "水壶" {
		t.Errorf("subject %s (-want +got):\n%s", got.Subject, diff)
	}
}
