package config

import (
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"herald/problem"
)

// Collectors fetch events from where the company's systems leave them.
type Collectors struct {
	Queries []QueryCollector  `yaml:"queries" help:"Tables of PostgreSQL and MySQL databases; see docs/collectors.md."`
	Folders []FolderCollector `yaml:"folders" help:"Folders of CSV, NDJSON or XML files. Several nodes may name one folder where they share it; only one of them at a time looks into it."`
	Streams []StreamCollector `yaml:"streams" help:"Streams of NATS JetStream."`
}

// QueryCollector is a query with a column that grows.
type QueryCollector struct {
	Name     string        `yaml:"name" help:"Its own among all collectors: what was taken is kept under it."`
	URL      string        `yaml:"url" secret:"true" help:"postgres://user:password@host/database or mysql://user:password@host/database?tls=true&ca=FILE."`
	Query    string        `yaml:"query" help:"What is selected, with {cursor} for the value of the cursor: SELECT … WHERE changed_at >= {cursor}. Without LIMIT."`
	Cursor   string        `yaml:"cursor" help:"The column that grows with each change: a number that is given out in order, or the time of the change."`
	Start    string        `yaml:"start" help:"The cursor before the first row, such as 0 or 2026-01-01. Empty, and no {cursor} in the query: all rows are taken."`
	Every    time.Duration `yaml:"every" help:"How often it is asked, unless there is a schedule."`
	Schedule string        `yaml:"schedule" help:"When it is asked: a cron expression, such as CRON_TZ=Asia/Shanghai 0 6 * * *. Empty: every so often."`
	Lag      time.Duration `yaml:"lag" help:"How long rows are left alone: longer than any transaction that writes them, or a row may be passed over that was committed late."`
	Page     int           `yaml:"page" help:"Rows that share a transaction, 1 to 1000."`
	Timeout  time.Duration `yaml:"timeout" help:"How long a statement may take."`
	Mapping  `yaml:",inline,squash"`
}

// FolderCollector is a folder of files.
type FolderCollector struct {
	Name     string        `yaml:"name" help:"Its own among all collectors: what was taken is kept under it."`
	Path     string        `yaml:"path" help:"The folder. Herald makes taking, done and failed in it and moves files there."`
	Pattern  string        `yaml:"pattern" help:"Which files, such as \"prices-*.csv\". Empty: all .csv, .ndjson, .jsonl and .xml."`
	Format   string        `yaml:"format" help:"csv, ndjson or xml. Empty: by the file's ending."`
	Comma    string        `yaml:"comma" help:"What parts the values of CSV: one character, \"\\t\" for a tabulator. Empty: a comma."`
	Every    time.Duration `yaml:"every" help:"How often it is looked into, unless there is a schedule."`
	Schedule string        `yaml:"schedule" help:"When it is looked into: a cron expression. Empty: every so often."`
	Settle   time.Duration `yaml:"settle" help:"How long a file must not have changed before it is taken. Files named .something, *.part and *.tmp are left alone."`
	Page     int           `yaml:"page" help:"Records that share a transaction, 1 to 1000."`
	Mapping  `yaml:",inline,squash"`
}

// Mapping says which columns make an event. Of files it is for CSV alone.
type Mapping struct {
	ID           string            `yaml:"id" help:"The column with the event's id. Empty: made of the row's contents, or of the file's and the line."`
	Type         string            `yaml:"type" help:"The type of the events, as triggers name it."`
	TypeColumn   string            `yaml:"type_column" help:"The column that says the type, instead of type."`
	Source       string            `yaml:"source" help:"The source of the events. Empty: /collectors/ and the name."`
	SourceColumn string            `yaml:"source_column" help:"The column that says the source, instead of source."`
	Subject      string            `yaml:"subject" help:"The column with the subject. Empty: none."`
	Time         string            `yaml:"time" help:"The column with the time. Empty: when Herald took it."`
	TimeZone     string            `yaml:"time_zone" help:"Where times without a zone were written. Empty: UTC."`
	Data         map[string]string `yaml:"data" help:"The columns of the data by the attributes' names. None: all columns that are not the id, the time, the type or the source."`
}

