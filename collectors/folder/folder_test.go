package folder_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"herald/collectors"
	"herald/collectors/collectortest"
	"herald/collectors/folder"
	"herald/collectors/mapping"
	"herald/matcher"
	"herald/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// desk is a folder that a shop's systems put files into, and Herald.
type desk struct {
	*collectortest.Herald
	dir string
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	return &desk{collectortest.New(t), t.TempDir()}
}

func (d *desk) path(names ...string) string {
	return filepath.Join(append([]string{d.dir}, names...)...)
}

// put writes a file as it should be done: under another name, then renamed.
func (d *desk) put(name, text string) {
	d.Helper()
	d.Must(os.WriteFile(d.path("."+name), []byte(text), 0o600))
	d.Must(os.Rename(d.path("."+name), d.path(name)))
}

func (d *desk) read(names ...string) string {
	d.Helper()
	text, err := os.ReadFile(d.path(names...))
	d.Must(err)
	return string(text)
}

func (d *desk) has(names ...string) bool {
	_, err := os.Lstat(d.path(names...))
	return err == nil
}

func (d *desk) untilDone(name string) {
	d.Helper()
	d.Until(name+" is done", func() bool { return d.has("done", name) })
}

func (d *desk) config() folder.Config {
	return folder.Config{
		Path: d.dir, Page: 3, Types: d.Types, Settle: 20 * time.Millisecond,
		Mapping: mapping.Mapping{Type: "price.changed", Source: "/files"},
	}
}

func (d *desk) collector(c folder.Config) collectors.Collector {
	d.Helper()
	f, err := folder.New(c)
	d.Must(err)
	return collectors.Collector{Name: "files", Kind: collectors.Folder, Schedule: collectortest.Soon, AtOnce: true, Source: f}
}

const header = "product,name,price,currency\n"

func priceRows(n int) string {
	var b strings.Builder
	b.WriteString(header)
	for i := range n {
		fmt.Fprintf(&b, "p%d,\"Cup, no. %d\",%d.50,EUR\n", i+1, i+1, i+1)
	}
	return b.String()
}

func TestFilesOfEveryFormatAreTakenAndMovedAway(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Start(d.collector(d.config()))
	d.put("prices.csv", "\xef\xbb\xbf"+strings.ReplaceAll(priceRows(7), "\n", "\r\n"))
	event := `{"specversion":"1.0","id":"%s","source":"/shop","type":"price.changed","data":{"product":"a","name":"A","price":5,"currency":"EUR"}}`
	d.put("more.ndjson", "\xef\xbb\xbf"+fmt.Sprintf(event, "n1")+"\n\n"+fmt.Sprintf(event, "n2"))
	xml := `<event specversion="1.0"><id>%s</id><source>/shop</source><type>price.changed</type><data><product>a</product><name>A</name><price>5</price><currency>EUR</currency></data></event>`
	d.put("some.xml", "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<batch>"+fmt.Sprintf(xml, "x1")+fmt.Sprintf(xml, "x2")+"</batch>")
	d.put("one.xml", fmt.Sprintf(xml, "x3"))
	d.put("notes.txt", "not for us")
	d.put("late.csv.part", priceRows(1))
	d.Must(os.WriteFile(d.path(".hidden.csv"), []byte(priceRows(1)), 0o600))
	for _, name := range []string{"prices.csv", "more.ndjson", "some.xml", "one.xml"} {
		d.untilDone(name)
	}
	d.UntilTaken(12)
	if !d.has("notes.txt") || !d.has("late.csv.part") || !d.has(".hidden.csv") || d.has("done", "prices.csv.errors.ndjson") || d.has("taking", "prices.csv") {
		t.Error("other files were touched, or left behind")
	}
	events := d.Events()
	first := events[0]
	if !strings.HasSuffix(first.ID, ":1") {
		t.Errorf("id %s", first.ID)
	}
	first.ID = ""
	want := matcher.Event{Source: "/files", Type: "price.changed", Data: map[string]any{"product": "p1", "name": "Cup, no. 1", "price": 1.5, "currency": "EUR"}}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefusedLinesStandInAFileBesideTheirs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Start(d.collector(d.config()))
	text := header + "a,A,1,EUR\nb,B,many,EUR\nc,C,3\nd,D\"D,4,EUR\ne,E,5,EUR\nf,\xff,6,EUR\n"
	d.put("prices.csv", text)
	d.untilDone("prices.csv")
	d.UntilTaken(2)
	if d.read("done", "prices.csv") != text {
		t.Error("the file has changed")
	}
	var lines []int
	for line := range strings.Lines(d.read("done", "prices.csv.errors.ndjson")) {
		var l struct {
			Line             int
			Reason, Original string
		}
		d.Must(json.Unmarshal([]byte(line), &l))
		lines = append(lines, l.Line)
		if l.Reason == "" || !strings.HasPrefix(l.Original, header) {
			t.Errorf("line %+v", l)
		}
	}
	if diff := cmp.Diff([]int{3, 4, 5, 7}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	letters := d.Letters("files")
	if len(letters) != 4 {
		t.Fatalf("letters %+v", letters)
	}
}

func TestALineIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Start(d.collector(d.config()))
	d.put("prices.csv", header+"b,B,many,EUR\n")
	d.untilDone("prices.csv")
	d.Until("a dead letter", func() bool { return len(d.Letters("files")) == 1 })
	_, err := d.Pool.Exec(t.Context(), `UPDATE collector_dead_letters SET original = convert_to($1, 'UTF8')`, header+"b,B,7,EUR\n")
	d.Must(err)
	_, err = d.Store.Again(t.Context(), "files", 0, "operator:anna")
	d.Must(err)
	d.UntilTaken(1)
	d.Until("it is gone", func() bool { return len(d.Letters("files")) == 0 })
	if id := d.Events()[0].ID; !strings.HasSuffix(id, ":1") {
		t.Errorf("id %q", id)
	}
}

