package poller_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"herald/collectors"
	"herald/collectors/collectortest"
	"herald/collectors/mapping"
	"herald/collectors/poller"
	"herald/e2e/peers"
	"herald/matcher"
	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// far is the database of a shop's own system.
type far struct {
	testing.TB
	url  string
	exec func(statement string)
}

func farPostgres(t testing.TB) *far {
	t.Helper()
	address := pgtest.URL(t)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return &far{t, address, func(statement string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}}
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	server := &mariadb{address: peers.MariaDB(t, password)}
	for name, test := range map[string]func(t *testing.T, f *far, id, at string){
		"rows become events once":                            rowsBecomeEventsOnce,
		"rows with one cursor are neither lost nor repeated": rowsWithOneCursor,
		"a bad row does not block the rest":                  aBadRow,
		"what is committed out of order waits for the lag":   outOfOrder,
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("PostgreSQL", func(t *testing.T) {
				t.Parallel()
				test(t, farPostgres(t), "bigint PRIMARY KEY", "timestamptz(6)")
			})
			t.Run("MariaDB", func(t *testing.T) {
				t.Parallel()
				test(t, server.far(t), "bigint unsigned PRIMARY KEY", "datetime(6)")
			})
		})
	}
	t.Run("values of MySQL", func(t *testing.T) { valuesOfMySQL(t, server.far(t)) })
}

// query is a collector of the table prices.
func query(h *collectortest.Herald, f *far, change func(*poller.Config)) collectors.Collector {
	h.Helper()
	c := poller.Config{
		URL: f.url, Query: "SELECT * FROM prices WHERE id >= {cursor}", Cursor: "id", Start: "0", Page: 3, Types: h.Types,
		Mapping: mapping.Mapping{ID: "id", Type: "price.changed", Source: "/shop", Subject: "product"},
	}
	if change != nil {
		change(&c)
	}
	p, err := poller.New(c)
	h.Must(err)
	return collectors.Collector{Name: "prices", Kind: collectors.Query, Schedule: collectortest.Soon, AtOnce: true, Source: p}
}

const someColumns = "product varchar(50), name varchar(50), price numeric(10,2), currency char(3)"

func rowsBecomeEventsOnce(t *testing.T, f *far, id, at string) {
	h := collectortest.New(t)
	f.exec("CREATE TABLE prices (id " + id + ", at " + at + ", " + someColumns + ")")
	f.exec(`INSERT INTO prices VALUES (9007199254740993, '2026-01-02 03:04:05.5', 'kettle', 'Kettle', 49.50, 'EUR')`)
	for n := range 10 {
		f.exec(fmt.Sprintf(`INSERT INTO prices VALUES (%d, '2026-01-02 03:04:05', 'cup', 'Cup', %d, 'EUR')`, n+1, n+1))
	}
	h.Start(query(h, f, func(c *poller.Config) { c.Mapping.Time = "at" }))
	h.UntilTaken(11)
	f.exec(`INSERT INTO prices VALUES (9007199254740994, '2026-01-02 03:04:06', 'lamp', 'Lamp', 7, 'EUR')`)
	h.UntilTaken(12)
	got := h.Events()
	want := matcher.Event{
		ID: "9007199254740993", Source: "/shop", Type: "price.changed", Subject: "kettle",
		Data: map[string]any{"product": "kettle", "name": "Kettle", "price": 49.5, "currency": "EUR"},
	}
	if diff := cmp.Diff(want, got[10]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var when time.Time
	h.Must(h.Pool.QueryRow(t.Context(), `SELECT time FROM events WHERE source_id = '9007199254740993'`).Scan(&when))
	if !when.Equal(time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)) {
		t.Errorf("time %v", when)
	}
	if s := h.State("prices"); s.Duplicates != 0 || s.Lag == nil {
		t.Errorf("state %+v", s)
	}
}