// StreamCollector is a stream of NATS JetStream with CloudEvents.
type StreamCollector struct {
	Name        string   `yaml:"name" help:"Its own among all collectors."`
	URL         string   `yaml:"url" secret:"true" help:"nats://user:password@host:4222 or tls://…; several servers parted by commas."`
	Stream      string   `yaml:"stream" help:"The stream's name."`
	Consumer    string   `yaml:"consumer" help:"The durable consumer's name. It is made when it is not there."`
	Subjects    []string `yaml:"subjects" help:"Subjects that the consumer is made for. None: all of the stream."`
	Credentials string   `yaml:"credentials" help:"A .creds file with a user's JWT and seed."`
	RootCAs     string   `yaml:"root_cas" help:"A PEM file with the authorities behind the servers' certificates. Empty: the system's."`
	Certificate string   `yaml:"certificate" help:"A PEM file with a certificate to show the servers."`
	Key         string   `yaml:"key" help:"The PEM file with its key."`
	Page        int      `yaml:"page" help:"Messages that share a transaction, 1 to 1000."`
}

// The defaults of collectors.
var (
	usualQuery  = QueryCollector{Every: 10 * time.Second, Lag: 5 * time.Second, Page: 500, Timeout: 30 * time.Second}
	usualFolder = FolderCollector{Every: 5 * time.Second, Settle: 5 * time.Second, Page: 500}
	usualStream = StreamCollector{Consumer: "herald", Page: 500}
)

// check finds what is wrong here; those who collect find the rest.
func (c Collectors) check(f *problem.Fields) {
	names := map[string]bool{}
	for i, q := range c.Queries {
		at := fmt.Sprintf("collectors.queries[%d].", i)
		checkCollectorName(f, at, q.Name, names)
		checkSchedule(f, at, q.Every, q.Schedule)
		lasting(f, at+"lag", q.Lag, 0, time.Hour)
		lasting(f, at+"timeout", q.Timeout, time.Millisecond, time.Hour)
		within(f, at+"page", q.Page, 1, 1000)
		q.check(f, at, true)
	}
	for i, d := range c.Folders {
		at := fmt.Sprintf("collectors.folders[%d].", i)
		checkCollectorName(f, at, d.Name, names)
		checkSchedule(f, at, d.Every, d.Schedule)
		lasting(f, at+"settle", d.Settle, 0, time.Hour)
		within(f, at+"page", d.Page, 1, 1000)
		d.check(f, at, d.Format == "csv")
		if len([]rune(d.Comma)) > 1 {
			f.Add(at+"comma", "character", "must be one character")
		}
	}
	for i, s := range c.Streams {
		at := fmt.Sprintf("collectors.streams[%d].", i)
		checkCollectorName(f, at, s.Name, names)
		within(f, at+"page", s.Page, 1, 1000)
	}
}

func checkCollectorName(f *problem.Fields, at, name string, names map[string]bool) {
	if name == "" || len(name) > 60 || !plainName(name) {
		f.Add(at+"name", "name", "is %q and must be 1 to 60 letters, digits, - and _", name)
	}
	if names[name] {
		f.Add(at+"name", "unique", "another collector has this name")
	}
	names[name] = true
}

func plainName(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return true
}

func checkSchedule(f *problem.Fields, at string, every time.Duration, schedule string) {
	lasting(f, at+"every", every, 100*time.Millisecond, 24*time.Hour)
	if schedule == "" {
		return
	}
	if _, err := cron.ParseStandard(schedule); err != nil {
		f.Add(at+"schedule", "cron", "is not a cron expression: %v", err)
	}
}

// check finds mistakes in how columns make events; required says that there are
// columns.
func (m Mapping) check(f *problem.Fields, at string, required bool) {
	if required && m.Type == "" && m.TypeColumn == "" {
		f.Add(at+"type", "required", "say the type of the events, or type_column")
	}
	for field, both := range map[string]bool{"type": m.Type != "" && m.TypeColumn != "", "source": m.Source != "" && m.SourceColumn != ""} {
		if both {
			f.Add(at+field, "exclusive", "give %s or %s_column, not both", field, field)
		}
	}
	if _, err := time.LoadLocation(m.TimeZone); err != nil {
		f.Add(at+"time_zone", "time_zone", "is %q and must be a name of the time zone database, such as Asia/Shanghai", m.TimeZone)
	}
}

// Any reports whether there is a collector.
func (c Collectors) Any() bool { return len(c.Queries)+len(c.Folders)+len(c.Streams) > 0 }