func TestAFileThatCannotBeReadIsSetApart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file, text, says string
		taken            int
	}{
		"an empty file":       {"a.csv", "", "empty", 0},
		"a missing column":    {"a.csv", "sku,price\nx,1\n", `no column "product": the first line names ["sku" "price"], with ',' between them`, 0},
		"a column twice":      {"a.csv", "product,price,price\nx,1,2\n", `two columns are called "price"`, 0},
		"an open quote":       {"a.csv", priceRows(4) + "x,\"" + strings.Repeat("long\n", 100_000), "a record has more than", 4},
		"UTF-16":              {"a.csv", "\xff\xfep\x00", "UTF-16", 0},
		"XML that is cut off": {"a.xml", `<batch><event specversion="1.0"><id>1</id><source>/s</source><type>t</type></event><event>`, "give it as a file of its own", 1},
		"an entity bomb":      {"a.xml", `<!DOCTYPE batch [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><batch>&b;</batch>`, "line 1: document type declarations are not allowed", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			c := d.config()
			c.Mapping.Subject = "product"
			d.Start(d.collector(c))
			d.put(tt.file, tt.text)
			d.Until("it is set apart", func() bool { return d.has("failed", tt.file) })
			if said := d.read("failed", tt.file+".errors.ndjson"); !strings.Contains(said, strings.ReplaceAll(tt.says, `"`, `\"`)) {
				t.Errorf("said %s", said)
			}
			d.UntilTaken(tt.taken)
		})
	}
}

func TestAReadingThatWasCutOffGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	killed := make(chan struct{})
	pages := 0
	d.Intake.Fail(nil, func() error {
		if pages++; pages == 3 {
			close(killed)
			return errors.New("killed")
		}
		return nil
	})
	stop := d.Start(d.collector(d.config()))
	d.put("prices.csv", priceRows(20))
	<-killed
	stop()
	d.Intake.Fail(nil, nil)
	if d.has("prices.csv") || !d.has("taking", "prices.csv") {
		t.Error("the file is not being taken")
	}
	d.Start(d.collector(d.config()))
	d.untilDone("prices.csv")
	d.UntilTaken(20)
	if s := d.State("files"); s.Duplicates != 0 || s.Accepted != 20 {
		t.Errorf("%d were given twice, %d accepted", s.Duplicates, s.Accepted)
	}
}