func rowsWithOneCursor(t *testing.T, f *far, id, at string) {
	h := collectortest.New(t)
	f.exec("CREATE TABLE prices (id " + id + ", at " + at + ", " + someColumns + ")")
	add := func(n int, at string) {
		f.exec(fmt.Sprintf(`INSERT INTO prices VALUES (%d, '%s', 'cup', 'Cup', 5, 'EUR')`, n, at))
	}
	for n := range 10 { // more than fit a page
		add(100+n, "2026-01-02 03:04:05.000001")
	}
	h.Start(query(h, f, func(c *poller.Config) {
		c.Query, c.Cursor, c.Start = "SELECT * FROM prices WHERE at >= {cursor}", "at", "2026-01-01"
		c.Mapping.ID, c.Mapping.Subject = "", ""
	}))
	h.UntilTaken(10)
	add(50, "2026-01-02 03:04:05.000001") // late, and with a lower id
	h.UntilTaken(11)
	add(51, "2026-01-02 03:04:05.000002")
	add(52, "2026-01-02 03:04:05.000002")
	h.UntilTaken(13)
	h.Until("a run that finds nothing", func() bool { return h.State("prices").Accepted == 13 })
	if s := h.State("prices"); s.Duplicates != 0 || s.Error != "" {
		t.Errorf("state %+v", s)
	}
}

func aBadRow(t *testing.T, f *far, id, at string) {
	h := collectortest.New(t)
	f.exec("CREATE TABLE prices (id " + id + ", at varchar(50), " + someColumns + ")")
	f.exec(`INSERT INTO prices VALUES (1, '2026-01-02', 'a', 'A', 1, 'EUR'), (2, 'soon', 'b', 'B', 2, 'EUR'), (3, '', 'c', 'C', NULL, 'EUR'), (4, NULL, 'd', 'D', 4, 'EUR')`)
	h.Start(query(h, f, func(c *poller.Config) { c.Mapping.Time = "at" }))
	h.UntilTaken(2)
	h.Until("two dead letters", func() bool { return len(h.Letters("prices")) == 2 })
	letters := h.Letters("prices")
	if l := letters[1]; !strings.Contains(l.Reason, "at: is \"soon\"") || l.Place != "id = 2" || !strings.Contains(string(l.Original), `"soon"`) {
		t.Errorf("the bad time: %+v", l)
	}
	if !strings.Contains(letters[0].Reason, "data.price") {
		t.Errorf("no price: %+v", letters[0])
	}
	// With the column corrected in the configuration they would be taken.
	again, err := query(h, f, nil).Source.Reread(t.Context(), letters[1].Key, letters[1].Original)
	if err != nil || again.Err != nil || again.Event.ID != "2" {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

func outOfOrder(t *testing.T, f *far, id, _ string) {
	h := collectortest.New(t)
	f.exec("CREATE TABLE prices (id " + id + ", " + someColumns + ")")
	f.exec(`INSERT INTO prices VALUES (2, 'b', 'B', 2, 'EUR')`)
	const lag = 3 * time.Second // the other row must come within it, on a busy machine, too
	began := time.Now()
	h.Start(query(h, f, func(c *poller.Config) { c.Lag = lag }))
	h.Until("the run has begun", func() bool { return h.State("prices").BeganAt != nil })
	f.exec(`INSERT INTO prices VALUES (1, 'a', 'A', 1, 'EUR')`) // committed later than 2
	h.UntilTaken(2)
	if took := time.Since(began); took < lag {
		t.Errorf("taken after %v", took)
	}
}

func TestAKilledRunGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	h, f := collectortest.New(t), farPostgres(t)
	f.exec("CREATE TABLE prices (id bigint PRIMARY KEY, " + someColumns + ")")
	f.exec(`INSERT INTO prices SELECT n, 'a', 'A', n, 'EUR' FROM generate_series(1, 20) n`)
	killed := make(chan struct{})
	pages := 0
	h.Intake.Fail(nil, func() error {
		if pages++; pages == 3 {
			close(killed)
			return errors.New("killed")
		}
		return nil
	})
	stop := h.Start(query(h, f, nil))
	<-killed
	stop()
	h.Intake.Fail(nil, nil)
	h.Start(query(h, f, nil))
	h.UntilTaken(20)
	h.Until("all are counted", func() bool { return h.State("prices").Accepted == 20 })
	if s := h.State("prices"); s.Duplicates != 0 {
		t.Errorf("%d rows were given twice", s.Duplicates)
	}
}

func TestASourceThatIsAwayOrWrongSaysSoWithoutItsPassword(t *testing.T) {
	t.Parallel()
	h, f := collectortest.New(t), farPostgres(t)
	f.exec("CREATE TABLE prices (id bigint PRIMARY KEY, " + someColumns + ")")
	f.exec("CREATE SEQUENCE s")
	good, err := url.Parse(f.url)
	h.Must(err)
	tests := map[string]struct {
		change func(*poller.Config)
		says   string
	}{
		"no server": {func(c *poller.Config) { c.URL = "postgres://u:hunter2@127.0.0.1:1/shop" }, "refused"},
		"no MySQL":  {func(c *poller.Config) { c.URL = "mysql://u:hunter2@127.0.0.1:1/shop" }, "refused"},
		"the password in it": {func(c *poller.Config) {
			c.Query = "SELECT 'hunter2'::int AS id WHERE 1 >= {cursor}::int"
			c.URL = withPassword(*good)
		}, "(hidden)"},
		"no table":  {func(c *poller.Config) { c.Query = "SELECT * FROM nothing WHERE id >= {cursor}" }, "nothing"},
		"no column": {func(c *poller.Config) { c.Mapping.Subject = "sku" }, `no column "sku": it has ["`},
		"a query that writes": {func(c *poller.Config) {
			c.Query = "SELECT setval('s', 1) AS id, 'p' AS product WHERE 1 >= {cursor}::int"
		}, "read-only"},
		"a query without end": {func(c *poller.Config) {
			c.Query, c.Timeout = "SELECT 1 AS id, 'p' AS product, pg_sleep(60) WHERE 1 >= {cursor}::int", 50*time.Millisecond
		}, "timeout"},
		"a cursor of all alike": {func(c *poller.Config) {
			c.Query = "SELECT 1 AS id, 'p' AS product FROM generate_series(1, 50000) WHERE 1 >= {cursor}::int"
			c.Page = 10_000
		}, "the same id"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := collectortest.New(t)
			h.Start(query(h, f, tt.change))
			h.Until("it fails", func() bool { return strings.Contains(h.State("prices").Error, tt.says) })
			if s := h.State("prices"); strings.Contains(s.Error, "hunter2") {
				t.Errorf("the password is shown: %s", s.Error)
			}
		})
	}
}

func withPassword(u url.URL) string {
	u.User = url.UserPassword(u.User.Username(), "hunter2") // which the test server does not ask for
	return u.String()
}

func TestMistakesOfAConfiguration(t *testing.T) {
	t.Parallel()
	good := poller.Config{URL: "postgres://h/d", Query: "SELECT * FROM t WHERE id >= {cursor}", Cursor: "id", Start: "0"}
	tests := map[string]func(*poller.Config){
		"url":    func(c *poller.Config) { c.URL = "oracle://h/d" },
		"url ":   func(c *poller.Config) { c.URL = "mysql://u:%zz@h/d" },
		"url  ":  func(c *poller.Config) { c.URL = "mysql://h/d?charset=x" },
		"query":  func(c *poller.Config) { c.Query = " " },
		"query ": func(c *poller.Config) { c.Query = "SELECT * FROM t WHERE id > {cursor}" },
		"start":  func(c *poller.Config) { c.Start = "" },
		"cursor": func(c *poller.Config) { c.Cursor = "" },
	}
	if f := good.Mistakes(); f != nil {
		t.Errorf("the good one: %v", f)
	}
	for name, change := range tests {
		c := good
		change(&c)
		if f := c.Mistakes(); len(f) != 1 || f[0].Path != strings.TrimSpace(name) {
			t.Errorf("%q: %v", name, f)
		}
		if _, err := poller.New(c); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}