func TestAFileThatIsReplacedWhileItIsReadIsReadToo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	reading, resume := make(chan struct{}), make(chan struct{})
	first := collectortest.Once(errors.New("first"))
	d.Intake.Fail(func() error {
		if first() != nil {
			close(reading)
			<-resume
		}
		return nil
	}, nil)
	d.Start(d.collector(d.config()))
	d.put("prices.csv", priceRows(4))
	<-reading
	d.put("prices.csv", header+"other,Other,9,EUR\n")
	close(resume)
	d.UntilTaken(5)
	d.Until("both are done", func() bool {
		all, err := filepath.Glob(d.path("done", "prices*.csv"))
		return err == nil && len(all) == 2
	})
}

func TestAFileThatStillGrowsIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	reading, resume := make(chan struct{}), make(chan struct{})
	pages := 0
	d.Intake.Fail(func() error {
		if pages++; pages == 2 { // the last page of the file as it was
			close(reading)
			<-resume
		}
		return nil
	}, nil)
	d.put("prices.csv", priceRows(4))
	writer, err := os.OpenFile(d.path("prices.csv"), os.O_APPEND|os.O_WRONLY, 0)
	d.Must(err)
	d.Start(d.collector(d.config()))
	<-reading
	_, err = writer.WriteString("more,More,5,EUR\n")
	d.Must(errors.Join(err, writer.Close()))
	close(resume)
	d.UntilTaken(5)
	d.untilDone("prices.csv")
	if s := d.State("files"); s.Duplicates != 0 {
		t.Errorf("%d were given twice", s.Duplicates)
	}
}

func TestAFileWaitsWhileItCannotBeMoved(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	// What stands in the way of the folder: root may write where it is forbidden.
	d.Must(os.WriteFile(d.path("done"), nil, 0o600))
	d.Start(d.collector(d.config()))
	d.put("prices.csv", priceRows(2))
	d.Until("it fails", func() bool { return strings.Contains(d.State("files").Error, "folders") })
	d.Must(os.Remove(d.path("done")))
	d.untilDone("prices.csv")
	d.UntilTaken(2)
}

func TestNoPlaceForTheErrorsHoldsTheFileAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := d.collector(d.config())
	// A folder stands where the errors are to be written.
	d.Must(os.MkdirAll(d.path("done", ".prices.csv.errors.ndjson", "in the way"), 0o750))
	d.Start(c)
	d.put("prices.csv", priceRows(5)+"bad,B,many,EUR\n")
	d.Until("it fails", func() bool { return strings.Contains(d.State("files").Error, "what was refused") })
	if !d.has("taking", "prices.csv") {
		t.Error("the file is not kept")
	}
	d.Must(os.RemoveAll(d.path("done", ".prices.csv.errors.ndjson")))
	d.untilDone("prices.csv")
	d.UntilTaken(5)
	if s := d.State("files"); s.Duplicates != 0 || s.DeadLetters != 1 || !d.has("done", "prices.csv.errors.ndjson") {
		t.Errorf("state %+v", s)
	}
}

func TestTheSameFileAgainIsNoNews(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Start(d.collector(d.config()))
	for n := range 2 {
		d.put("prices.csv", priceRows(3))
		d.Until("it is done", func() bool {
			all, err := filepath.Glob(d.path("done", "*.csv"))
			return err == nil && len(all) == n+1
		})
	}
	d.UntilTaken(3)
	if s := d.State("files"); s.Duplicates != 3 {
		t.Errorf("%d duplicates, want 3", s.Duplicates)
	}
}

func TestCheckSaysWhatIsWrongWithTheFolder(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.Must(d.collector(d.config()).Source.Check(t.Context()))
	c := d.config()
	c.Path = d.path("nowhere")
	if err := d.collector(c).Source.Check(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	d.put("file", "")
	c.Path = d.path("file")
	if err := d.collector(c).Source.Check(t.Context()); err == nil {
		t.Error("a file was taken for a folder")
	}
	for name, change := range map[string]func(*folder.Config){
		"path":    func(c *folder.Config) { c.Path = "" },
		"pattern": func(c *folder.Config) { c.Pattern = "[" },
		"format":  func(c *folder.Config) { c.Format = "xlsx" },
		"comma":   func(c *folder.Config) { c.Comma = '"' },
	} {
		c := d.config()
		change(&c)
		if _, err := folder.New(c); err == nil || len(c.Mistakes()) != 1 || c.Mistakes()[0].Path != name {
			t.Errorf("%s: %v", name, c.Mistakes())
		}
	}
}
